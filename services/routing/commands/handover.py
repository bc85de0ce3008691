"""Handing over: offer each item, show it, hear yes or no, and only then let it cross in a pass."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.audit import record_staff_deed
from services.routing.commands.cases import get_own_case
from services.routing.commands.contact import forget_contact, give_contact, update_case, withdraw_contact
from services.routing.commands.offers import (
    ShownOffer,
    Undecided,
    decline_expired,
    preview_offers,
    standing_offers,
    write_decisions,
)
from services.routing.commands.uses import case_use
from services.routing.commands.vault import list_sources, read_values
from services.routing.domain.handover import BOOKING_ITEMS, CONTACT, Decision, read_answers
from services.routing.keys import Keys
from services.routing.tables import case_file, pass_issued
from shared.crypto import SubjectVault
from shared.passes import PASS_LIFETIME, Pass, PassedItem, seal_pass
from shared.tokens import Identity

PASS_PURPOSE = "book"  # noqa: S105  a purpose, not a secret


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would pass, item by item."""

    procedure: str
    reach: str
    offers: tuple[ShownOffer, ...]


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """The pass that the browser carries to booking."""

    sealed_pass: str
    expires_at: datetime
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
    await decline_expired(session, case, now)
    passable = await passable_items(session, case)
    if passable is None:
        return None
    await record_staff_deed(session, identity, action="view_handover", ref=str(case_id), now=now)
    offers = await preview_offers(session, vault, identity, case, passable, now=now)
    return Preview(procedure=case.procedure, reach=case.reach, offers=offers)


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
    await decline_expired(session, case, now)
    passable = await passable_items(session, case)
    if passable is None:
        return None
    offers = await standing_offers(session, case, passable, now)
    decisions, missing, is_stale = read_answers(offers, answers, shown, now)
    if is_stale or missing or len(offers) < len(passable):
        return Undecided(missing=tuple(missing), is_stale=is_stale or len(offers) < len(passable))
    wants_notices = any(decision.approved and decision.offer.item == CONTACT for decision in decisions)
    if wants_notices and case.contact_sealed is None and case.contact_ref is None:
        # Declined after it had been approved, and so forgotten: it has to be typed again.
        await forget_contact(session, case)
        return None

    approvals = await write_decisions(session, identity, case, passable, decisions, now)
    approved = [key for key in passable if key in approvals]
    contact_ref = None
    if CONTACT in approved:
        contact_ref = await give_contact(session, keys, identity, case, approvals[CONTACT], language, now)
    elif case.contact_ref is not None and case.contact_approval_id is not None:
        await withdraw_contact(session, case, language, now)
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
        update_case(case).values(state="handed_over", updated_at=now, version=case_file.c.version + 1)
    )
    await record_staff_deed(session, identity, action="decide_handover", ref=str(case_id), now=now)
    sealed = seal_pass(keys.box, "booking", PASS_PURPOSE, ticket)
    return HandedOver(sealed_pass=sealed, expires_at=ticket.expires_at, items=tuple(approved))


async def passable_items(session: AsyncSession, case: Row[Any]) -> dict[str, str] | None:
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
        use = case_use(case, "approved", "booking", approvals[chosen[0]])
        if is_again:
            use = msgspec.structs.replace(use, outcome="another_pass", visibility="internal")
        values = await read_values(
            session, vault, identity=identity, subject_ref=case.subject_ref, keys=chosen, use=use, now=now
        )
        items += [
            PassedItem(key=key, value=values[key].value, approval_id=approvals[key]) for key in chosen if key in values
        ]
    return tuple(items)
