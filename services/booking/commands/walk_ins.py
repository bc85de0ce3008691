"""Somebody without an appointment gets a ticket and comes into the line."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.facts import tell
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.locking import refuse_closed_counter
from services.booking.commands.marks import watch_waits
from services.booking.commands.nudge import nudge_line
from services.booking.commands.steps import Moved, moved_of, remember, standing_of
from services.booking.commands.tickets import next_ticket
from services.booking.queries.counter_days import counter_now
from services.booking.queries.slots import CounterView, ProcedureView, find_procedure, list_counters
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.events.booking import AppointmentProgressed
from shared.reference_number import make_number
from shared.tokens import Identity

# The role of a ticket machine: what it gives out is marked.
KIOSK = "kiosk"


class TakeWalkIn(msgspec.Struct, frozen=True, kw_only=True):
    """The order to give somebody without an appointment a ticket. No name is needed."""

    procedure: str
    key: str


_WALK_IN = text("""
    INSERT INTO appointment
        (municipality, appointment_id, number, kind, state, version, sequence, procedure, counter, office, starts_at,
         ends_at, day, reach, ticket_counter, ticket_no, queued_at, kiosk_ref, booked_at, changed_at, checked_in_at)
    VALUES (:municipality, :appointment_id, :number, 'walk_in', 'checked_in', 1, 0, :procedure, :counter, :office, :now,
            :ends_at, :day, 'none', :counter, :ticket_no, :now, :kiosk_ref, :now, :now, :now)
    RETURNING *
""")


async def take_walk_in(session: AsyncSession, actor: Identity, order: TakeWalkIn, *, now: datetime) -> Moved:
    """Put somebody without an appointment into the line, with a ticket.

    Raises:
        Refusal: `procedure_not_chosen`, `procedure_unknown` (400), `counter_closed_now` (409), `key_reused` (422).
    """
    if not order.procedure:
        raise Refusal("procedure_not_chosen", 400)

    async def give() -> Moved:
        return await give_ticket(session, actor, order.procedure, now=now)

    return await take_once(session, actor, order, give, now=now)


async def take_once(
    session: AsyncSession, actor: Identity, order: TakeWalkIn, give: Callable[[], Awaitable[Moved]], *, now: datetime
) -> Moved:
    """The ticket that was given under the order's key, or what `give` gives now.

    Raises:
        Refusal: `key_reused` (422), and what `give` raises.
    """
    hashed = request_hash("walk_in", order.procedure)
    owner = f"staff:{actor.ref}"
    return await do_once(session, actor.municipality, owner, order.key, hashed, give, Moved, now=now)


async def give_ticket(
    session: AsyncSession, actor: Identity, code: str, *, counter: str | None = None, now: datetime
) -> Moved:
    """A ticket for this procedure, each time; at this counter, or where people are sent now.

    Raises:
        Refusal: `procedure_unknown` (400), `counter_closed_now` (409).
    """
    municipality = actor.municipality
    procedure, counters = await find_counters(session, municipality, code)
    day = jst_day(now)
    counter = counter or await counter_now(session, municipality, counters, actor.office, now=now)
    await refuse_closed_counter(session, municipality, counter, day)
    ticket = await next_ticket(session, municipality, counter, day)
    row = (
        await session.execute(
            _WALK_IN,
            {
                "municipality": municipality,
                "appointment_id": uuid4(),
                "number": make_number(secrets.choice),
                "procedure": procedure.code,
                "counter": counter,
                "office": counters[counter].office,
                "ends_at": now + timedelta(minutes=max(1, procedure.minutes)),
                "day": day,
                "ticket_no": ticket.ticket_no,
                "kiosk_ref": actor.ref if actor.has_role(KIOSK) else None,
                "now": now,
            },
        )
    ).one()
    await remember(session, actor, row, row.version, "walk-in", standing_of(row), now=now, at=now)
    await watch_waits(session, municipality, now=now)
    await record_deed(session, actor, "walk-in", row.appointment_id, version=row.version, now=now)
    await outbox.publish(session, tell(AppointmentProgressed, row, now=now))
    await nudge_line(session, municipality)
    return moved_of(row)


async def find_counters(
    session: AsyncSession, municipality: str, code: str
) -> tuple[ProcedureView, dict[str, CounterView]]:
    """A procedure, and the town's counters where it is done.

    Raises:
        Refusal: `procedure_unknown` (400).
    """
    procedure = await find_procedure(session, municipality, code)
    counters = await list_counters(session, municipality)
    found = {code: counters[code] for code in (procedure.counters if procedure else ()) if code in counters}
    if procedure is None or not found:
        raise Refusal("procedure_unknown", 400)
    return procedure, found
