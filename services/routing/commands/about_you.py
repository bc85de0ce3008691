"""What a person says of themselves in a case: who they are, and how they can be reached."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case, lock_open_case
from services.routing.commands.own_items import stopped_keys
from services.routing.commands.protection import is_protected
from services.routing.commands.subjects import find_subject_of, subject_of_case
from services.routing.commands.vault import (
    STEP_YOU,
    Use,
    contact_field,
    ensure_subject_key,
    keep_items,
    list_sources,
    read_values,
    seen_again,
    subject_context,
    write_reused,
    write_use,
)
from services.routing.domain.behalf import SAID
from services.routing.domain.handover import CONTACT, REACHES, Reach
from services.routing.tables import SERVICE, case_file
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.messaging.due import schedule
from shared.passes import BOOKING_ITEMS
from shared.tokens import Identity

PURPOSE_BOOK = "窓口の予約のため"
PURPOSE_CONTACT = "予約のお知らせを送るため"
PURPOSE_CONTACT_ONLINE = "申請のお知らせを送るため"
PURPOSE_PREFILL = "同じことを二度書かずにすむようにするため"

# A contact that nobody hands over does not stay: a visit lasts no longer than this.
DRAFT_LIFETIME = timedelta(hours=24)
DUE_CONTACT_DRAFT = "contact_draft"
PHONE = "phone"


class AboutYou(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of themselves, checked. `contact` None: as it was given before (or not needed).

    `items` None: they were asked elsewhere, in the online form.
    """

    items: dict[str, str] | None
    reach: Reach
    contact: str | None


class FilledForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the form about oneself starts with. `known_contact` is the reach of a contact that was given before."""

    items: dict[str, str]
    from_before: bool
    reach: str | None
    known_contact: str | None


async def fill_form(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> FilledForm:
    """What this person gave before, for the form about themselves: in this case, or at first in any of theirs.

    The reading is written to the ledger; looking again at one's own form is kept out of the history, unless it is staff
    who look.
    """
    case = await get_own_case(session, identity, case_id, now=now)
    subject_ref = await find_subject_of(session, identity, case)
    if subject_ref is None:
        return FilledForm(items={}, from_before=False, reach=case.reach, known_contact=None)
    contact = await _known_contact(session, identity, subject_ref, case)
    is_online = case.channel == "online"
    is_first = case.items is None and not is_online
    use = Use(
        entry_type="previewed",
        case_id=case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_YOU,
        purpose=PURPOSE_PREFILL,
        acting_for=case.acting_for,
    )
    if not is_first:
        use = seen_again(identity, msgspec.structs.replace(use, purpose=PURPOSE_BOOK, outcome="own_form"))
        await record_deed(session, identity, "view_form", case_id, now=now)
    # The online form asks for the name itself. A number that it asked for can be the one for notices.
    wanted = (PHONE,) if is_online and contact is None else () if is_online else BOOKING_ITEMS
    stopped = await stopped_keys(session, identity.municipality, subject_ref) if is_first else frozenset()
    keys = tuple(key for key in wanted if (is_first and key not in stopped) or key in (case.items or ()))
    versions = None
    if case.guest_ref != identity.ref:
        # Another device sees what this case has, and not what was given anew in another.
        own = await list_sources(session, identity.municipality, subject_ref, case_id=case_id)
        versions = {source.key: source.version for source in own if source.key in keys}
        keys = tuple(versions)
    values = await read_values(
        session, vault, identity=identity, subject_ref=subject_ref, keys=keys, use=use, versions=versions, now=now
    )
    return FilledForm(
        items={key: value.value for key, value in values.items()},
        from_before=is_first and bool(values),
        reach=case.reach or (contact.reach if contact else None),
        known_contact=contact.reach if contact else None,
    )


async def find_known_reach(session: AsyncSession, *, identity: Identity, case_id: UUID, now: datetime) -> str | None:
    """How this person can be reached by a contact that they gave before: then its field may stay empty.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, now=now)
    subject_ref = await find_subject_of(session, identity, case)
    if subject_ref is None:
        return None
    known = await _known_contact(session, identity, subject_ref, case)
    return str(known.reach) if known is not None else None


