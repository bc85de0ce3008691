"""Moving all of an arrival at once: the old places are theirs until every new one is certain."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import lock_chain, refuse_broken_chain
from services.booking.commands.facts import tell
from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.commands.marks import mark_availability
from services.booking.commands.offers import end_offer
from services.booking.commands.one_stop import Wish, read_chain
from services.booking.commands.slots import FREE_PLACE
from services.booking.domain.one_stop import Chain
from services.booking.domain.rules import JST, Policy, SlotTaken, refuse_too_late
from services.booking.queries.one_stop import list_movable
from services.booking.queries.rules import get_rules
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import AppointmentChanged
from shared.passes import ERRANDS_MAX
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


_AHEAD = text(f"""
    SELECT a.* FROM appointment me
    JOIN appointment a ON a.municipality = me.municipality AND a.chain_id = me.chain_id
    WHERE (me.municipality, me.appointment_id) = (:municipality, :appointment_id)
      AND a.state = 'booked' AND a.starts_at > :now
    ORDER BY a.appointment_id LIMIT {ERRANDS_MAX} FOR UPDATE OF a
""")
_PICK = text("""
    SELECT p.place_no FROM place p
    WHERE p.municipality = :municipality AND p.slot_id = :slot_id AND p.audience = 'public'
      AND p.appointment_id IS NULL AND (p.held_until IS NULL OR p.held_until <= :now)
      AND p.place_no <> ALL (CAST(:picked AS integer[]))
    ORDER BY p.place_no LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_TAKE = text("""
    UPDATE place SET appointment_id = :appointment_id, hold_id = NULL, held_by = NULL, held_until = NULL,
                     visit_id = NULL, part = 1, parts = 1, changed_at = :now
    WHERE (municipality, slot_id, place_no) = (:municipality, :slot_id, :place_no)
""")
# While they move they are no chain: one may come to where another still is.
_LOOSEN = text("""
    UPDATE appointment SET chain_id = NULL, chain_person = NULL, chain_until = NULL
    WHERE municipality = :municipality AND appointment_id = ANY (CAST(:appointments AS uuid[]))
""")
_MOVE = text("""
    UPDATE appointment a
    SET slot_id = s.slot_id, place_no = :place_no, counter = s.counter, office = coalesce(c.office, r.office, a.office),
        starts_at = s.starts_at, ends_at = s.ends_at, day = :day, version = a.version + 1, sequence = a.sequence + 1,
        changed_at = :now, closure = 'none', closing_id = NULL,
        ticket_no = CASE WHEN (a.counter, a.day) = (s.counter, :day) THEN a.ticket_no END
    FROM slot s
    LEFT JOIN counter c ON (c.municipality, c.code) = (s.municipality, s.counter)
    LEFT JOIN counter_rule r ON (r.municipality, r.counter) = (s.municipality, s.counter)
    WHERE (a.municipality, a.appointment_id) = (:municipality, :appointment_id)
      AND (s.municipality, s.slot_id) = (:municipality, :slot_id)
""")
_BIND = text("""
    UPDATE appointment SET chain_id = :chain_id, chain_person = :person, chain_until = :until
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
    RETURNING *
""")


async def move_chain(session: AsyncSession, order: MoveChain, *, now: datetime) -> Moved:
    """Move every appointment of an arrival that is still to come, or none of them.

    Raises:
        Refusal: `appointment_unknown` (404), `appointment_moved` (409, another version), `appointment_cancelled`,
            `appointment_started`, `change_too_late`, `chain_unfit`, `chain_broken`, `slot_too_soon`, `slot_too_far`,
            `slot_closed`, `slot_taken` (409), `slot_unknown` (404), `key_reused` (422).
    """
    owner = f"appointment:{order.appointment_id}"
    hashed = request_hash("move", order.wishes, order.version)
    answered = await claim_key(session, order.municipality, owner, order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, Moved)
    await lock_chain(session, order.municipality, order.appointment_id)
    policy = (await get_rules(session, order.municipality)).policy
    ahead = await _lock_ahead(session, order, policy, now=now)
    errands = await list_movable(session, order.municipality, order.appointment_id, now=now)
    chain = await read_chain(
        session, order.municipality, order.wishes, [errand.errand for errand in errands], policy, now=now
    )
    old = {row.procedure: row for row in ahead}
    moved = {old[part.procedure].appointment_id: (part, part.person) for part in chain.parts}
    await refuse_broken_chain(session, order.municipality, ahead[0].chain_id, moved)
    answer = Moved(numbers=await move_parts(session, ahead, chain, policy, staff=order.staff, now=now))
    await keep_answer(session, order.municipality, owner, order.key, answer)
    return answer


