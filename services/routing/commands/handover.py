"""Handing over: offer each item, show it, hear yes or no, and only then let it cross in a pass."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.audit import record_staff_deed
from services.routing.commands.cases import DUE_CONTACT_DRAFT, PURPOSE_CONTACT, get_own_case
from services.routing.commands.vault import Source, Use, list_sources, read_values, write_use
from services.routing.domain.handover import (
    BOOKING_ITEMS,
    CONTACT,
    OFFER_LIFETIME,
    Decision,
    Offer,
    read_answers,
    target_service,
)
from services.routing.keys import Keys
from services.routing.tables import SERVICE, case_file, offer, outbox, pass_issued
from shared.crypto import SubjectVault
from shared.events.ledger import EntryType
from shared.events.routing import ContactGiven, SealedContact
from shared.messaging.due import unschedule
from shared.passes import PASS_LIFETIME, Pass, PassedItem, seal_pass
from shared.tokens import Identity

PURPOSE_CALL = "窓口でお名前をお呼びするため"
PURPOSES = {"booking": PURPOSE_CALL, "notifications": PURPOSE_CONTACT}
STEPS = {"booking": "book", "notifications": CONTACT}
PASS_PURPOSE = "book"  # noqa: S105  a purpose, not a secret
SEAL_PURPOSE = "contact"
OFFERS_MAX = 200


class ShownOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the preview. `value` None: a contact that was handed over before and is no longer kept here."""

    offer_id: str
    item: str
    target: str
    value: str | None
    answer: Literal["yes", "no", ""]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would pass, item by item."""

    procedure: str
    reach: str
    offers: tuple[ShownOffer, ...]


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """The answers do not suffice: some are missing, or what was shown no longer stands and must be shown again."""

    missing: tuple[str, ...]
    is_stale: bool


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """The pass that the browser carries to booking."""

    sealed_pass: str
    expires_at: datetime
    items: tuple[str, ...]


async def preview_handover(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> Preview | None:
    """Offer what this case could pass on, and show it; None when the person has to say something first.

    A new offer is written to the ledger as offered and previewed, once; looking again is kept out of their history.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True)
    passable = await _passable(session, case)
    if passable is None:
        return None
    standing = {shown.item: shown for shown in await _standing_offers(session, case, passable, now)}
    fresh = [key for key in passable if key not in standing]
    for key in fresh:
        standing[key] = Offer(
            offer_id=str(uuid4()), item=key, state="previewed", approval_id=None, expires_at=now + OFFER_LIFETIME
        )
        await session.execute(
            insert(offer).values(
                municipality=identity.municipality,
                offer_id=UUID(standing[key].offer_id),
                case_id=case_id,
                item=key,
                commitment=passable[key],
                state="previewed",
                offered_at=now,
                expires_at=standing[key].expires_at,
            )
        )
    for service in ("booking", "notifications"):
        chosen = {key: passable[key] for key in fresh if target_service(key) == service}
        if chosen:
            await write_use(session, identity, case.subject_ref, _use(case, "offered", service), chosen, now=now)
    values = await _show(session, vault, identity, case, fresh, now, is_first=True)
    values |= await _show(session, vault, identity, case, [key for key in passable if key not in fresh], now,
                          is_first=False)  # fmt: skip
    answers: dict[str, Literal["yes", "no", ""]] = {"approved": "yes", "declined": "no"}
    return Preview(
        procedure=case.procedure,
        reach=case.reach,
        offers=tuple(
            ShownOffer(
                offer_id=standing[key].offer_id,
                item=key,
                target=target_service(key),
                value=values.get(key),
                answer=answers.get(standing[key].state, ""),
            )
            for key in passable
        ),
    )