async def tell_about_you(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    told: AboutYou,
    said_before: bool = False,
    now: datetime,
) -> None:
    """Keep what a person said of themselves: items in the vault, the contact as a sealed draft of this case.

    `said_before`: the contact was collected just now, with another case of the same form.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409), `contact_needed` (422) when there is neither a new
            contact nor a former one.
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    town = identity.municipality
    subject_ref = await subject_of_case(session, identity, case, now=now)
    if told.items is not None:
        kept = await keep_items(
            session,
            vault,
            identity=identity,
            subject_ref=subject_ref,
            values=told.items,
            case_id=case_id,
            procedure=case.procedure,
            purpose=PURPOSE_BOOK,
            outcome=SAID[case.behalf],
            acting_for=case.acting_for,
            now=now,
        )
        use = Use(
            entry_type="applied",
            case_id=case_id,
            procedure=case.procedure,
            target_service=SERVICE,
            target_step=STEP_YOU,
            purpose=PURPOSE_BOOK,
            acting_for=case.acting_for,
        )
        await write_reused(session, identity, subject_ref, use, kept.unchanged, now=now)
    contact = await _contact_columns(session, vault, identity, case, subject_ref, told, now, said_before=said_before)
    await record_deed(session, identity, "tell_about_you", case_id, now=now)
    await session.execute(
        update(case_file)
        .where(case_file.c.municipality == town, case_file.c.case_id == case_id)
        .values(
            subject_ref=subject_ref,
            items=_items_after(case, told),
            reach=told.reach,
            # While a correction is asked for, the office waits for it: it was sent.
            state="submitted" if case.state == "submitted" else "told",
            updated_at=now,
            version=case.version + 1,
            **contact,
        )
    )


def _items_after(case: Row[Any], told: AboutYou) -> list[str]:
    """The items that the case may use: what the online form brought stays, name and kana are as they were told now."""
    before = set(case.items or ())
    return sorted(before if told.items is None else before - set(BOOKING_ITEMS) | set(told.items))


async def blank_contact_draft(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: a contact that was typed but never handed over is forgotten."""
    await session.execute(
        update(case_file)
        .where(
            case_file.c.municipality == municipality,
            case_file.c.case_id == UUID(ref),
            case_file.c.contact_sealed.is_not(None),
        )
        .values(contact_sealed=None, contact_commitment=None, contact_given_at=None, updated_at=now)
    )


async def _contact_columns(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    subject_ref: UUID,
    told: AboutYou,
    now: datetime,
    *,
    said_before: bool,
) -> dict[str, object]:
    """The contact's columns of the case, after what was said."""
    nothing: dict[str, object] = dict.fromkeys(
        ("contact_sealed", "contact_commitment", "contact_given_at", "contact_ref", "contact_approval_id")
    )
    if told.reach == "none":
        return nothing
    if told.contact is None:
        known = await _known_contact(session, identity, subject_ref, case)
        if known is None or known.reach != told.reach:
            raise Refusal("contact_needed", 422)
        # Each case asks for its own approval: another one's is not taken along.
        approval_id = known.contact_approval_id if known.case_id == case.case_id else None
        return {name: getattr(known, name) for name in nothing} | {"contact_approval_id": approval_id}
    town, context = identity.municipality, subject_context(identity.municipality, subject_ref)
    key = await ensure_subject_key(session, vault, municipality=town, subject_ref=subject_ref, now=now)
    commitment = vault.commitment(key, context, CONTACT, told.contact)
    is_kept = case.contact_sealed is not None or case.contact_ref is not None
    if is_kept and commitment == case.contact_commitment and told.reach == case.reach:
        return {}
    use = Use(
        entry_type="collected",
        case_id=case.case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_YOU,
        purpose=PURPOSE_CONTACT_ONLINE if case.channel == "online" else PURPOSE_CONTACT,
        outcome=SAID[case.behalf],
        acting_for=case.acting_for,
    )
    if not said_before:
        await write_use(session, identity, subject_ref, use, {CONTACT: commitment}, now=now)
    await schedule(
        session,
        SERVICE,
        municipality=town,
        kind=DUE_CONTACT_DRAFT,
        ref=str(case.case_id),
        due_at=now + DRAFT_LIFETIME,
    )
    return nothing | {
        "contact_sealed": vault.seal(key, context, contact_field(case.case_id), told.contact),
        "contact_commitment": commitment,
        "contact_given_at": now,
    }


async def _known_contact(
    session: AsyncSession, identity: Identity, subject_ref: UUID, case: Row[Any]
) -> Row[Any] | None:
    """This case's contact, else the newest of the same person's cases that was handed over.

    A protected person's stays in its case: they type it anew where they want it. Nor does another device have it.
    """
    municipality = identity.municipality
    if case.reach in REACHES and (case.contact_sealed is not None or case.contact_ref is not None):
        return case
    if case.guest_ref != identity.ref or await is_protected(session, municipality, subject_ref):
        return None
    return (
        await session.execute(
            select(case_file)
            .where(
                case_file.c.municipality == municipality,
                case_file.c.subject_ref == subject_ref,
                case_file.c.contact_ref.is_not(None),
            )
            .order_by(case_file.c.updated_at.desc())
            .limit(1)
        )
    ).one_or_none()
