"""An offered chain: other times for what is still to come of an arrival, kept for its owner all together."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import refuse_broken_chain
from services.booking.commands.offers import KEPT, end_offer, offer_place
from services.booking.domain.closings import offer_until, offering
from services.booking.domain.one_stop import Chain, Errand, make_chain, make_part
from services.booking.domain.rules import Policy
from services.booking.queries.one_stop import list_movable, plan_moves, strictest
from services.booking.queries.slots import OpenSlot
from shared.errors import Refusal
from shared.passes import ERRANDS_MAX


class ChainOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept for an arrival's owner: all of its appointments, those among them that would stay where they are.

    `offers` are the places that are kept, by the procedure that they are for.
    """

    chain: Chain
    until: datetime
    offers: dict[str, UUID]

    @property
    def starts_at(self) -> datetime:
        """When they would have to come."""
        return self.chain.arrives_at


# One row for each appointment: the place that is kept for it, or else its own.
_FIND = text(f"""
    SELECT a.procedure, CAST(extract(epoch FROM a.chain_until - a.starts_at) / 60 AS integer) AS minutes,
           kept.offer_id, kept.until, coalesce(kept.person, a.chain_person) AS person,
           coalesce(kept.slot_id, a.slot_id) AS slot_id, coalesce(kept.counter, a.counter) AS counter,
           coalesce(kept.starts_at, a.starts_at) AS starts_at, coalesce(kept.ends_at, a.ends_at) AS ends_at,
           a.closure, a.starts_at > :now AS is_to_come
    FROM appointment a LEFT JOIN LATERAL (
        SELECT o.offer_id, o.until, o.person, o.slot_id, s.counter, s.starts_at, s.ends_at FROM {KEPT}
        WHERE (o.municipality, o.appointment_id) = (a.municipality, a.appointment_id) AND o.state = 'open'
          AND o.together_id IS NOT NULL AND o.until > :now) AS kept ON true
    WHERE a.municipality = :municipality AND a.chain_id = :chain_id AND a.state = 'booked'
    ORDER BY a.appointment_id LIMIT {ERRANDS_MAX}
""")


async def offer_chain(
    session: AsyncSession, ahead: Sequence[Any], policy: Policy, *, closed: Collection[UUID], now: datetime
) -> ChainOffer | None:
    """Keep the best chain for what is still to come of an arrival, on the day that is nearest to its own.

    `ahead` are its rows, which the caller has locked; what is not `closed` may stay where it is. None: there is no way
    to do all of it in one arrival, up to the horizon.
    """
    town, first = ahead[0].municipality, min(ahead, key=lambda row: (row.starts_at, row.number))
    errands = await list_movable(session, town, first.appointment_id, now=now)
    if len(errands) < len(ahead) or any(not errand.counters for errand in errands):
        return None
    old = {row.procedure: row for row in ahead}
    own = {
        code: OpenSlot(slot_id=row.slot_id, counter=row.counter, starts_at=row.starts_at, ends_at=row.ends_at, free=1)
        for code, row in old.items()
        if row.appointment_id not in closed
    }
    policy = await strictest(session, town, old, policy)
    chains = await plan_moves(
        session, town, first.appointment_id, errands, offering(policy), own=own, near=first.starts_at, now=now
    )
    for chain in chains:
        moved = {old[part.procedure].appointment_id: (part, part.person) for part in chain.parts}
        try:
            await refuse_broken_chain(session, town, first.chain_id, moved)
        except Refusal:
            continue
        offer = await _keep(session, chain, old, policy, now=now)
        if offer is not None:
            return offer
    return None


async def _keep(
    session: AsyncSession, chain: Chain, old: dict[str, Any], policy: Policy, *, now: datetime
) -> ChainOffer | None:
    """All of its places that are not had already, or none of them."""
    moving = [part for part in chain.parts if part.slot_id != old[part.procedure].slot_id]
    until = min(offer_until(policy, starts_at=part.starts_at, now=now) for part in moving)
    together_id = uuid4()
    offers: dict[str, UUID] = {}
    for part in sorted(moving, key=lambda part: (part.slot_id, part.person)):
        row = old[part.procedure]
        offer = await offer_place(
            session, row.municipality, row.appointment_id, part.slot_id,
            until=until, together_id=together_id, person=part.person, now=now,
        )  # fmt: skip
        if offer is None:
            if offers:
                given_back = old[next(iter(offers))]
                await end_offer(session, given_back.municipality, given_back.appointment_id, "withdrawn", now=now)
            return None
        offers[part.procedure] = offer.offer_id
    return ChainOffer(chain=chain, until=until, offers=offers)


async def find_chain_offer(
    session: AsyncSession, municipality: str, chain_id: UUID, *, now: datetime
) -> ChainOffer | None:
    """What is kept for an arrival's owner now, if all of it is."""
    asked = {"municipality": municipality, "chain_id": chain_id, "now": now}
    rows = (await session.execute(_FIND, asked)).all()
    offers = {row.procedure: row.offer_id for row in rows if row.offer_id is not None}
    if not offers or any(row.offer_id is None and row.closure != "none" for row in rows):
        return None
    parts = [
        make_part(Errand(procedure=row.procedure, counters=(row.counter,), minutes=row.minutes), row, row.person)
        for row in rows
        if row.offer_id is not None or row.is_to_come
    ]
    until = min(row.until for row in rows if row.until is not None)
    return ChainOffer(chain=make_chain(parts), until=until, offers=offers)
