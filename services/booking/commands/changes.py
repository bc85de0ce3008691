"""The resident moves or cancels their appointment. The old place is theirs until the new one is certain."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.asking import ask_anew, release_helper
from services.booking.commands.chains import lock_chain, lock_whole, refuse_broken_chain
from services.booking.commands.draws import pass_on_later
from services.booking.commands.facts import tell, tell_as_one
from services.booking.commands.help_returns import is_untold, look_again
from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.commands.locking import lock_appointments, lock_places
from services.booking.commands.marks import mark_availability
from services.booking.commands.offers import End, end_offer, find_offer
from services.booking.commands.slots import FREE_PLACE
from services.booking.commands.venues import bring_venues
from services.booking.commands.waitlist import follow_move
from services.booking.domain.rules import JST, SlotTaken, policy_for, refuse_too_late, refuse_unbookable
from services.booking.queries.rules import get_rules
from services.booking.queries.runs import find_run
from services.booking.queries.services import fit_services, read_services
from services.booking.queries.slots import WHERE_DONE
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import AppointmentCancelled, AppointmentChanged
from shared.tokens import Identity


class ChangeAppointment(msgspec.Struct, frozen=True, kw_only=True):
    """The order to move an appointment to another slot. `version` is the one that the resident saw."""

    municipality: str
    appointment_id: UUID
    slot_id: UUID
    version: int
    key: str
    staff: Identity | None = None


class CancelAppointment(msgspec.Struct, frozen=True, kw_only=True):
    """The order to cancel an appointment, or the `whole` arrival that it belongs to."""

    municipality: str
    appointment_id: UUID
    version: int
    key: str
    staff: Identity | None = None
    whole: bool = False


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What an appointment is now."""

    appointment_id: UUID
    number: str
    version: int


_TARGET = text(f"""
    SELECT s.slot_id, s.counter, s.starts_at, s.ends_at, s.withdrawn, coalesce(k.office, r.office) AS office,
           c.notice_min, c.horizon_days,
           {WHERE_DONE.format(channel="CAST(:channel AS text)", procedure="c")} AS counters
    FROM slot s
    LEFT JOIN procedure c ON c.municipality = s.municipality AND c.code = :procedure
    LEFT JOIN counter k ON (k.municipality, k.code) = (s.municipality, s.counter)
    LEFT JOIN counter_rule r ON (r.municipality, r.counter) = (s.municipality, s.counter)
    WHERE (s.municipality, s.slot_id) = (:municipality, :slot_id)
""")
# A place of each slot. What is kept for them comes first (`commands/offers.py`); a time that they need in one piece may
# overlap the one that they have.
_PICK = text("""
    SELECT one.place_no FROM unnest(CAST(:slots AS uuid[])) WITH ORDINALITY AS wanted(slot_id, part), LATERAL (
        SELECT p.place_no FROM place p
        WHERE p.municipality = :municipality AND p.slot_id = wanted.slot_id AND p.audience = 'public'
          AND (p.appointment_id IS NULL OR p.appointment_id = :appointment_id)
          AND (p.held_until IS NULL OR p.held_until <= :now OR p.hold_id = CAST(:offer_id AS uuid))
        ORDER BY (p.hold_id = CAST(:offer_id AS uuid)) DESC NULLS LAST, p.place_no LIMIT 1
        FOR UPDATE SKIP LOCKED) AS one
    ORDER BY wanted.part
""")
_MOVE = text("""
    UPDATE appointment
    SET slot_id = :slot_id, place_no = :place_no, counter = :counter, office = :office, starts_at = :starts_at,
        ends_at = :ends_at, parts = :parts, day = :day, version = version + 1, sequence = sequence + 1,
        changed_at = :now,
        -- A ticket belongs to a counter and a day; that of an arrival, to the day.
        ticket_no = CASE WHEN day = :day AND (counter = :counter OR chain_id IS NOT NULL) THEN ticket_no END,
        ticket_counter = CASE WHEN day = :day AND (counter = :counter OR chain_id IS NOT NULL) THEN ticket_counter END,
        helper = CASE WHEN helper = 'none' THEN 'none' ELSE 'asked' END, closure = 'none', closing_id = NULL,
        chain_until = CAST(:starts_at AS timestamptz) + (chain_until - starts_at)
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
    RETURNING *
""")
_CANCEL = text("""
    UPDATE appointment
    SET state = 'cancelled', version = version + 1, sequence = sequence + 1, cancelled_at = :now, changed_at = :now,
        closure = 'none', closing_id = NULL
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
    RETURNING *
""")
# All places but the first, which the appointment names until it has moved.
_FREE_REST = text("""
    UPDATE place SET appointment_id = NULL, visit_id = NULL, changed_at = :now
    WHERE municipality = :municipality AND appointment_id = :appointment_id AND part > 1
""")
_TAKE = text("""
    UPDATE place p SET appointment_id = :appointment_id, hold_id = NULL, held_by = NULL, held_until = NULL,
                       visit_id = CASE WHEN p.hold_id = CAST(:offer_id AS uuid) THEN p.visit_id END,
                       part = taken.part, parts = :parts, changed_at = :now
    FROM unnest(CAST(:slots AS uuid[]), CAST(:numbers AS integer[])) WITH ORDINALITY AS taken(slot_id, place_no, part)
    WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (taken.slot_id, taken.place_no)
""")


