"""Handing over: offer each item, show it, hear yes or no, and only then let it cross in a pass."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, Update, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.audit import record_staff_deed
from services.routing.commands.cases import DUE_CONTACT_DRAFT, PURPOSE_CONTACT, get_own_case
from services.routing.commands.vault import (
    STEP_YOU,
    Source,
    System,
    Use,
    Value,
    list_sources,
    read_values,
    seen_again,
    write_use,
    write_use_of_items,
)
from services.routing.domain.handover import (
    BOOKING_ITEMS,
    CONTACT,
    EXPIRED,
    OFFER_LIFETIME,
    SAME_PASS_TIME,
    Decision,
    Offer,
    Reach,
    read_answers,
    target_service,
)
from services.routing.keys import Keys
from services.routing.tables import SERVICE, case_file, contact, offer, outbox, pass_issued
from shared.crypto import SubjectVault
from shared.events.ledger import EntryType
from shared.events.routing import ContactGiven, SealedContact
from shared.messaging.due import schedule, unschedule
from shared.passes import PASS_LIFETIME, Pass, PassedItem, seal_pass
from shared.tokens import Identity

PURPOSE_CALL = "窓口でお名前をお呼びするため"
PURPOSE_CALL_BY_HELPER = "サポーターがお名前をお呼びするため"
PURPOSES = {"booking": PURPOSE_CALL, "notifications": PURPOSE_CONTACT}
# An offer that nobody answered in time becomes a decline: the worker writes it, or whoever opens the case before.
DUE_OFFERS = "offers_expired"
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
    channel: str = "counter"


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """The answers do not suffice: some are missing, or what was shown no longer stands and must be shown again."""

    missing: tuple[str, ...]
    is_stale: bool


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """Every item has its yes or no; these have a yes."""

    items: tuple[str, ...]


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """The pass that the browser carries to booking, and what is in it, or given to notifications with it."""

    sealed_pass: str
    items: tuple[str, ...]


async def preview_handover(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> Preview | None:
    """Offer what this case could pass on, and show it; None when the person has to say something first.

    A new offer is written to the ledger as offered and previewed, once; looking again is kept out of their history,
    unless it is staff who look.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True)
    await _decline_expired(session, case, now)
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
    if fresh:
        due_at = now + OFFER_LIFETIME
        await schedule(
            session, SERVICE, municipality=identity.municipality, kind=DUE_OFFERS, ref=str(case_id), due_at=due_at
        )
    for service in ("booking", "notifications"):
        chosen = {key: passable[key] for key in fresh if target_service(key) == service}
        if chosen:
            await write_use(session, identity, case.subject_ref, _use(case, "offered", service), chosen, now=now)
    await record_staff_deed(session, identity, action="view_handover", ref=str(case_id), now=now)
    values = await _show(session, vault, identity, case, fresh, now, is_first=True)
    values |= await _show(session, vault, identity, case, [key for key in passable if key not in fresh], now,
                          is_first=False)  # fmt: skip
    answers: dict[str, Literal["yes", "no", ""]] = {"approved": "yes", "declined": "no"}
    return Preview(
        procedure=case.procedure,
        channel=case.channel,
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
) -> Decided | Undecided | None:
    """Write what the person approved and declined, and give the contact to notifications. `make_pass` carries the rest.

    Answering the same again changes nothing. None: the person has to say something first.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True)
    await _decline_expired(session, case, now)
    passable = await _passable(session, case)
    if passable is None:
        return None
    offers = await _standing_offers(session, case, passable, now)
    decisions, missing, is_stale = read_answers(offers, answers, shown, now)
    if is_stale or missing or len(offers) < len(passable):
        return Undecided(missing=tuple(missing), is_stale=is_stale or len(offers) < len(passable))
    wants_notices = any(decision.approved and decision.offer.item == CONTACT for decision in decisions)
    if wants_notices and case.contact_sealed is None and case.contact_ref is None:
        # Declined after it had been approved, and so forgotten: it has to be typed again.
        await _forget_contact(session, case)
        return None

    approvals = await _write_decisions(session, identity, case, passable, decisions, now)
    approved = [key for key in passable if key in approvals]
    if CONTACT in approved:
        await _give_contact(session, keys, identity, case, approvals[CONTACT], language, now)
    elif case.contact_ref is not None and case.contact_approval_id is not None:
        await _withdraw_contact(session, case, language, now)
    await session.execute(
        _update_case(case).values(state="handed_over", updated_at=now, version=case_file.c.version + 1)
    )
    await record_staff_deed(session, identity, action="decide_handover", ref=str(case_id), now=now)
    return Decided(items=tuple(approved))


async def make_pass(
    session: AsyncSession, keys: Keys, *, identity: Identity, case_id: UUID, language: str, now: datetime
) -> HandedOver | None:
    """Make the pass of what the person decided. None: something is to be decided, or said, first.

    Made again soon, it is the same pass (`SAME_PASS_TIME`); the history of the resident has the approval once, and the
    ledger each time that the values were opened. After another decision it is another pass.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True)
    passable = await _passable(session, case) if case.state == "handed_over" else None
    if passable is None:
        return None
    offers = await _standing_offers(session, case, passable, now)
    if len(offers) < len(passable) or any(shown.state not in ("approved", "declined") for shown in offers):
        return None
    approvals = {shown.item: UUID(shown.approval_id) for shown in offers if shown.approval_id is not None}
    pass_id, issued_at, is_again = await _issue_pass(session, case, list(approvals), now)
    contact_ref = case.contact_ref if CONTACT in approvals else None
    ticket = Pass(
        pass_id=pass_id,
        municipality=identity.municipality,
        guest_ref=identity.ref,
        subject_ref=case.subject_ref,
        case_id=case_id,
        procedure=case.procedure,
        items=await _open_for_pass(session, keys.vault, identity, case, approvals, now, is_again=is_again),
        contact_ref=contact_ref,
        reach=case.reach if contact_ref is not None else "none",
        channel="helper" if case.channel == "helper" else "counter",
        language=language,
        issued_at=issued_at,
        expires_at=now + PASS_LIFETIME,
    )
    await record_staff_deed(session, identity, action="make_pass", ref=str(case_id), now=now)
    return HandedOver(sealed_pass=seal_pass(keys.box, "booking", PASS_PURPOSE, ticket), items=tuple(approvals))