async def move_parts(
    session: AsyncSession, ahead: Sequence[Any], chain: Chain, policy: Policy, *, staff: Identity | None, now: datetime
) -> tuple[str, ...]:
    """Move these appointments, which the caller has locked, to the places of a chain of their procedures, or none.

    Returns their numbers; everybody is told.

    Raises:
        Refusal: `slot_taken` (409).
    """
    municipality, old = ahead[0].municipality, {row.procedure: row for row in ahead}
    places = await _pick(session, municipality, chain, policy, now=now)
    names = {"municipality": municipality, "now": now}
    await session.execute(_LOOSEN, names | {"appointments": [row.appointment_id for row in ahead]})
    for part in chain.parts:
        row = old[part.procedure]
        mine = names | {"appointment_id": row.appointment_id}
        target = mine | {"slot_id": part.slot_id, "place_no": places[part.procedure]}
        await session.execute(_MOVE, target | {"day": part.starts_at.astimezone(JST).date()})
        await session.execute(FREE_PLACE, mine)
        await session.execute(_TAKE, target)
        await end_offer(session, municipality, row.appointment_id, "withdrawn", now=now)
    numbers = []
    for part in chain.parts:
        row = old[part.procedure]
        bound = {"chain_id": row.chain_id, "person": part.person, "until": part.done_at}
        moved = (await session.execute(_BIND, names | {"appointment_id": row.appointment_id} | bound)).one()
        await outbox.publish(session, tell(AppointmentChanged, moved, now=now))
        await record_deed(session, staff, "change", moved.appointment_id, version=moved.version, now=now)
        numbers.append(moved.number)
    counters = {row.counter for row in ahead} | {part.counter for part in chain.parts}
    await mark_availability(session, municipality, counters, now=now)
    return tuple(numbers)


async def _lock_ahead(session: AsyncSession, order: MoveChain, policy: Policy, *, now: datetime) -> Sequence[Any]:
    """What is to be moved, locked, if the one that was asked for is among it and is as it was seen."""
    asked = {"municipality": order.municipality, "appointment_id": order.appointment_id, "now": now}
    ahead = (await session.execute(_AHEAD, asked)).all()
    seen = next((row for row in ahead if row.appointment_id == order.appointment_id), None)
    if seen is None:
        raise Refusal("appointment_started", 409)
    if seen.version != order.version:
        raise Refusal("appointment_moved", 409)
    for row in ahead:
        refuse_too_late(policy, state=row.state, starts_at=row.starts_at, closed=row.closure != "none", now=now)
    return ahead


async def _pick(
    session: AsyncSession, municipality: str, chain: Chain, policy: Policy, *, now: datetime
) -> dict[str, int]:
    """The new places, locked, by procedure. As everywhere, in the order of the slots: who loses, loses at the first."""
    picked: dict[str, int] = {}
    for part in sorted(chain.parts, key=lambda part: (part.slot_id, part.person)):
        beside = [picked[other.procedure] for other in chain.parts
                  if other.slot_id == part.slot_id and other.procedure in picked]  # fmt: skip
        wanted = {"municipality": municipality, "slot_id": part.slot_id, "picked": beside, "now": now}
        place_no = (await session.execute(_PICK, wanted)).scalar_one_or_none()
        if place_no is None:
            raise SlotTaken([part.counter], policy)
        picked[part.procedure] = place_no
    return picked
