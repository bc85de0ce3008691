"""Sending an online application (申請): checked once more, sent once, and told with its number."""

import secrets
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.attachments import forget_replaced
from services.routing.commands.cases import get_own_case, lock_open_case
from services.routing.commands.contact import forget_contact, give_contact, update_case, withdraw_contact
from services.routing.commands.devices import forget_devices
from services.routing.commands.form import PURPOSE_APPLY, apply_approved
from services.routing.commands.identity import is_proven
from services.routing.commands.moving import move_case
from services.routing.commands.offers import (
    ShownOffer,
    Undecided,
    decline_expired,
    preview_offers,
    standing_offers,
    write_decisions,
)
from services.routing.commands.office import untick_all
from services.routing.commands.online import procedure_of
from services.routing.commands.progress import publish_progress, write_step
from services.routing.commands.quality import count_sent
from services.routing.commands.reuse import usable_sources
from services.routing.commands.vault import Use, read_values, seen_again
from services.routing.domain.applications import EDITABLE, missing_items
from services.routing.domain.handover import CONTACT, read_answers
from services.routing.domain.items import attached_items, typed_items
from services.routing.domain.town_items import form_of, set_town_items
from services.routing.keys import Keys
from services.routing.queries.office import due_from, get_rule
from services.routing.queries.town_items import read_town_items
from services.routing.tables import SERVICE, application
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.reference_number import APPLICATION_LENGTH, make_number
from shared.tokens import Identity

STEP_CHECK = "check"
# Beside the versions that a page showed: how its form asked. No item is called so.
ASKED = "asked"
NUMBER_TRIES = 5


class Incomplete(msgspec.Struct, frozen=True):
    """Something has to be said first, on this page of the case."""

    page: Literal["form", "you", "identity"]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What would be sent. `contact`: what would pass to notifications, None when nothing is to be sent."""

    values: dict[str, str]
    versions: dict[str, int]
    reach: str
    contact: ShownOffer | None
    asked: int

    @property
    def shown(self) -> dict[str, int]:
        """What has to be the same when it is sent."""
        return self.versions | {ASKED: self.asked}


class Sent(msgspec.Struct, frozen=True):
    """It is sent (or was already)."""

    number: str


async def check_application(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> Checked | Incomplete:
    """Show what would be sent, and offer the contact to notifications.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    set_town_items(await read_town_items(session, case.municipality))
    await decline_expired(session, case, now)
    versions = await ready_items(session, case)
    if isinstance(versions, Incomplete):
        return versions
    use = Use(
        entry_type="previewed",
        case_id=case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_CHECK,
        purpose=PURPOSE_APPLY,
        outcome="own_form",
        acting_for=case.acting_for,
    )
    await record_deed(session, identity, "view_check", case_id, now=now)
    values = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=case.subject_ref,
        keys=tuple(versions),
        use=seen_again(identity, use),
        versions=versions,
        now=now,
    )
    given = {key: value.value for key, value in values.items()}
    form = form_of(case.procedure)
    if form.lacks(given) or form.not_asked(given, case.not_asked) != tuple(case.not_asked):
        # Taken over from elsewhere, or corrected there since the form was filled in.
        return Incomplete("form")
    offers = await preview_offers(session, vault, identity, case, _contact_of(case), now=now)
    return Checked(
        values=given,
        versions=versions,
        reach=case.reach,
        contact=offers[0] if offers else None,
        asked=_how_asked(case.procedure, versions),
    )