async def expire_offers(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: a preview that nobody answered is declined."""
    query = select(case_file).where(case_file.c.municipality == municipality, case_file.c.case_id == UUID(ref))
    case = (await session.execute(query.with_for_update())).one_or_none()
    if case is not None:
        await _decline_expired(session, case, now)


async def _decline_expired(session: AsyncSession, case: Row[Any], now: datetime) -> None:
    """Decline what was offered and not answered in time, once. The caller holds the case's lock."""
    rows = await session.execute(
        update(offer)
        .where(
            offer.c.municipality == case.municipality,
            offer.c.case_id == case.case_id,
            offer.c.state.in_(("offered", "previewed")),
            offer.c.expires_at <= now,
        )
        .values(state="declined", decided_at=now)
        .returning(offer.c.item, offer.c.commitment)
    )
    expired: dict[str, dict[str, str]] = {}
    for row in rows:
        expired.setdefault(target_service(row.item), {})[row.item] = row.commitment
    for service, chosen in sorted(expired.items()):
        use = msgspec.structs.replace(_use(case, "declined", service), outcome=EXPIRED)
        await write_use(session, System(municipality=case.municipality), case.subject_ref, use, chosen, now=now)


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
                use = seen_again(identity, msgspec.structs.replace(use, outcome="shown_again"))
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
            use = _use(case, "approved" if is_approved else "declined", service, approval_id if is_approved else None)
            if is_approved and service == "booking":
                await write_use_of_items(session, identity, case.subject_ref, use, list(chosen), now=now)
                continue
            source = await _contact_source(session, case) if service == "notifications" else None
            await write_use(session, identity, case.subject_ref, use, chosen, source=source, now=now)
    return approvals


async def _issue_pass(
    session: AsyncSession, case: Row[Any], items: list[str], now: datetime
) -> tuple[UUID, datetime, bool]:
    """Note that a pass with these items is made: its id, since when there is this one, and whether it is made again."""
    mine = (pass_issued.c.municipality == case.municipality, pass_issued.c.case_id == case.case_id)
    decided_since = exists().where(
        offer.c.municipality == case.municipality,
        offer.c.case_id == case.case_id,
        offer.c.decided_at >= pass_issued.c.issued_at,
    )
    query = (
        select(pass_issued.c.pass_id, pass_issued.c.issued_at)
        .where(
            *mine,
            pass_issued.c["items"] == items,
            pass_issued.c.channel == case.channel,
            pass_issued.c.issued_at > now - SAME_PASS_TIME,
            ~decided_since,
        )
        .order_by(pass_issued.c.issued_at.desc())
        .limit(1)
    )
    known = (await session.execute(query)).one_or_none()
    expires_at = now + PASS_LIFETIME
    if known is not None:
        again = update(pass_issued).where(*mine, pass_issued.c.pass_id == known.pass_id)
        await session.execute(again.values(expires_at=expires_at))
        return known.pass_id, known.issued_at, True
    pass_id = uuid4()
    await session.execute(
        insert(pass_issued).values(
            municipality=case.municipality,
            pass_id=pass_id,
            case_id=case.case_id,
            items=items,
            channel=case.channel,
            issued_at=now,
            expires_at=expires_at,
        )
    )
    return pass_id, now, False


async def _open_for_pass(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    approvals: Mapping[str, UUID],
    now: datetime,
    *,
    is_again: bool,
) -> tuple[PassedItem, ...]:
    """The values of what was approved for booking. Each reading is an entry that cites the approval."""
    values: dict[str, Value] = {}
    for approval_id in dict.fromkeys(approvals.values()):
        chosen = [key for key in BOOKING_ITEMS if approvals.get(key) == approval_id]
        if not chosen:
            continue
        use = msgspec.structs.replace(
            _use(case, "approved", "booking", approval_id),
            outcome="another_pass" if is_again else "handed_over",
            visibility="internal",
        )
        values |= await read_values(
            session, vault, identity=identity, subject_ref=case.subject_ref, keys=chosen, use=use, now=now
        )
    return tuple(
        PassedItem(key=key, value=values[key].value, approval_id=approvals[key])
        for key in BOOKING_ITEMS
        if key in values
    )


async def _give_contact(
    session: AsyncSession,
    keys: Keys,
    identity: Identity,
    case: Row[Any],
    approval_id: UUID,
    language: str,
    now: datetime,
) -> None:
    """Give the contact to notifications, sealed, and blank our draft of it.

    Given before: notifications keeps the address and learns by which approval, of which case, it is used from now on.
    """
    if case.contact_ref is not None:
        if case.contact_approval_id != approval_id:
            await _publish_contact(session, case, case.reach, case.case_id, approval_id, language, now)
            await session.execute(_update_case(case).values(contact_approval_id=approval_id))
        return
    use = msgspec.structs.replace(
        _use(case, "approved", "notifications", approval_id), outcome="handed_over", visibility="internal"
    )
    values = await read_values(
        session, keys.vault, identity=identity, subject_ref=case.subject_ref, keys=[CONTACT], use=use, now=now
    )
    contact_ref = uuid4()
    await session.execute(
        insert(contact).values(
            municipality=identity.municipality,
            contact_ref=contact_ref,
            version=1,
            procedure=case.procedure,
            case_id=case.case_id,
            step=STEP_YOU,
            collected_at=case.contact_given_at,
        )
    )
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
        _update_case(case).values(contact_sealed=None, contact_ref=contact_ref, contact_approval_id=approval_id)
    )
    await unschedule(
        session, SERVICE, municipality=identity.municipality, kind=DUE_CONTACT_DRAFT, ref=str(case.case_id)
    )