async def change_appointment(session: AsyncSession, order: ChangeAppointment, *, now: datetime) -> Changed:
    """Move an appointment to a free place of another slot, or to all that it needs from there on, or not at all.

    Raises:
        Refusal: `appointment_unknown` (404), `appointment_moved` (409, another version), `appointment_cancelled`,
            `appointment_started`, `change_too_late`, `same_slot`, `slot_unfit`, `slot_too_soon`, `slot_too_far`,
            `slot_closed`, `slot_taken`, `slot_too_short`, `services_unfit`, `chain_broken` (409), `slot_unknown` (404),
            `key_reused` (422).
    """
    hashed = request_hash("change", order.slot_id, order.version)
    answered = await claim_key(session, order.municipality, _owner(order), order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, Changed)
    old, _rest = await _lock(session, order, now=now)
    names = {"municipality": order.municipality, "slot_id": order.slot_id}
    target = names | {"procedure": old.procedure, "channel": "counter" if old.helper == "none" else "helper"}
    new = (await session.execute(_TARGET, target)).one_or_none()
    if new is None:
        raise Refusal("slot_unknown", 404)
    if new.slot_id == old.slot_id:
        raise Refusal("same_slot", 409)
    town = (await get_rules(session, order.municipality)).policy
    counters, policy = new.counters, policy_for(town, notice_min=new.notice_min, horizon_days=new.horizon_days)
    slots, ends_at = [new.slot_id], new.ends_at
    if old.minutes is not None:
        counters, policy = await fit_services(session, order.municipality, read_services(old.services), town)
        run = await find_run(session, order.municipality, order.slot_id, old.minutes)
        if run is None:
            raise Refusal("slot_too_short", 409)
        slots, ends_at = list(run.slot_ids), run.ends_at
    if new.counter not in counters:
        raise Refusal("slot_unfit", 409)
    refuse_unbookable(policy, starts_at=new.starts_at, withdrawn=new.withdrawn, now=now)
    await refuse_broken_chain(session, order.municipality, old.chain_id, {old.appointment_id: (new, None)})
    offer = await find_offer(session, order.municipality, order.appointment_id, now=now)
    kept = {"offer_id": offer.offer_id if offer else None}
    mine = {"municipality": order.municipality, "appointment_id": order.appointment_id, "now": now}
    numbers = (await session.execute(_PICK, mine | kept | {"slots": slots})).scalars().all()
    if len(numbers) < len(slots):
        raise SlotTaken(counters, policy, minutes=old.minutes)
    if old.parts > 1:
        await session.execute(_FREE_REST, mine)
    moved = (
        await session.execute(
            _MOVE,
            mine
            | {
                "slot_id": order.slot_id,
                "place_no": numbers[0],
                "parts": len(slots),
                "counter": new.counter,
                "office": new.office or old.office,
                "starts_at": new.starts_at,
                "ends_at": ends_at,
                "day": new.starts_at.astimezone(JST).date(),
            },
        )
    ).one()
    await session.execute(FREE_PLACE, mine)
    await pass_on_later(session, old.municipality, old.slot_id, old.place_no, now=now)
    await session.execute(_TAKE, mine | kept | {"slots": slots, "numbers": list(numbers), "parts": len(slots)})
    # Of what is kept for all of an arrival, one part alone is not the offer.
    is_offered = offer is not None and offer.slot_id == order.slot_id and offer.together_id is None
    took = offer.cause if offer is not None and is_offered else None
    end: End = "taken" if took else "withdrawn"
    await end_offer(session, order.municipality, order.appointment_id, end, now=now)
    await follow_move(session, moved, has_earlier=took == "waiting")
    if old.helper != "none":
        venues = await ask_anew(session, old, moved, now=now)
        if venues is None:
            raise SlotTaken(counters, policy)
        await bring_venues(session, order.municipality, {old.counter, *venues}, now=now)
    await mark_availability(session, order.municipality, [old.counter, new.counter], now=now)
    # Link and code stay: page, printed slip and every message say the same for the life of the appointment.
    if not await is_untold(session, order.municipality, order.appointment_id):
        await outbox.publish(session, tell(AppointmentChanged, moved, now=now))
    changed = Changed(appointment_id=moved.appointment_id, number=moved.number, version=moved.version)
    await keep_answer(session, order.municipality, _owner(order), order.key, changed)
    await record_deed(session, order.staff, "change", order.appointment_id, version=moved.version, now=now)
    return changed


