"""What staff do at the counter: check in, call, serve, finish, mark as absent, take back; and walk-ins."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import leave_chain_if_in_the_way, lock_chain
from services.booking.commands.delivered import as_booked, record_delivered
from services.booking.commands.facts import tell
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.locking import refuse_closed_counter
from services.booking.commands.marks import watch_waits
from services.booking.commands.near_turn import tell_near_turns
from services.booking.commands.nudge import nudge_line
from services.booking.commands.offers import tell_progress
from services.booking.commands.tickets import next_ticket, ticket_for
from services.booking.domain.arrival import ready_parts
from services.booking.domain.late import fit_moment
from services.booking.domain.line import PRESENT, STAMPS, Action, State, next_state, progress_of
from services.booking.queries.arrival import lock_parts_of_day, where_called
from services.booking.queries.counter_days import counter_now, list_closed_counters, list_counters_for
from services.booking.queries.slots import CounterView, ProcedureView, find_procedure, list_counters
from services.booking.queries.waits import estimate_own_wait
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.events.booking import AppointmentProgressed
from shared.reference_number import make_number, read_number
from shared.tokens import Identity

# The role of a ticket machine: what it gives out is marked.
KIOSK = "kiosk"


class MoveAlong(msgspec.Struct, frozen=True, kw_only=True):
    """The order to take one step with somebody in the line. `version` is the one that the tablet showed."""

    appointment_id: UUID
    action: Action
    version: int


class TakeWalkIn(msgspec.Struct, frozen=True, kw_only=True):
    """The order to give somebody without an appointment a ticket. No name is needed."""

    procedure: str
    key: str


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody stands now."""

    appointment_id: UUID
    number: str
    state: State
    version: int
    counter: str
    office: str
    ticket_counter: str | None
    ticket_no: int | None