async def _withdraw_contact(session: AsyncSession, case: Row[Any], language: str, now: datetime) -> None:
    """This case's approval is taken back. Notifications forgets the address, unless another case's approval stands."""
    same_contact = (
        case_file.c.municipality == case.municipality,
        case_file.c.subject_ref == case.subject_ref,
        case_file.c.contact_ref == case.contact_ref,
    )
    other = (
        await session.execute(
            select(case_file)
            .where(*same_contact, case_file.c.case_id != case.case_id, case_file.c.contact_approval_id.is_not(None))
            .order_by(case_file.c.updated_at.desc())
            .limit(1)
        )
    ).one_or_none()
    if other is not None:
        await _publish_contact(session, case, other.reach, other.case_id, other.contact_approval_id, language, now)
        await session.execute(_update_case(case).values(contact_approval_id=None))
        return
    await _publish_contact(session, case, "none", case.case_id, case.contact_approval_id, language, now)
    # Cases that only took it over have nothing to offer any more; this one remembers what was declined.
    await session.execute(
        update(case_file)
        .where(*same_contact, case_file.c.case_id != case.case_id)
        .values(contact_ref=None, contact_commitment=None, contact_given_at=None)
    )
    await session.execute(_update_case(case).values(contact_ref=None, contact_approval_id=None))