async def submit_application(
    session: AsyncSession,
    keys: Keys,
    *,
    identity: Identity,
    case_id: UUID,
    submit_key: UUID,
    shown_items: Mapping[str, int],
    with_notices: bool,
    shown_contact: str | None,
    language: str,
    now: datetime,
) -> Sent | Undecided | Incomplete:
    """Send the application, or send it again once a correction was asked for. Twice with one key is once.

    `shown_items` are the versions that the person saw, and how the form asked (`Checked.shown`); `with_notices` is the
    answer to the contact's offer, and `shown_contact` the offer that they saw.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    before = await _find_of_case(session, case)
    if before is not None and (before.submit_key == submit_key or before.state not in EDITABLE):
        return Sent(before.number)
    # What this process knows of them may be seconds old: nothing is sent without what is needed by now.
    set_town_items(await read_town_items(session, case.municipality))
    await decline_expired(session, case, now)
    versions = await ready_items(session, case)
    if isinstance(versions, Incomplete):
        return versions
    if versions | {ASKED: _how_asked(case.procedure, versions)} != shown_items:
        return Undecided(missing=(), is_stale=True)
    if not await is_proven(session, case, versions, now=now):
        return Incomplete("identity")
    contact_ref = await _decide_contact(
        session, keys, identity, case, with_notices=with_notices, shown=shown_contact, language=language, now=now
    )
    if isinstance(contact_ref, Undecided | Incomplete):
        return contact_ref
    # Approved in one form with others, it may never have been in this one's own.
    await apply_approved(session, identity=identity, case_id=case_id, now=now)
    row = await _write(session, case, before, versions, contact_ref, submit_key, now)
    await forget_replaced(session, case.municipality, case.subject_ref, case_id, versions)
    await write_step(session, row, identity, now=now)
    await publish_progress(session, keys, row, with_access=True, now=now)
    if case.channel != "online":
        # What was corrected is answered online, whatever the person had wished meanwhile.
        await move_case(
            session,
            case,
            channel="online",
            state="submitted",
            step="submitted",
            said=case.behalf or "self",
            now=now,
        )
    else:
        await session.execute(update_case(case).values(state="submitted", updated_at=now, version=case.version + 1))
    await forget_devices(session, case, now=now)
    if before is None:
        await count_sent(session, case.municipality, case_id, by_application=True, at=now, now=now)
    await record_deed(session, identity, "submit_application", row.number, now=now)
    return Sent(row.number)


async def ready_items(session: AsyncSession, case: Row[Any]) -> dict[str, int] | Incomplete:
    """The version of every item that would be sent, or which page lacks something."""
    row = await procedure_of(session, case)
    needed = [item for item in typed_items(row.items) if item not in case.not_asked]
    usable = await usable_sources(session, case)
    if missing_items(needed, usable):
        return Incomplete("form")
    if case.reach is None or (case.reach != "none" and case.contact_commitment is None):
        return Incomplete("you")
    # What is not attached is brought or sent later: its page says so, and nobody is kept from applying by it.
    attached = [key for key in attached_items(row.items, row.attach) if key in usable]
    return {key: usable[key].version for key in (*needed, *attached)}


def _how_asked(procedure: str, items: Iterable[str]) -> int:
    """A short sign of what a form needs and when, for the values themselves are not opened when it is sent."""
    entries = [(entry, entry.parts()) for entry in map(form_of(procedure).entry, items)]
    return zlib.crc32(msgspec.json.encode(entries, order="deterministic"))


def _contact_of(case: Row[Any]) -> dict[str, str]:
    return {CONTACT: case.contact_commitment} if case.reach != "none" else {}


async def _decide_contact(
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    case: Row[Any],
    *,
    with_notices: bool,
    shown: str | None,
    language: str,
    now: datetime,
) -> UUID | Undecided | Incomplete | None:
    """Approve or decline that the contact passes to notifications; return what they know it by, if they may."""
    passable = _contact_of(case)
    offers = await standing_offers(session, case, passable, now)
    decisions, missing, is_stale = read_answers(
        offers, {CONTACT: "yes" if with_notices else "no"}, {CONTACT: shown} if shown else {}, now
    )
    if is_stale or missing or len(offers) < len(passable):
        return Undecided(missing=tuple(missing), is_stale=True)
    if decisions and with_notices and case.contact_sealed is None and case.contact_ref is None:
        # Declined after it had been approved, and so forgotten: it has to be typed again.
        await forget_contact(session, case)
        return Incomplete("you")
    approvals = await write_decisions(session, identity, case, passable, decisions, now)
    if CONTACT in approvals:
        return await give_contact(session, keys, identity, case, approvals[CONTACT], language, now)
    if case.contact_ref is not None and case.contact_approval_id is not None:
        await withdraw_contact(session, case, language, now)
    return None


async def _find_of_case(session: AsyncSession, case: Row[Any]) -> Row[Any] | None:
    query = select(application).where(
        application.c.municipality == case.municipality, application.c.case_id == case.case_id
    )
    return (await session.execute(query.with_for_update())).one_or_none()


async def _write(
    session: AsyncSession,
    case: Row[Any],
    before: Row[Any] | None,
    versions: dict[str, int],
    contact_ref: UUID | None,
    submit_key: UUID,
    now: datetime,
) -> Row[Any]:
    rule = await get_rule(session, case.municipality, case.procedure)
    values = {
        "due_at": due_from(rule, now),
        "contact_ref": contact_ref,
        "state": "submitted",
        "items": versions,
        "submit_key": submit_key,
        "changed_at": now,
    }
    if before is not None:
        await untick_all(session, case.municipality, before.application_id)
        again: Row[Any] = (
            await session.execute(
                update(application)
                .where(
                    application.c.municipality == case.municipality,
                    application.c.application_id == before.application_id,
                )
                .values(**values, version=before.version + 1)
                .returning(application)
            )
        ).one()
        return again
    offered = (await procedure_of(session, case)).office
    for _ in range(NUMBER_TRIES):
        made = await session.execute(
            upsert(application)
            .values(
                municipality=case.municipality,
                application_id=uuid4(),
                number=make_number(secrets.choice, length=APPLICATION_LENGTH),
                case_id=case.case_id,
                procedure=case.procedure,
                office=offered,
                two_persons=rule.two_persons,
                subject_ref=case.subject_ref,
                guest_ref=case.guest_ref,
                version=1,
                submitted_at=now,
                **values,
            )
            .on_conflict_do_nothing(index_elements=["municipality", "number"])
            .returning(application)
        )
        row: Row[Any] | None = made.one_or_none()
        if row is not None:
            return row
    raise RuntimeError("no free application number")
