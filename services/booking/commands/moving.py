"""Moving all of an arrival at once: the old places are theirs until every new one is certain."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chain_offers import find_chain_offer
from services.booking.commands.chains import is_ahead, lock_chain, lock_whole, refuse_broken_chain, watch_chain
from services.booking.commands.facts import tell, tell_as_one
from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.commands.locking import lock_places
from services.booking.commands.marks import mark_availability
from services.booking.commands.offers import end_offer
from services.booking.commands.one_stop import Wish, read_chain
from services.booking.commands.slots import FREE_PLACE
from services.booking.domain.one_stop import Chain, Part
from services.booking.domain.rules import JST, Policy, SlotTaken, refuse_too_late
from services.booking.queries.one_stop import list_movable
from services.booking.queries.rules import get_rules
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import AppointmentChanged
from shared.tokens import Identity


class MoveChain(msgspec.Struct, frozen=True, kw_only=True):
    """The order to move what is still to come of an arrival to other slots. `version` is that of `appointment_id`."""

    municipality: str
    appointment_id: UUID
    wishes: tuple[Wish, ...]
    version: int
    key: str
    staff: Identity | None = None


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """The appointments as they are now."""

    numbers: tuple[str, ...]


# What is kept for them comes first (`commands/offers.py`).
_PICK = text("""
    SELECT p.place_no FROM place p
    WHERE p.municipality = :municipality AND p.slot_id = :slot_id AND p.audience = 'public'
      AND p.appointment_id IS NULL
      AND (p.held_until IS NULL OR p.held_until <= :now OR p.hold_id = CAST(:offer_id AS uuid))
      AND p.place_no <> ALL (CAST(:picked AS integer[]))
    ORDER BY (p.hold_id = CAST(:offer_id AS uuid)) DESC NULLS LAST, p.place_no LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_TAKE = text("""
    UPDATE place SET appointment_id = :appointment_id, hold_id = NULL, held_by = NULL, held_until = NULL,
                     visit_id = CASE WHEN hold_id = CAST(:offer_id AS uuid) THEN visit_id END, part = 1, parts = 1,
                     changed_at = :now
    WHERE (municipality, slot_id, place_no) = (:municipality, :slot_id, :place_no)
""")
# While they move they are no chain: one may come to where another still is. The number in their hand is the chain's.
_LOOSEN = text("""
    UPDATE appointment
    SET chain_id = NULL, chain_person = NULL, chain_until = NULL, ticket_counter = NULL, ticket_no = NULL
    WHERE municipality = :municipality AND appointment_id = ANY (CAST(:appointments AS uuid[]))
""")
_MOVE = text("""
    UPDATE appointment a
    SET slot_id = s.slot_id, place_no = :place_no, counter = s.counter, office = coalesce(c.office, r.office, a.office),
        starts_at = s.starts_at, ends_at = s.ends_at, day = :day, version = a.version + 1, sequence = a.sequence + 1,
        changed_at = :now, closure = 'none', closing_id = NULL
    FROM slot s
    LEFT JOIN counter c ON (c.municipality, c.code) = (s.municipality, s.counter)
    LEFT JOIN counter_rule r ON (r.municipality, r.counter) = (s.municipality, s.counter)
    WHERE (a.municipality, a.appointment_id) = (:municipality, :appointment_id)
      AND (s.municipality, s.slot_id) = (:municipality, :slot_id)
""")
_BIND = text("""
    UPDATE appointment
    SET chain_id = :chain_id, chain_person = :person, chain_until = :until,
        -- A number is of a day.
        ticket_counter = CASE WHEN day = :had_day THEN CAST(:ticket_counter AS text) END,
        ticket_no = CASE WHEN day = :had_day THEN CAST(:ticket_no AS integer) END
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
    RETURNING *
""")


async def move_chain(session: AsyncSession, order: MoveChain, *, now: datetime) -> Moved:
    """Move every appointment of an arrival that is still to come, or none of them; who is where they should be stays.

    Raises:
        Refusal: `appointment_unknown` (404), `appointment_moved` (409, another version), `appointment_cancelled`,
            `appointment_started`, `change_too_late`, `chain_unfit`, `chain_broken`, `same_slot`, `slot_too_soon`,
            `slot_too_far`, `slot_closed`, `slot_taken` (409), `slot_unknown` (404), `key_reused` (422).
    """
    owner = f"appointment:{order.appointment_id}"
    hashed = request_hash("move", order.wishes, order.version)
    answered = await claim_key(session, order.municipality, owner, order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, Moved)
    await lock_chain(session, order.municipality, order.appointment_id)
    policy = (await get_rules(session, order.municipality)).policy
    ahead = await _lock_ahead(session, order, now=now)
    errands = await list_movable(session, order.municipality, order.appointment_id, now=now)
    own = {(row.slot_id, row.procedure) for row in ahead if row.closure == "none"}
    staying = [wish.slot_id for wish in order.wishes if (wish.slot_id, wish.procedure) in own]
    chain = await read_chain(
        session, order.municipality, order.wishes, [errand.errand for errand in errands], policy, had=staying, now=now
    )
    old = {row.procedure: row for row in ahead}
    for row in (old[part.procedure] for part in chain.parts if _moves(old[part.procedure], part)):
        refuse_too_late(policy, state=row.state, starts_at=row.starts_at, closed=row.closure != "none", now=now)
    moved = {old[part.procedure].appointment_id: (part, part.person) for part in chain.parts}
    await refuse_broken_chain(session, order.municipality, ahead[0].chain_id, moved)
    answer = Moved(numbers=await move_parts(session, ahead, chain, policy, staff=order.staff, now=now))
    await keep_answer(session, order.municipality, owner, order.key, answer)
    return answer


