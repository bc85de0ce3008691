"""At the door, with one's own phone: a ticket, giving it back, stepping out for a moment, and checking in by oneself.

Nobody is asked who they are: a random value in the browser (`holder`) says whose ticket it is. Whoever was at the door
today knows the day's code (`Keys.door_code`); pages ask for it before they call what is here.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.line import MoveAlong, move_along
from services.booking.commands.steps import Moved, standing_of, take_step
from services.booking.commands.walk_ins import find_counters, give_ticket
from services.booking.queries.counter_days import counter_now
from services.booking.queries.open_now import list_open_counters
from services.booking.queries.rules import get_rules
from shared.clock import jst_day
from shared.crypto import token_hash
from shared.errors import Refusal
from shared.messaging.due import schedule
from shared.tokens import Identity

# As the ticket machine: whoever plays with the code of the day fills no line.
TICKETS_MAX, TICKETS_WITHIN = 20, timedelta(minutes=5)
# Who comes for several things has a ticket at each counter.
LIVE_MAX = 3
STEP_OUT = timedelta(minutes=15)
# What brings somebody back into the line whose time out is over.
PHONE_BACK = "phone_back"

_LIVE = text(f"""
    SELECT a.appointment_id, a.counter, t.counter AS taken_for, a.procedure, a.number, a.state, a.version, a.office,
           a.ticket_counter, a.ticket_no
    FROM phone_ticket t JOIN appointment a USING (municipality, appointment_id)
    WHERE t.municipality = :municipality AND t.holder_hash = :holder_hash AND t.is_open AND a.day = :day
      AND a.state IN ('checked_in', 'called', 'serving')
    ORDER BY t.taken_at LIMIT {LIVE_MAX + 1}
""")
_TAKEN = text("""
    SELECT count(*) FROM phone_ticket WHERE municipality = :municipality AND counter = :counter AND taken_at > :since
""")
# What is taken at a counter comes one after another, as at a machine (`commands/kiosk.py`); and what one browser takes.
_ONE_BY_ONE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('phone/' || :municipality || '/' || :what, 0))
""")
# Only what is over: where one is live, the index refuses another.
_END_OLD = text("""
    UPDATE phone_ticket t SET is_open = false FROM appointment a
    WHERE t.municipality = :municipality AND t.holder_hash = :holder_hash AND t.counter = :counter AND t.is_open
      AND (a.municipality, a.appointment_id) = (t.municipality, t.appointment_id)
      AND (a.day <> :day OR a.state NOT IN ('checked_in', 'called', 'serving'))
""")
_KEEP = text("""
    INSERT INTO phone_ticket (municipality, appointment_id, holder_hash, counter, taken_at)
    VALUES (:municipality, :appointment_id, :holder_hash, :counter, :now)
""")
_LOCK = text("""
    SELECT a.* FROM appointment a JOIN phone_ticket t USING (municipality, appointment_id)
    WHERE a.municipality = :municipality AND a.appointment_id = :appointment_id AND t.holder_hash = :holder_hash
    FOR UPDATE
""")
_STEP_OUT = text("""
    UPDATE phone_ticket SET stepped_out_at = :now, back_at = :back_at
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND stepped_out_at IS NULL
    RETURNING 1
""")
_DUE_BACK = text("""
    SELECT a.*, t.stepped_out_at FROM appointment a JOIN phone_ticket t USING (municipality, appointment_id)
    WHERE a.municipality = :municipality AND a.appointment_id = :appointment_id FOR UPDATE
""")


class TakePhoneTicket(msgspec.Struct, frozen=True, kw_only=True):
    """The order to give a browser a ticket for a procedure."""

    municipality: str
    procedure: str
    holder: str


def themselves(municipality: str) -> Identity:
    """Whoever does something for themselves: known by nothing."""
    return Identity(municipality=municipality, kind="guest", ref="phone", session_id="")


async def take_phone_ticket(session: AsyncSession, order: TakePhoneTicket, *, now: datetime) -> Moved:
    """A ticket at the counter of a procedure, if it is open. Ordered again while it lives, it is the same ticket,
    wherever they were sent.

    Raises:
        Refusal: `procedure_unknown` (400), `counter_closed_now`, `phone_tickets_enough`, `door_busy` (409).
    """
    town = order.municipality
    _, counters = await find_counters(session, town, order.procedure)
    counter = await counter_now(session, town, counters, None, now=now)
    held: dict[str, Any] = {
        "municipality": town,
        "holder_hash": token_hash(order.holder),
        "counter": counter,
        "day": jst_day(now),
    }
    # The browser first, then the counter: always in this order.
    for what in (held["holder_hash"].hex(), f"at/{counter}"):
        await session.execute(_ONE_BY_ONE, {"municipality": town, "what": what})
    live = (await session.execute(_LIVE, held)).all()
    # For the same thing it is the same ticket, though another counter does it by now.
    own = next((row for row in live if row.taken_for == counter or row.procedure == order.procedure), None)
    if own is not None:
        return _as_moved(own)
    if len(live) >= LIVE_MAX:
        raise Refusal("phone_tickets_enough", 409)
    await _refuse_closed(session, town, counter, now=now)
    taken = {"municipality": town, "counter": counter, "since": now - TICKETS_WITHIN}
    if (await session.execute(_TAKEN, taken)).scalar_one() >= TICKETS_MAX:
        raise Refusal("door_busy", 409)
    moved = await give_ticket(session, themselves(town), order.procedure, counter=counter, now=now)
    await session.execute(_END_OLD, held)
    await session.execute(_KEEP, held | {"appointment_id": moved.appointment_id, "now": now})
    return moved


