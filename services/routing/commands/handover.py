"""Handing over: offer each item, show it, and hear yes or no. What has a yes crosses in a pass (`passes.py`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.commands.contact import forget_contact, give_contact, update_case, withdraw_contact
from services.routing.commands.names import withdraw_passed
from services.routing.commands.offers import (
    ShownOffer,
    Undecided,
    decline_expired,
    preview_offers,
    refuse_stale,
    standing_offers,
    write_decisions,
)
from services.routing.commands.protection import askable
from services.routing.commands.reuse import usable_sources
from services.routing.commands.vault import list_sources
from services.routing.domain.handover import CONTACT, read_answers
from services.routing.keys import Keys
from services.routing.tables import case_file
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.passes import BOOKING_ITEMS
from shared.tokens import Identity


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would pass, item by item."""

    procedure: str
    channel: str
    reach: str
    offers: tuple[ShownOffer, ...]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """Every item has its yes or no; these have a yes."""

    items: tuple[str, ...]


async def preview_handover(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> Preview | None:
    """Offer what this case could pass on, and show it; None when the person has to say something first or goes on
    online.

    A new offer is written to the ledger as offered and previewed, once; looking again is kept out of their history,
    unless it is staff who look.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    await decline_expired(session, case, now)
    passable = await passable_items(session, identity, case)
    if passable is None:
        return None
    await record_deed(session, identity, "view_handover", case_id, now=now)
    offers = await preview_offers(session, vault, identity, case, passable, now=now)
    return Preview(procedure=case.procedure, channel=case.channel, reach=case.reach, offers=offers)


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

    Answering the same again changes nothing. None: the person has to say something first, or goes on
    online.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    await decline_expired(session, case, now)
    passable = await passable_items(session, identity, case)
    if passable is None:
        return None
    offers = await standing_offers(session, case, passable, now)
    decisions, missing, is_stale = read_answers(offers, answers, shown, now)
    if is_stale or missing or len(offers) < len(passable):
        await refuse_stale(session, identity, case, passable, answers, shown, now)
        return Undecided(missing=tuple(missing), is_stale=is_stale or len(offers) < len(passable))
    wants_notices = any(decision.approved and decision.offer.item == CONTACT for decision in decisions)
    if wants_notices and case.contact_sealed is None and case.contact_ref is None:
        # Declined after it had been approved, and so forgotten: it has to be typed again.
        await forget_contact(session, case)
        return None

    newly_declined = [
        decision.offer.item
        for decision in decisions
        if not decision.approved and decision.offer.state != "declined" and decision.offer.item in BOOKING_ITEMS
    ]
    await withdraw_passed(session, case, newly_declined, now=now)
    approvals = await write_decisions(session, identity, case, passable, decisions, now)
    approved = [key for key in passable if key in approvals]
    if CONTACT in approved:
        await give_contact(session, keys, identity, case, approvals[CONTACT], language, now)
    elif case.contact_ref is not None and case.contact_approval_id is not None:
        await withdraw_contact(session, case, language, now)
    await session.execute(
        update_case(case).values(state="handed_over", updated_at=now, version=case_file.c.version + 1)
    )
    await record_deed(session, identity, "decide_handover", case_id, now=now)
    return Decided(items=tuple(approved))


async def passable_items(session: AsyncSession, identity: Identity, case: Row[Any]) -> dict[str, str] | None:
    """What this case could pass on now, by key, with the commitment to its value; None: nothing can pass.

    Online nothing is handed over, and what was sent has no appointment beside it. From another device nothing passes
    that was given anew in another case. The caller holds the case's lock.
    """
    if (
        case.channel == "online"
        or case.state in ("opened", "submitted")
        or case.subject_ref is None
        or case.reach is None
    ):
        return None
    sources = {source.key: source for source in await list_sources(session, case.municipality, case.subject_ref)}
    if case.guest_ref != identity.ref:
        usable = await usable_sources(session, case)
        sources = {key: source for key, source in sources.items() if usable.get(key) == source}
    declared = await askable(session, case.municipality, case.subject_ref, BOOKING_ITEMS, "booking")
    passable = {key: sources[key].commitment for key in declared if key in sources and key in (case.items or ())}
    if case.reach != "none":
        if case.contact_commitment is None:
            # The draft was not handed over in time and is forgotten.
            return None
        passable[CONTACT] = case.contact_commitment
    return passable