async def move_parts(
    session: AsyncSession, ahead: Sequence[Any], chain: Chain, policy: Policy, *, staff: Identity | None, now: datetime
) -> tuple[str, ...]:
    """Move these appointments, which the caller has locked, to the places of a chain of their procedures, or none.

    Returns the numbers of those that have moved; who is told, is told once.

    Raises:
        Refusal: `slot_taken`, `same_slot` (409).
    """
    municipality, old = ahead[0].municipality, {row.procedure: row for row in ahead}
    moving = [part for part in chain.parts if _moves(old[part.procedure], part)]
    if not moving:
        raise Refusal("same_slot", 409)
    rows = [old[part.procedure] for part in moving]
    ids = [row.appointment_id for row in rows]
    offer = await find_chain_offer(session, municipality, rows[0].chain_id, now=now)
    offers = offer.offers if offer else {}
    await lock_places(session, municipality, appointments=ids)
    places = await _pick(session, municipality, moving, offers, policy, now=now)
    names = {"municipality": municipality, "now": now}
    await session.execute(_LOOSEN, names | {"appointments": ids})
    for part in moving:
        row = old[part.procedure]
        mine = names | {"appointment_id": row.appointment_id}
        target = mine | {"slot_id": part.slot_id, "place_no": places[part.procedure]}
        await session.execute(_MOVE, target | {"day": part.starts_at.astimezone(JST).date()})
        await session.execute(FREE_PLACE, mine)
        await session.execute(_TAKE, target | {"offer_id": offers.get(part.procedure)})
    is_offered = offer is not None and _slots(offer.chain) == _slots(chain)
    for row in rows:
        await end_offer(session, municipality, row.appointment_id, "taken" if is_offered else "withdrawn", now=now)
    facts, numbers = [], []
    for part in moving:
        row = old[part.procedure]
        bound = {"chain_id": row.chain_id, "person": part.person, "until": part.done_at}
        had = {"had_day": row.day, "ticket_counter": row.ticket_counter, "ticket_no": row.ticket_no}
        moved = (await session.execute(_BIND, names | {"appointment_id": row.appointment_id} | bound | had)).one()
        facts.append(tell(AppointmentChanged, moved, now=now))
        await record_deed(session, staff, "change", moved.appointment_id, version=moved.version, now=now)
        numbers.append(moved.number)
    await outbox.publish(session, *tell_as_one(facts, until=max(part.done_at for part in moving)))
    counters = {row.counter for row in rows} | {part.counter for part in moving}
    await mark_availability(session, municipality, counters, now=now)
    await watch_chain(session, municipality, rows[0].chain_id, at=min(part.ends_at for part in moving), keep=True)
    return tuple(numbers)


def _moves(row: Any, part: Part) -> bool:
    """Whether it is another time, or somebody else goes; where a closing covers its time, it has to move."""
    return row.closure != "none" or (row.slot_id, row.chain_person) != (part.slot_id, part.person)


def _slots(chain: Chain) -> dict[str, UUID]:
    return {part.procedure: part.slot_id for part in chain.parts}


async def _lock_ahead(session: AsyncSession, order: MoveChain, *, now: datetime) -> Sequence[Any]:
    """What is to be moved, locked, if the one that was asked for is among it and is as it was seen."""
    rows = await lock_whole(session, order.municipality, order.appointment_id, now=now)
    ahead = [row for row in rows if row.chain_id is not None and is_ahead(row, now)]
    seen = next((row for row in ahead if row.appointment_id == order.appointment_id), None)
    if seen is None:
        raise Refusal("appointment_started", 409)
    if seen.version != order.version:
        raise Refusal("appointment_moved", 409)
    return ahead


async def _pick(
    session: AsyncSession,
    municipality: str,
    moving: Sequence[Part],
    offers: Mapping[str, UUID],
    policy: Policy,
    *,
    now: datetime,
) -> dict[str, int]:
    """The new places, locked, by procedure. As everywhere, in the order of the slots: who loses, loses at the first."""
    picked: dict[str, int] = {}
    for part in sorted(moving, key=lambda part: (part.slot_id, part.person)):
        beside = [picked[other.procedure] for other in moving
                  if other.slot_id == part.slot_id and other.procedure in picked]  # fmt: skip
        wanted = {"municipality": municipality, "slot_id": part.slot_id, "picked": beside, "now": now}
        asked = wanted | {"offer_id": offers.get(part.procedure)}
        place_no = (await session.execute(_PICK, asked)).scalar_one_or_none()
        if place_no is None:
            raise SlotTaken([part.counter], policy)
        picked[part.procedure] = place_no
    return picked