async def _publish_contact(
    session: AsyncSession,
    case: Row[Any],
    reach: Reach,
    case_id: UUID,
    approval_id: UUID,
    language: str,
    now: datetime,
) -> None:
    """The next version of a contact that notifications has: never with the address, which we do not keep."""
    version = (
        await session.execute(
            update(contact)
            .where(contact.c.municipality == case.municipality, contact.c.contact_ref == case.contact_ref)
            .values(version=contact.c.version + 1)
            .returning(contact.c.version)
        )
    ).scalar_one()
    event = ContactGiven(
        event_id=uuid4(),
        municipality=case.municipality,
        aggregate_id=str(case.contact_ref),
        aggregate_version=version,
        occurred_at=now,
        contact_ref=case.contact_ref,
        subject_ref=case.subject_ref,
        reach=reach,
        language=language,
        approval_id=approval_id,
        case_id=case_id,
    )
    await outbox.publish(session, event)


async def _forget_contact(session: AsyncSession, case: Row[Any]) -> None:
    await session.execute(_update_case(case).values(contact_commitment=None, contact_given_at=None))


def _update_case(case: Row[Any]) -> Update:
    return update(case_file).where(case_file.c.municipality == case.municipality, case_file.c.case_id == case.case_id)


def _use(case: Row[Any], entry_type: EntryType, service: str, approval_id: UUID | None = None) -> Use:
    return Use(
        entry_type=entry_type,
        case_id=case.case_id,
        procedure=case.procedure,
        target_service=service,
        target_step=STEPS[service],
        purpose=PURPOSE_CALL_BY_HELPER if (service, case.channel) == ("booking", "helper") else PURPOSES[service],
        legal_basis="appi_69_2_1",
        explicit_request=entry_type == "approved",
        approval_id=approval_id,
    )


async def _contact_source(session: AsyncSession, case: Row[Any]) -> Source:
    """Where the contact was typed: in this case, or in the one that it was taken over from."""
    origin = None
    if case.contact_ref is not None:
        query = select(contact).where(
            contact.c.municipality == case.municipality, contact.c.contact_ref == case.contact_ref
        )
        origin = (await session.execute(query)).one_or_none()
    return Source(
        key=CONTACT,
        version=1,
        commitment=case.contact_commitment,
        procedure=origin.procedure if origin else case.procedure,
        case_id=origin.case_id if origin else case.case_id,
        step=origin.step if origin else STEP_YOU,
        collected_at=origin.collected_at if origin else case.contact_given_at,
    )
