"""At the ticket machine (発券機): a time later today, for whoever stands there. Nobody is asked who they are.

Places with the audience `kiosk` are given out here and nowhere else: a trigger (0022) refuses them to every hold, and
to every appointment that no machine has made on the day itself.
"""

import secrets
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.facts import tell
from services.booking.commands.holds import FREE_PREDICATE
from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.commands.marks import mark_availability
from services.booking.commands.steps import Moved
from services.booking.commands.walk_ins import KIOSK, TakeWalkIn, find_counters, give_ticket, take_once
from services.booking.domain.kiosk import kiosk_policy
from services.booking.domain.queue import open_spans, tickets_now
from services.booking.domain.rules import SlotTaken, refuse_unbookable
from services.booking.keys import Keys
from services.booking.queries.closings import is_closed_now
from services.booking.queries.counter_days import counter_now
from services.booking.queries.queue import list_plans_of_day
from services.booking.queries.rules import get_rules
from services.booking.queries.services import outlasts_slots
from services.booking.queries.slots import find_procedure
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.clock import jst_day
from shared.crypto import new_link_token, token_hash
from shared.errors import Refusal
from shared.events.booking import AppointmentBooked
from shared.reference_number import make_number
from shared.tokens import Identity

# A machine in a lobby is everybody's: who plays with it fills neither the line nor the day.
TICKETS_MAX, TICKETS_WITHIN = 20, timedelta(minutes=5)
AHEAD_MAX = 40


class BookAtKiosk(msgspec.Struct, frozen=True, kw_only=True):
    """The order to give whoever stands at the machine a time later today."""

    procedure: str
    slot_id: UUID
    key: str


class BookedAtKiosk(msgspec.Struct, frozen=True, kw_only=True):
    """The appointment as it was made."""

    appointment_id: UUID
    number: str
    counter: str
    starts_at: datetime
    ends_at: datetime


_SLOT = text("""
    SELECT s.counter, s.starts_at, s.ends_at, s.withdrawn, coalesce(c.office, r.office, '') AS office
    FROM slot s
    LEFT JOIN counter c ON (c.municipality, c.code) = (s.municipality, s.counter)
    LEFT JOIN counter_rule r ON (r.municipality, r.counter) = (s.municipality, s.counter)
    WHERE (s.municipality, s.slot_id) = (:municipality, :slot_id)
""")
_TICKETS = text("""
    SELECT count(*) FROM appointment
    WHERE municipality = :municipality AND day = :day AND kiosk_ref = :kiosk_ref AND kind = 'walk_in'
      AND booked_at > :since
""")
_AHEAD = text("""
    SELECT count(*) FROM appointment
    WHERE municipality = :municipality AND day = :day AND kiosk_ref = :kiosk_ref AND state = 'booked'
      AND starts_at > :now
""")
# What one machine gives out comes one after another: what is counted, nobody is just adding to. A statement of its own:
# one that also counts would see what was there before it waited.
_ONE_BY_ONE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('kiosk/' || :municipality || '/' || :kiosk_ref, 0))
""")
# What is kept for this machine comes first. Racers skip what another has locked, as in `commands/holds.py`.
_PICK = text(f"""
    SELECT p.place_no FROM place p
    WHERE p.municipality = :municipality AND p.slot_id = :slot_id AND p.audience IN ('kiosk', 'public')
      AND {FREE_PREDICATE}
    ORDER BY (p.audience = 'kiosk') DESC, p.place_no LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_MAKE = text("""
    INSERT INTO appointment
        (municipality, appointment_id, number, kind, state, version, sequence, procedure, counter, office, slot_id,
         place_no, starts_at, ends_at, day, reach, kiosk_ref, booked_at, changed_at)
    VALUES (:municipality, :appointment_id, :number, 'booked', 'booked', 1, 0, :procedure, :counter, :office, :slot_id,
            :place_no, :starts_at, :ends_at, :day, 'none', :kiosk_ref, :now, :now)
    RETURNING *
""")
_TAKE = text("""
    UPDATE place SET appointment_id = :appointment_id, hold_id = NULL, held_by = NULL, held_until = NULL,
                     visit_id = NULL, part = 1, parts = 1, changed_at = :now
    WHERE (municipality, slot_id, place_no) = (:municipality, :slot_id, :place_no)
""")
# Its code is on the slip; a link is given to nobody.
_OPEN = text("""
    INSERT INTO access (municipality, link_hash, appointment_id, code_hash, issued_at)
    VALUES (:municipality, :link_hash, :appointment_id, :code_hash, :now)
""")