async def decide_handover(
    session: AsyncSession,
    keys: Keys,
    *,
    identity: Identity,
    case_id: UUID,
    answers: Mapping[str, str],
    shown: Mapping[str, str],
    language: str,
    now: datetime,
) -> HandedOver | Undecided | None:
    """Write what the person approved and declined, give the contact to notifications, and make a fresh pass.

    Answering the same again gives another pass and changes nothing else. None: the person has to say something first.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True)
    passable = await _passable(session, case)
    if passable is None:
        return None
    offers = await _standing_offers(session, case, passable, now)
    decisions, missing, is_stale = read_answers(offers, answers, shown, now)
    if is_stale or missing or len(offers) < len(passable):
        return Undecided(missing=tuple(missing), is_stale=is_stale or len(offers) < len(passable))

    approvals = await _write_decisions(session, identity, case, passable, decisions, now)
    approved = [key for key in passable if key in approvals]
    contact_ref = None
    if CONTACT in approved:
        contact_ref = await _give_contact(session, keys, identity, case, approvals[CONTACT], language, now)
    items = await _open_for_pass(session, keys.vault, identity, case, approvals, decisions, now)
    ticket = Pass(
        pass_id=uuid4(),
        municipality=identity.municipality,
        guest_ref=identity.ref,
        subject_ref=case.subject_ref,
        case_id=case_id,
        procedure=case.procedure,
        items=items,
        contact_ref=contact_ref,
        reach=case.reach if contact_ref is not None else "none",
        issued_at=now,
        expires_at=now + PASS_LIFETIME,
    )
    await session.execute(
        insert(pass_issued).values(
            municipality=identity.municipality,
            pass_id=ticket.pass_id,
            case_id=case_id,
            items=approved,
            issued_at=now,
            expires_at=ticket.expires_at,
        )
    )
    await session.execute(
        update(case_file)
        .where(case_file.c.municipality == identity.municipality, case_file.c.case_id == case_id)
        .values(state="handed_over", updated_at=now, version=case_file.c.version + 1)
    )
    await record_staff_deed(session, identity, action="decide_handover", ref=str(case_id), now=now)
    sealed = seal_pass(keys.box, "booking", PASS_PURPOSE, ticket)
    return HandedOver(sealed_pass=sealed, expires_at=ticket.expires_at, items=tuple(approved))


async def _passable(session: AsyncSession, case: Row[Any]) -> dict[str, str] | None:
    """What this case could pass on now, by key, with the commitment to its value."""
    if case.state == "opened" or case.subject_ref is None or case.reach is None:
        return None
    sources = {source.key: source for source in await list_sources(session, case.municipality, case.subject_ref)}
    passable = {key: sources[key].commitment for key in BOOKING_ITEMS if key in sources and key in (case.items or ())}
    if case.reach != "none":
        if case.contact_commitment is None:
            # The draft was not handed over in time and is forgotten.
            return None
        passable[CONTACT] = case.contact_commitment
    return passable


async def _standing_offers(
    session: AsyncSession, case: Row[Any], passable: Mapping[str, str], now: datetime
) -> list[Offer]:
    """The newest offer of each item that is neither expired nor about another value."""
    rows = await session.execute(
        select(offer)
        .where(offer.c.municipality == case.municipality, offer.c.case_id == case.case_id, offer.c.expires_at > now)
        .order_by(offer.c.offered_at.desc())
        .limit(OFFERS_MAX)
    )
    newest: dict[str, Offer] = {}
    for row in rows:
        if passable.get(row.item) == row.commitment and row.item not in newest:
            newest[row.item] = Offer(
                offer_id=str(row.offer_id),
                item=row.item,
                state=row.state,
                approval_id=str(row.approval_id) if row.approval_id else None,
                expires_at=row.expires_at,
            )
    return [newest[key] for key in passable if key in newest]


async def _show(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    items: Sequence[str],
    now: datetime,
    *,
    is_first: bool,
) -> dict[str, str]:
    values: dict[str, str] = {}
    for service in ("booking", "notifications"):
        chosen = [key for key in items if target_service(key) == service]
        if chosen:
            use = _use(case, "previewed", service)
            if not is_first:
                use = msgspec.structs.replace(use, outcome="shown_again", visibility="internal")
            read = await read_values(
                session, vault, identity=identity, subject_ref=case.subject_ref, keys=chosen, use=use, now=now
            )
            values |= {key: value.value for key, value in read.items()}
    return values


async def _write_decisions(
    session: AsyncSession,
    identity: Identity,
    case: Row[Any],
    passable: Mapping[str, str],
    decisions: Sequence[Decision],
    now: datetime,
) -> dict[str, UUID]:
    """Write what is newly approved or declined; return the approval of every approved item."""
    approvals: dict[str, UUID] = {}
    for service in ("booking", "notifications"):
        group = [decision for decision in decisions if target_service(decision.offer.item) == service]
        approval_id = uuid4()
        for decision in group:
            if not decision.approved:
                continue
            before = decision.offer.approval_id
            is_same = decision.offer.state == "approved" and before is not None
            approvals[decision.offer.item] = UUID(before) if is_same and before else approval_id
        for is_approved, state in ((True, "approved"), (False, "declined")):
            changed = [
                decision.offer
                for decision in group
                if decision.approved is is_approved and decision.offer.state != state
            ]
            if not changed:
                continue
            await session.execute(
                update(offer)
                .where(
                    offer.c.municipality == identity.municipality,
                    offer.c.offer_id.in_([UUID(changed_offer.offer_id) for changed_offer in changed]),
                )
                .values(state=state, approval_id=approval_id if is_approved else None, decided_at=now)
            )
            chosen = {changed_offer.item: passable[changed_offer.item] for changed_offer in changed}
            if is_approved and service == "booking":
                # The reading that fills the pass writes this entry: see `_open_for_pass`.
                continue
            use = _use(case, "approved" if is_approved else "declined", service, approval_id if is_approved else None)
            source = _contact_source(case) if service == "notifications" else None
            await write_use(session, identity, case.subject_ref, use, chosen, source=source, now=now)
    return approvals


async def _open_for_pass(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    approvals: Mapping[str, UUID],
    decisions: Sequence[Decision],
    now: datetime,
) -> tuple[PassedItem, ...]:
    """The values of what was approved for booking. The reading is the approval's entry in the ledger."""
    again = {decision.offer.item for decision in decisions if decision.approved and decision.offer.state == "approved"}
    items: list[PassedItem] = []
    for is_again in (False, True):
        chosen = [key for key in BOOKING_ITEMS if key in approvals and (key in again) is is_again]
        if not chosen:
            continue
        use = _use(case, "approved", "booking", approvals[chosen[0]])
        if is_again:
            use = msgspec.structs.replace(use, outcome="another_pass", visibility="internal")
        values = await read_values(
            session, vault, identity=identity, subject_ref=case.subject_ref, keys=chosen, use=use, now=now
        )
        items += [
            PassedItem(key=key, value=values[key].value, approval_id=approvals[key]) for key in chosen if key in values
        ]
    return tuple(items)


