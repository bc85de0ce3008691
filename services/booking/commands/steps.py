"""A step with somebody in the line: written once, with where they stood before; and taken back."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import leave_chain_if_in_the_way
from services.booking.commands.facts import tell
from services.booking.commands.locking import refuse_closed_counter
from services.booking.commands.marks import watch_waits
from services.booking.commands.near_turn import tell_near_turns
from services.booking.commands.nudge import nudge_line
from services.booking.commands.offers import tell_progress
from services.booking.commands.tickets import next_ticket, ticket_for
from services.booking.domain.line import PRESENT, State, progress_of
from services.booking.queries.arrival import where_called
from services.booking.queries.waits import estimate_own_wait
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import AppointmentProgressed
from shared.tokens import Identity


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


_STEP = text("""
    UPDATE appointment
    SET state = :state, version = version + 1, undo_version = :undo_version,
        changed_at = :now, counter = :counter, office = :office, ticket_counter = :ticket_counter,
        ticket_no = :ticket_no, queued_at = :queued_at, parked_at = :parked_at, is_preferred = :is_preferred,
        checked_in_at = :checked_in_at, called_at = :called_at, serving_at = :serving_at, done_at = :done_at,
        no_show_at = :no_show_at,
        near_turn_at = CASE WHEN counter = :counter THEN near_turn_at END
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
_BEFORE = text("""
    SELECT before FROM line_step
    WHERE (municipality, appointment_id, version) = (:municipality, :appointment_id, :version)
""")
_TAKE_BACK = text("""
    UPDATE line_step SET is_undone = true
    WHERE (municipality, appointment_id, version) = (:municipality, :appointment_id, :version)
    RETURNING undo_before
""")
# What was told to the other counter goes with it.
_FORGET_TRANSFER = text("""
    DELETE FROM transfer WHERE (municipality, appointment_id, version) = (:municipality, :appointment_id, :version)
""")


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
    if _comes(row, standing):
        await refuse_closed_counter(session, row.municipality, standing.counter, row.day)
    moved = await _stand(session, actor, row, action, standing, undo_version=row.version + 1, now=now, at=at)
    await remember(session, actor, row, row.version + 1, action, standing, now=now, at=at or now)
    return moved


async def remember(
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


async def undo_step(session: AsyncSession, actor: Identity, row: Any, *, now: datetime) -> Moved:
    """Back to where they were before the last step that was not taken back yet.

    Raises:
        Refusal: `step_impossible` (409), there is none; `counter_closed_now` (409): that line is closed by now.
    """
    if not progress_of(row).can_undo:
        raise Refusal("step_impossible", 409, state=row.state)
    key = {"municipality": row.municipality, "appointment_id": row.appointment_id, "version": row.undo_version}
    before = msgspec.convert((await session.execute(_BEFORE, key)).scalar_one(), Standing)
    if _comes(row, before):
        await refuse_closed_counter(session, row.municipality, before.counter, row.day)
    step = (await session.execute(_TAKE_BACK, key)).one()
    await session.execute(_FORGET_TRANSFER, key)
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
    at: datetime | None = None,
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
        # Who came while a tablet had no network is not at the desk any more.
        arrived = {row.appointment_id} if at in (None, now) else set()
        await tell_near_turns(session, row.municipality, stepped.counter, row.day, at_the_desk=arrived, now=now)
    elif "checked_in" in (row.state, stepped.state):
        for counter in sorted({row.counter, stepped.counter}):
            await tell_near_turns(session, row.municipality, counter, row.day, now=now)
    # Also who was called, or parked, and waits again: the watch has ended if nobody else waited.
    if stepped.state == "checked_in":
        await watch_waits(session, row.municipality, now=now)
    await nudge_line(session, row.municipality)
    return moved_of(stepped)


def _comes(row: Any, standing: Standing) -> bool:
    """Whether this brings somebody into a line in which they are not yet."""
    return standing.state == "checked_in" and (row.state not in PRESENT or standing.counter != row.counter)


def standing_of(row: Any) -> Standing:
    """Where the person of an appointment's row stands."""
    return msgspec.convert(row, Standing, from_attributes=True)


def moved_of(row: Any) -> Moved:
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