async def take_ticket_at_kiosk(session: AsyncSession, kiosk: Identity, order: TakeWalkIn, *, now: datetime) -> Moved:
    """A ticket for now, from the machine in the lobby. Ordered again, it is the ticket that was given.

    Raises:
        Refusal: as `give_ticket`; `key_reused` (422), `role_missing` (403), `counter_closed_now`, `kiosk_full`,
            `tickets_not_yet`, `tickets_over` (409).
    """
    if not kiosk.has_role(KIOSK):
        raise Refusal("role_missing", 403)
    town = kiosk.municipality

    async def give() -> Moved:
        _, counters = await find_counters(session, town, order.procedure)
        counter = await counter_now(session, town, counters, kiosk.office, now=now)
        if await is_closed_now(session, town, counter, now=now):
            raise Refusal("counter_closed_now", 409)
        await refuse_no_tickets(session, town, counter, now=now)
        given = {"municipality": town, "kiosk_ref": kiosk.ref, "day": jst_day(now), "since": now - TICKETS_WITHIN}
        await session.execute(_ONE_BY_ONE, given)
        if (await session.execute(_TICKETS, given)).scalar_one() >= TICKETS_MAX:
            raise Refusal("kiosk_full", 409)
        return await give_ticket(session, kiosk, order.procedure, counter=counter, now=now)

    return await take_once(session, kiosk, order, give, now=now)


async def refuse_no_tickets(session: AsyncSession, municipality: str, counter: str, *, now: datetime) -> None:
    """Whether whoever serves themselves can still, or already, have a ticket. Staff may always give one.

    Raises:
        Refusal: `tickets_not_yet` (409, with `opens_at`), `tickets_over` (409).
    """
    day = jst_day(now)
    plan = (await list_plans_of_day(session, municipality, day, counters=[counter], now=now)).get(counter)
    if plan is None:
        return
    tickets = tickets_now(plan, (await get_rules(session, municipality)).queue, now=now)
    if tickets == "not_yet":
        raise Refusal("tickets_not_yet", 409, opens_at=open_spans(plan)[0][0].isoformat())
    if tickets != "given":
        raise Refusal("tickets_over", 409)


async def book_at_kiosk(
    session: AsyncSession, kiosk: Identity, order: BookAtKiosk, keys: Keys, *, now: datetime
) -> BookedAtKiosk:
    """Book a place of today that is kept for the machine, or a public one. Ordered again, it is what was made.

    Raises:
        Refusal: `role_missing` (403), `procedure_unknown` (400), `slot_unknown` (404), `slot_unfit`, `slot_too_soon`,
            `slot_too_far`, `slot_closed`, `slot_taken`, `kiosk_full` (409), `key_reused` (422).
    """
    if not kiosk.has_role(KIOSK):
        raise Refusal("role_missing", 403)
    town, owner = kiosk.municipality, f"staff:{kiosk.ref}"
    hashed = request_hash("kiosk", order.procedure, order.slot_id)
    answered = await claim_key(session, town, owner, order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, BookedAtKiosk)
    procedure = await find_procedure(session, town, order.procedure)
    if procedure is None:
        raise Refusal("procedure_unknown", 400)
    wanted = {"municipality": town, "slot_id": order.slot_id, "now": now}
    slot = (await session.execute(_SLOT, wanted)).one_or_none()
    if slot is None:
        raise Refusal("slot_unknown", 404)
    # The machine gives out a slot: what takes longer is booked at the desk.
    if slot.counter not in procedure.counters or await outlasts_slots(session, town, procedure.code):
        raise Refusal("slot_unfit", 409)
    policy = kiosk_policy((await get_rules(session, town)).policy)
    refuse_unbookable(policy, starts_at=slot.starts_at, withdrawn=slot.withdrawn, now=now)
    machine = wanted | {"kiosk_ref": kiosk.ref, "day": jst_day(now)}
    await session.execute(_ONE_BY_ONE, machine)
    if (await session.execute(_AHEAD, machine)).scalar_one() >= AHEAD_MAX:
        raise Refusal("kiosk_full", 409)
    place_no = (await session.execute(_PICK, wanted)).scalar_one_or_none()
    if place_no is None:
        raise SlotTaken(procedure.counters, policy)
    booked = BookedAtKiosk(
        appointment_id=uuid4(),
        number=make_number(secrets.choice),
        counter=slot.counter,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
    )
    mine = machine | {"appointment_id": booked.appointment_id, "place_no": place_no}
    made = (
        await session.execute(
            _MAKE,
            mine
            | {
                "number": booked.number,
                "procedure": procedure.code,
                "counter": slot.counter,
                "office": slot.office,
                "starts_at": slot.starts_at,
                "ends_at": slot.ends_at,
            },
        )
    ).one()
    await session.execute(_TAKE, mine)
    code_hash = keys.code_hash(booked.appointment_id, keys.kiosk_code(booked.appointment_id))
    await session.execute(_OPEN, mine | {"link_hash": token_hash(new_link_token()), "code_hash": code_hash})
    await mark_availability(session, town, [slot.counter], now=now)
    await outbox.publish(session, tell(AppointmentBooked, made, now=now))
    await record_deed(session, kiosk, "kiosk-book", booked.appointment_id, version=made.version, now=now)
    await keep_answer(session, town, owner, order.key, booked)
    return booked