async def _give_contact(
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    case: Row[Any],
    approval_id: UUID,
    language: str,
    now: datetime,
) -> UUID:
    """Give the contact to notifications, sealed, and blank our draft of it. Given before: only its reference."""
    if case.contact_ref is not None:
        return UUID(str(case.contact_ref))
    use = msgspec.structs.replace(
        _use(case, "approved", "notifications", approval_id), outcome="handed_over", visibility="internal"
    )
    values = await read_values(
        session, keys.vault, identity=identity, subject_ref=case.subject_ref, keys=[CONTACT], use=use, now=now
    )
    contact_ref = uuid4()
    address = msgspec.msgpack.encode(SealedContact(address=values[CONTACT].value))
    await outbox.publish(
        session,
        ContactGiven(
            event_id=uuid4(),
            municipality=identity.municipality,
            aggregate_id=str(contact_ref),
            aggregate_version=1,
            occurred_at=now,
            sealed=keys.box.seal_for("notifications", SEAL_PURPOSE, address),
            contact_ref=contact_ref,
            subject_ref=case.subject_ref,
            reach=case.reach,
            language=language,
            approval_id=approval_id,
            case_id=case.case_id,
        ),
    )
    await session.execute(
        update(case_file)
        .where(case_file.c.municipality == identity.municipality, case_file.c.case_id == case.case_id)
        .values(contact_sealed=None, contact_ref=contact_ref, contact_approval_id=approval_id)
    )
    await unschedule(
        session, SERVICE, municipality=identity.municipality, kind=DUE_CONTACT_DRAFT, ref=str(case.case_id)
    )
    return contact_ref


def _use(case: Row[Any], entry_type: EntryType, service: str, approval_id: UUID | None = None) -> Use:
    return Use(
        entry_type=entry_type,
        case_id=case.case_id,
        procedure=case.procedure,
        target_service=service,
        target_step=STEPS[service],
        purpose=PURPOSES[service],
        legal_basis="appi_69_2_1",
        explicit_request=entry_type == "approved",
        approval_id=approval_id,
    )


def _contact_source(case: Row[Any]) -> Source:
    return Source(
        key=CONTACT,
        version=1,
        commitment=case.contact_commitment,
        procedure=case.procedure,
        case_id=case.case_id,
        step="you",
        collected_at=case.contact_given_at,
    )