# The columns of the moments, in the order of the line.
_STAMPED = [column for state, column in STAMPS.items() if state != "no_show"]
_LOCK = text("""
    SELECT * FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id) FOR UPDATE
""")
_BY_NUMBER = text("""
    SELECT appointment_id FROM appointment WHERE (municipality, number) = (:municipality, :number)
""")
_STEP = text("""
    UPDATE appointment
    SET state = :state, version = version + 1, undo_version = :undo_version,
        changed_at = :now, counter = :counter, office = :office, ticket_counter = :ticket_counter,
        ticket_no = :ticket_no, queued_at = :queued_at, parked_at = :parked_at, is_preferred = :is_preferred,
        checked_in_at = :checked_in_at, called_at = :called_at, serving_at = :serving_at, done_at = :done_at,
        no_show_at = :no_show_at
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
    RETURNING *
""")
_REMEMBER = text("""
    INSERT INTO line_step
        (municipality, appointment_id, version, action, day, counter, office, from_state, to_state, at, recorded_at,
         actor_ref, before, undo_before, told_min)
    VALUES (:municipality, :appointment_id, :version, :action, :day, :counter, :office, :from_state, :to_state, :at,
            :now, :actor_ref, CAST(:before AS jsonb), :undo_before, :told_min)
""")
_LAST_STEP = text("""
    SELECT max(at) FROM line_step WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
_TAKE_BACK = text("""
    UPDATE line_step SET is_undone = true
    WHERE (municipality, appointment_id, version) = (:municipality, :appointment_id, :version)
    RETURNING before, undo_before
""")
# What was told to the other counter goes with it.
_FORGET_TRANSFER = text("""
    DELETE FROM transfer WHERE (municipality, appointment_id, version) = (:municipality, :appointment_id, :version)
""")
_SENT_BY = text("""
    SELECT from_office FROM transfer
    WHERE (municipality, appointment_id, version) = (:municipality, :appointment_id, :version)
""")
_WALK_IN = text("""
    INSERT INTO appointment
        (municipality, appointment_id, number, kind, state, version, sequence, procedure, counter, office, starts_at,
         ends_at, day, reach, ticket_counter, ticket_no, queued_at, kiosk_ref, booked_at, changed_at, checked_in_at)
    VALUES (:municipality, :appointment_id, :number, 'walk_in', 'checked_in', 1, 0, :procedure, :counter, :office, :now,
            :ends_at, :day, 'none', :counter, :ticket_no, :now, :kiosk_ref, :now, :now, :now)
    RETURNING *
""")


async def move_along(
    session: AsyncSession, actor: Identity, order: MoveAlong, *, now: datetime, at: datetime | None = None
) -> Moved:
    """Take one step. Of two tablets that press at once, one wins.

    `at`: when it was pressed, on a tablet that had no network then.

    Raises:
        Refusal: `appointment_unknown` (404), `other_office` (403), `line_moved` (409, with the `state` it is in now),
            `step_impossible`, `no_show_too_early`, `not_today`, `step_time_unfit`, `called_elsewhere`,
            `counter_closed_now` (409).
    """
    row = await lock_in_line(session, actor, order.appointment_id, order.version, is_undo=order.action == "undo")
    moved = await _step(session, actor, row, order.action, now=now, at=at)
    if order.action in ("check-in", "done"):
        await bring_on(session, actor, row, now=now)
    return moved


async def lock_in_line(
    session: AsyncSession, actor: Identity, appointment_id: UUID, version: int, *, is_undo: bool = False
) -> Any:
    """The locked row of somebody with whom the actor may take a step, as their tablet showed it.

    Raises:
        Refusal: `appointment_unknown` (404), `other_office` (403), `line_moved` (409, with the `state`).
    """
    await lock_chain(session, actor.municipality, appointment_id)
    key = {"municipality": actor.municipality, "appointment_id": appointment_id}
    row = (await session.execute(_LOCK, key)).one_or_none()
    if row is None:
        raise Refusal("appointment_unknown", 404)
    is_theirs = actor.office is None or row.office == actor.office
    if not is_theirs and not (is_undo and await _sent_by(session, row) == actor.office):
        raise Refusal("other_office", 403)
    if row.version != version:
        raise Refusal("line_moved", 409, state=row.state)
    return row


async def check_in_by_number(
    session: AsyncSession, actor: Identity, typed: str, *, now: datetime, at: datetime | None = None
) -> Moved:
    """Check in by the number of a QR code or as typed, at any counter: who came to the wrong one is told where to go.

    Of several errands in one arrival, what comes first is checked in, whichever number was shown.

    `at`: as `move_along`.

    Raises:
        Refusal: `number_unreadable` (400), `appointment_unknown` (404), `arrival_cancelled`, `not_today`,
            `arrival_known` (they are here already), `arrival_done`, `step_time_unfit`, `counter_closed_now` (409).
    """
    number = read_number(typed)
    if number is None:
        raise Refusal("number_unreadable", 400)
    town = {"municipality": actor.municipality}
    appointment_id = (await session.execute(_BY_NUMBER, town | {"number": number})).scalar_one_or_none()
    if appointment_id is None:
        raise Refusal("appointment_unknown", 404)
    await lock_chain(session, actor.municipality, appointment_id)
    row = (await session.execute(_LOCK, town | {"appointment_id": appointment_id})).one()
    if row.state == "cancelled":
        raise Refusal("arrival_cancelled", 409)
    if row.day == jst_day(now) and row.state in PRESENT:
        raise Refusal("arrival_known", 409, state=row.state)
    if row.day == jst_day(now) and row.state == "done":
        raise Refusal("arrival_done", 409, state=row.state)
    ready = await _list_ready(session, row, now=now)
    first = next((part for part in ready if part.chain_person == row.chain_person), row)
    moved = await _step(session, actor, first if row.state == "booked" else row, "check-in", now=now, at=at)
    await bring_on(session, actor, row, now=now)
    return moved


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


async def give_ticket(session: AsyncSession, actor: Identity, code: str, *, now: datetime) -> Moved:
    """A ticket for this procedure, each time.

    Raises:
        Refusal: `procedure_unknown` (400), `counter_closed_now` (409).
    """
    municipality = actor.municipality
    procedure, counters = await find_counters(session, municipality, code)
    day = jst_day(now)
    counter = await counter_now(session, municipality, counters, actor.office, day)
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
    await _remember(session, actor, row, row.version, "walk-in", standing_of(row), now=now, at=now)
    await watch_waits(session, municipality, now=now)
    await record_deed(session, actor, "walk-in", row.appointment_id, version=row.version, now=now)
    await outbox.publish(session, tell(AppointmentProgressed, row, now=now))
    await nudge_line(session, municipality)
    return _moved(row)


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


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody stands in the line: what a step changes, and what taking it back brings back."""

    state: State
    counter: str
    office: str
    queued_at: datetime | None
    parked_at: datetime | None
    is_preferred: bool
    checked_in_at: datetime | None
    called_at: datetime | None
    serving_at: datetime | None
    done_at: datetime | None
    no_show_at: datetime | None


async def _step(
    session: AsyncSession, actor: Identity, row: Any, action: Action, *, now: datetime, at: datetime | None = None
) -> Moved:
    moved = await step_without_record(session, actor, row, action, now=now, at=at)
    if action == "done":
        await record_delivered(session, row, as_booked(row), "counter")
    return moved


async def step_without_record(
    session: AsyncSession, actor: Identity, row: Any, action: Action, *, now: datetime, at: datetime | None = None
) -> Moved:
    """Take a step with somebody whose row is locked; what `done` delivers is written by whoever ends the turn.

    Raises:
        Refusal: `step_impossible`, `no_show_too_early`, `not_today`, `step_time_unfit` (409).
    """
    if row.day != jst_day(now):
        raise Refusal("not_today", 409, day=row.day.isoformat())
    if action == "undo":
        return await _undo(session, actor, row, now=now)
    if at is None:
        at = now
    else:
        if jst_day(at) != row.day:
            raise Refusal("not_today", 409, day=row.day.isoformat())
        key = {"municipality": row.municipality, "appointment_id": row.appointment_id}
        last_at = (await session.execute(_LAST_STEP, key)).scalar_one()
        at = fit_moment(at, since=last_at or row.booked_at, now=now)
    state = next_state(progress_of(row), action, now=at)
    standing = _after(standing_of(row), state, action, now=at)
    if action == "check-in":
        standing = await stand_where_open(session, row, standing)
    return await take_step(session, actor, row, action, standing, now=now, at=at)


async def stand_where_open(session: AsyncSession, row: Any, standing: Standing) -> Standing:
    """Whoever comes to a counter that is closed is sent to another where all of it is done, if one is open."""
    closed = await list_closed_counters(session, row.municipality, row.day)
    if standing.counter not in closed:
        return standing
    procedures = [row.procedure, *(each["procedure"] for each in row.services or ())]
    counters = await list_counters(session, row.municipality)
    fitting = await list_counters_for(session, row.municipality, procedures)
    found = next((code for code in fitting if code in counters and code not in closed), None)
    if found is None:
        return standing
    return msgspec.structs.replace(standing, counter=found, office=counters[found].office)


async def take_step(
    session: AsyncSession,
    actor: Identity,
    row: Any,
    action: str,
    standing: Standing,
    *,
    now: datetime,
    at: datetime | None = None,
) -> Moved:
    """Bring somebody whose row is locked, and their arrival, to another standing, as a step that can be taken back.

    `at`: when it happened, if that was not now.

    Raises:
        Refusal: `called_elsewhere` (409, with the `counter`); `counter_closed_now` (409): it would bring them into the
            line of a closed counter.
    """
    comes = row.state in ("booked", "no_show") or standing.counter != row.counter
    if standing.state == "checked_in" and comes:
        await refuse_closed_counter(session, row.municipality, standing.counter, row.day)
        await watch_waits(session, row.municipality, now=now)
    moved = await _stand(session, actor, row, action, standing, undo_version=row.version + 1, now=now)
    await _remember(session, actor, row, row.version + 1, action, standing, now=now, at=at or now)
    return moved


async def _remember(
    session: AsyncSession,
    actor: Identity,
    row: Any,
    version: int,
    action: str,
    standing: Standing,
    *,
    now: datetime,
    at: datetime,
) -> None:
    """Write a step down; of who comes into the line, with how long they were told that they would wait."""
    told_min = None
    if action in ("check-in", "walk-in"):
        told_min = await estimate_own_wait(session, row.municipality, standing.counter, row.appointment_id, now=now)
    step = {
        "municipality": row.municipality,
        "appointment_id": row.appointment_id,
        "version": version,
        "action": action,
        "day": row.day,
        "counter": standing.counter,
        "office": standing.office,
        "from_state": row.state,
        "to_state": standing.state,
        "actor_ref": actor.ref,
        "before": msgspec.json.encode(standing_of(row)).decode(),
        "undo_before": row.undo_version,
        "told_min": told_min,
        "at": at,
        "now": now,
    }
    await session.execute(_REMEMBER, step)


async def bring_on(session: AsyncSession, actor: Identity, row: Any, *, now: datetime) -> None:
    """Who is here is checked in for what they can be called to next."""
    for part in await _list_ready(session, row, now=now):
        await _step(session, actor, part, "check-in", now=now)


async def _list_ready(session: AsyncSession, row: Any, *, now: datetime) -> list[Any]:
    if row.chain_id is None or row.day != jst_day(now):
        return []
    return ready_parts(await lock_parts_of_day(session, row.municipality, row.chain_id, row.day), now=now)


async def _sent_by(session: AsyncSession, row: Any) -> str | None:
    """The office that sent them here, as long as nothing else was done with them since: it can take that back."""
    key = {"municipality": row.municipality, "appointment_id": row.appointment_id, "version": row.undo_version}
    office: str | None = (await session.execute(_SENT_BY, key)).scalar_one_or_none()
    return office


async def _undo(session: AsyncSession, actor: Identity, row: Any, *, now: datetime) -> Moved:
    """Back to where they were before the last step that was not taken back yet."""
    if not progress_of(row).can_undo:
        raise Refusal("step_impossible", 409, state=row.state)
    key = {"municipality": row.municipality, "appointment_id": row.appointment_id, "version": row.undo_version}
    step = (await session.execute(_TAKE_BACK, key)).one()
    await session.execute(_FORGET_TRANSFER, key)
    before = msgspec.convert(step.before, Standing)
    return await _stand(session, actor, row, "undo", before, undo_version=step.undo_before, now=now)


async def _stand(
    session: AsyncSession,
    actor: Identity,
    row: Any,
    action: str,
    standing: Standing,
    *,
    undo_version: int | None,
    now: datetime,
) -> Moved:
    # A ticket stays the person's, also when a check-in is undone: the paper in their hand must not become wrong.
    # Only moving to another time elsewhere takes it away (commands/changes.py).
    ticket: dict[str, Any] = {"ticket_counter": row.ticket_counter, "ticket_no": row.ticket_no}
    has_left = row.state == "no_show" and await leave_chain_if_in_the_way(session, row)
    if has_left:
        # The number goes on with the others of the arrival.
        given = await next_ticket(session, row.municipality, standing.counter, row.day)
        ticket = msgspec.structs.asdict(given)
    elif row.ticket_no is None and standing.state in PRESENT:
        ticket = msgspec.structs.asdict(await ticket_for(session, row, standing.counter))
    if standing.state in ("called", "serving") and row.chain_id is not None and not has_left:
        counter = await where_called(session, row)
        if counter is not None:
            raise Refusal("called_elsewhere", 409, counter=counter)
    key = {"municipality": row.municipality, "appointment_id": row.appointment_id}
    values = key | ticket | msgspec.structs.asdict(standing) | {"undo_version": undo_version, "now": now}
    stepped = (await session.execute(_STEP, values)).one()
    await record_deed(session, actor, action, row.appointment_id, version=stepped.version, now=now)
    if stepped.state == "booked":
        await outbox.publish(session, await tell_progress(session, stepped, now=now))
    else:
        await outbox.publish(session, tell(AppointmentProgressed, stepped, now=now))
    if action == "check-in":
        arrived = {row.appointment_id}
        await tell_near_turns(session, row.municipality, row.counter, row.day, at_the_desk=arrived, now=now)
    elif "checked_in" in (row.state, stepped.state):
        for counter in sorted({row.counter, stepped.counter}):
            await tell_near_turns(session, row.municipality, counter, row.day, now=now)
    await nudge_line(session, row.municipality)
    return _moved(stepped)


def standing_of(row: Any) -> Standing:
    """Where the person of an appointment's row stands."""
    return msgspec.convert(row, Standing, from_attributes=True)


def _after(before: Standing, state: State, action: Action, *, now: datetime) -> Standing:
    """The standing after a step: the moment of the new state is now, those of later ones are not yet."""
    if action in ("prefer", "unprefer"):
        return msgspec.structs.replace(before, is_preferred=action == "prefer")
    if action == "withdraw":
        return msgspec.structs.replace(before, state=state, parked_at=None)
    if action in ("park", "resume"):
        parked_at = now if action == "park" else None
        return msgspec.structs.replace(before, state=state, parked_at=parked_at, called_at=None)
    stamps: dict[str, Any] = {"no_show_at": now} if state == "no_show" else {STAMPS[state]: now, "no_show_at": None}
    later = _STAMPED[_STAMPED.index(STAMPS[state]) + 1 :] if state != "no_show" else []
    if action == "check-in":
        stamps["queued_at"] = now
    return msgspec.structs.replace(before, state=state, parked_at=None, **dict.fromkeys(later), **stamps)


def _moved(row: Any) -> Moved:
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