async def cancel_appointment(session: AsyncSession, order: CancelAppointment, *, now: datetime) -> Changed:
    """Cancel an appointment, or all of its arrival that is still to come; the places are free at once.

    Raises:
        Refusal: as `change_appointment`.
    """
    hashed = request_hash("cancel", order.version, order.whole)
    answered = await claim_key(session, order.municipality, _owner(order), order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, Changed)
    old, others = await _lock(session, order, whole=order.whole, now=now)
    if await is_untold(session, order.municipality, order.appointment_id):
        rows = [await end_untold(session, old, now=now)]
    else:
        rows = [await end_appointment(session, each, now=now) for each in (old, *others)]
        await outbox.publish(session, *tell_as_one([tell(AppointmentCancelled, each, now=now) for each in rows]))
    row, *rest = rows
    for other in rest:
        await record_deed(session, order.staff, "cancel", other.appointment_id, version=other.version, now=now)
    changed = Changed(appointment_id=row.appointment_id, number=row.number, version=row.version)
    await keep_answer(session, order.municipality, _owner(order), order.key, changed)
    await record_deed(session, order.staff, "cancel", order.appointment_id, version=row.version, now=now)
    return changed


async def end_appointment(session: AsyncSession, old: Any, *, now: datetime) -> Any:
    """Cancel an appointment that the caller has locked: its place is free at once, and no helper need come.

    Returns its row as it is now; telling the others is the caller's.
    """
    mine = {"municipality": old.municipality, "appointment_id": old.appointment_id, "now": now}
    row = (await session.execute(_CANCEL, mine)).one()
    await session.execute(FREE_PLACE, mine)
    await end_offer(session, old.municipality, old.appointment_id, "withdrawn", now=now)
    await pass_on_later(session, old.municipality, old.slot_id, old.place_no, now=now)
    venues = await release_helper(session, old.municipality, old.appointment_id, now=now)
    if old.helper != "none":
        await bring_venues(session, old.municipality, {old.counter, *venues}, now=now)
    await mark_availability(session, old.municipality, [old.counter], now=now)
    return row


async def end_untold(session: AsyncSession, old: Any, *, now: datetime) -> Any:
    """As `end_appointment`, of one that its owner was not told of: nobody is told, and another time is looked for."""
    row = await end_appointment(session, old, now=now)
    await look_again(session, old.municipality, old.appointment_id, now=now)
    return row


def _owner(order: ChangeAppointment | CancelAppointment) -> str:
    return f"appointment:{order.appointment_id}"


async def _lock(
    session: AsyncSession, order: ChangeAppointment | CancelAppointment, *, whole: bool = False, now: datetime
) -> tuple[Any, list[Any]]:
    """The appointment, with the `whole` also what else of its arrival is to come; locked, with the places of all."""
    town, mine = order.municipality, order.appointment_id
    await lock_chain(session, town, mine)
    rows = await (lock_whole(session, town, mine, now=now) if whole else lock_appointments(session, town, [mine]))
    row = next((each for each in rows if each.appointment_id == mine), None)
    if row is None:
        raise Refusal("appointment_unknown", 404)
    policy = (await get_rules(session, town)).policy
    closed = row.closure != "none"
    refuse_too_late(policy, state=row.state, starts_at=row.starts_at, closed=closed, now=now)
    if row.version != order.version:
        raise Refusal("appointment_moved", 409)
    await lock_places(session, town, appointments=[each.appointment_id for each in rows])
    return row, [each for each in rows if each is not row]