async def give_back_ticket(
    session: AsyncSession, municipality: str, appointment_id: UUID, holder: str, *, now: datetime
) -> None:
    """They do not wait any more: nobody calls them. Once they are called, it is staff who see to it.

    Raises:
        Refusal: `ticket_unknown` (404), `ticket_moved_on` (409).
    """
    row = await _lock_own(session, municipality, appointment_id, holder, now=now)
    if row.state == "cancelled":
        return
    if row.state != "checked_in":
        raise Refusal("ticket_moved_on", 409, state=row.state)
    gone = msgspec.structs.replace(standing_of(row), state="cancelled", parked_at=None)
    await take_step(session, themselves(municipality), row, "give-back", gone, now=now)


async def step_out(
    session: AsyncSession, municipality: str, appointment_id: UUID, holder: str, *, now: datetime
) -> None:
    """Somebody is not called for `STEP_OUT`; then they wait as before. Once for each ticket.

    Raises:
        Refusal: `ticket_unknown` (404), `ticket_moved_on`, `stepped_out_already` (409).
    """
    row = await _lock_own(session, municipality, appointment_id, holder, now=now)
    if row.state != "checked_in" or row.parked_at is not None:
        raise Refusal("ticket_moved_on", 409, state=row.state)
    back_at = now + STEP_OUT
    asked = {"municipality": municipality, "appointment_id": appointment_id, "now": now, "back_at": back_at}
    if (await session.execute(_STEP_OUT, asked)).one_or_none() is None:
        raise Refusal("stepped_out_already", 409)
    await _move(session, row, "park", now=now)
    ref = str(appointment_id)
    await schedule(session, "booking", municipality=municipality, kind=PHONE_BACK, ref=ref, due_at=back_at)


async def come_back(
    session: AsyncSession, municipality: str, appointment_id: UUID, holder: str, *, now: datetime
) -> None:
    """Back sooner than they said: they may be called.

    Raises:
        Refusal: `ticket_unknown` (404), `ticket_moved_on` (409), staff have set them aside or called them.
    """
    await _lock_own(session, municipality, appointment_id, holder, now=now)
    key = {"municipality": municipality, "appointment_id": appointment_id}
    row = (await session.execute(_DUE_BACK, key)).one()
    if not _is_out(row):
        raise Refusal("ticket_moved_on", 409, state=row.state)
    await _move(session, row, "resume", now=now)


async def on_phone_back_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """The time that somebody stepped out for is over. What staff have done with them meanwhile stays."""
    key = {"municipality": municipality, "appointment_id": UUID(ref)}
    row = (await session.execute(_DUE_BACK, key)).one_or_none()
    if row is not None and row.day == jst_day(now) and _is_out(row):
        await _move(session, row, "resume", now=now)


async def check_in_at_door(
    session: AsyncSession, municipality: str, appointment_id: UUID, version: int, *, now: datetime
) -> Moved:
    """Whoever has an appointment today is here: they get their number.

    Raises:
        Refusal: as `move_along`.
    """
    order = MoveAlong(appointment_id=appointment_id, action="check-in", version=version)
    return await move_along(session, themselves(municipality), order, now=now)


async def _refuse_closed(session: AsyncSession, municipality: str, counter: str, *, now: datetime) -> None:
    found = (await list_open_counters(session, municipality, now=now)).get(counter)
    last_ticket_min = (await get_rules(session, municipality)).queue.last_ticket_min
    if found is None or not found.now.gives_tickets(last_ticket_min=last_ticket_min, now=now):
        raise Refusal("counter_closed_now", 409)


async def _lock_own(
    session: AsyncSession, municipality: str, appointment_id: UUID, holder: str, *, now: datetime
) -> Any:
    asked = {"municipality": municipality, "appointment_id": appointment_id, "holder_hash": token_hash(holder)}
    row = (await session.execute(_LOCK, asked)).one_or_none()
    if row is None or row.day != jst_day(now):
        raise Refusal("ticket_unknown", 404)
    return row


async def _move(session: AsyncSession, row: Any, action: Any, *, now: datetime) -> None:
    order = MoveAlong(appointment_id=row.appointment_id, action=action, version=row.version)
    await move_along(session, themselves(row.municipality), order, now=now)


def _is_out(row: Any) -> bool:
    return row.parked_at is not None and row.parked_at == row.stepped_out_at


def _as_moved(row: Any) -> Moved:
    return Moved(
        appointment_id=row.appointment_id,
        number=row.number,
        state=row.state,
        version=row.version,
        counter=row.counter,
        office=row.office,
        ticket_counter=row.ticket_counter,
        ticket_no=row.ticket_no,
    )
