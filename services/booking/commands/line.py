"""What staff do with somebody in the line: check in, call, serve, finish, set aside, mark as absent, take back."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import lock_arrival
from services.booking.commands.delivered import as_booked, record_delivered
from services.booking.commands.locking import enter_counters
from services.booking.commands.steps import Moved, Standing, standing_of, take_step, undo_step
from services.booking.domain.arrival import ready_parts
from services.booking.domain.late import fit_moment
from services.booking.domain.line import PRESENT, STAMPS, Action, State, next_state, progress_of
from services.booking.queries.arrival import list_parts_of_day
from services.booking.queries.counter_days import find_open_counter
from services.booking.queries.slots import list_counters
from shared.clock import jst_day
from shared.errors import Refusal
from shared.passes import ERRANDS_MAX
from shared.reference_number import read_number
from shared.tokens import Identity


class MoveAlong(msgspec.Struct, frozen=True, kw_only=True):
    """The order to take one step with somebody in the line. `version` is the one that the tablet showed."""

    appointment_id: UUID
    action: Action
    version: int


# The columns of the moments, in the order of the line.
_STAMPED = [column for state, column in STAMPS.items() if state != "no_show"]
_BY_NUMBER = text("""
    SELECT appointment_id FROM appointment WHERE (municipality, number) = (:municipality, :number)
""")
_LAST_STEP = text("""
    SELECT max(at) FROM line_step WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
# Steps of one transaction have one moment at which they were recorded.
_BROUGHT = text(f"""
    SELECT a.* FROM line_step done
    JOIN line_step brought ON (brought.municipality, brought.recorded_at, brought.actor_ref, brought.action)
                              = (done.municipality, done.recorded_at, done.actor_ref, 'check-in')
    JOIN appointment a ON (a.municipality, a.appointment_id, a.version)
                          = (brought.municipality, brought.appointment_id, brought.version)
    WHERE (done.municipality, done.appointment_id, done.version, done.action)
          = (:municipality, :appointment_id, :version, 'done')
      AND a.chain_id = :chain_id AND a.appointment_id <> done.appointment_id AND a.undo_version = brought.version
    ORDER BY a.appointment_id LIMIT {ERRANDS_MAX}
""")
_SENT_BY = text("""
    SELECT from_office FROM transfer
    WHERE (municipality, appointment_id, version) = (:municipality, :appointment_id, :version)
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
    brought = await _list_brought(session, row) if order.action == "undo" else []
    moved = await _step(session, actor, row, order.action, now=now, at=at)
    for part in brought:
        await _step(session, actor, part, "undo", now=now)
    if order.action in ("check-in", "done"):
        await bring_on(session, actor, row, now=now, at=at)
    return moved


async def lock_in_line(
    session: AsyncSession, actor: Identity, appointment_id: UUID, version: int, *, is_undo: bool = False
) -> Any:
    """The locked row of somebody with whom the actor may take a step, as their tablet showed it.

    Raises:
        Refusal: `appointment_unknown` (404), `other_office` (403), `line_moved` (409, with the `state`).
    """
    row = await _lock(session, actor.municipality, appointment_id)
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
    row = await _lock(session, actor.municipality, appointment_id)
    if row is None or row.state == "cancelled":
        raise Refusal("arrival_cancelled", 409)
    if row.day == jst_day(now) and row.state in PRESENT:
        raise Refusal("arrival_known", 409, state=row.state)
    if row.day == jst_day(now) and row.state == "done":
        raise Refusal("arrival_done", 409, state=row.state)
    ready = await _list_open(session, await _list_ready(session, row, now=now), now=now)
    first = next((part for part in ready if part.chain_person == row.chain_person), row)
    moved = await _step(session, actor, first if row.state == "booked" else row, "check-in", now=now, at=at)
    await bring_on(session, actor, row, now=now, at=at)
    return moved


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
        return await undo_step(session, actor, row, now=now)
    if at is None:
        at = now
    else:
        if jst_day(at) != row.day:
            raise Refusal("not_today", 409, day=row.day.isoformat())
        at = fit_moment(at, since=await _since(session, row), now=now)
    state = next_state(progress_of(row), action, now=at)
    standing = _after(standing_of(row), state, action, now=at)
    if action == "check-in":
        standing = await stand_where_open(session, row, standing, now=now)
    return await take_step(session, actor, row, action, standing, now=now, at=at)


async def stand_where_open(session: AsyncSession, row: Any, standing: Standing, *, now: datetime) -> Standing:
    """Whoever comes to a counter that is closed is sent to another where all of it is done, if one is open."""
    found = await find_open_counter(session, row, now=now)
    if found is None or found == standing.counter:
        return standing
    counters = await list_counters(session, row.municipality)
    return msgspec.structs.replace(standing, counter=found, office=counters[found].office)


async def bring_on(
    session: AsyncSession, actor: Identity, row: Any, *, now: datetime, at: datetime | None = None
) -> None:
    """Who is here is checked in for what they can be called to next. What is done at closed counters stays booked.

    `at`: since when they are here, as `move_along`; for each part not before what was last done with it.
    """
    for part in await _list_open(session, await _list_ready(session, row, now=now), now=now):
        since = None if at is None else max(at, await _since(session, part))
        await _step(session, actor, part, "check-in", now=now, at=since)


async def _list_brought(session: AsyncSession, row: Any) -> list[Any]:
    """Whom the end of the turn that is about to be taken back brought into other lines, and nobody has touched since:
    they are not there."""
    if row.chain_id is None:
        return []
    asked = {
        "municipality": row.municipality,
        "appointment_id": row.appointment_id,
        "version": row.undo_version,
        "chain_id": row.chain_id,
    }
    return list((await session.execute(_BROUGHT, asked)).all())


async def _since(session: AsyncSession, row: Any) -> datetime:
    """When the last step with somebody was, or when they booked: nothing is done with them before that."""
    key = {"municipality": row.municipality, "appointment_id": row.appointment_id}
    last_at: datetime | None = (await session.execute(_LAST_STEP, key)).scalar_one()
    return last_at or row.booked_at


async def _lock(session: AsyncSession, municipality: str, appointment_id: UUID) -> Any:
    """An appointment, locked with all of its arrival: a step with one part may lead to steps with the others."""
    rows = await lock_arrival(session, municipality, appointment_id)
    return next((row for row in rows if row.appointment_id == appointment_id), None)


async def _list_open(session: AsyncSession, parts: list[Any], *, now: datetime) -> list[Any]:
    """Those that can come into a line now; until the transaction ends, nobody closes where that is."""
    if not parts:
        return []
    there = {part.appointment_id: await find_open_counter(session, part, now=now) for part in parts}
    counters = {counter for counter in there.values() if counter is not None}
    closed = await enter_counters(session, parts[0].municipality, counters, parts[0].day)
    return [part for part in parts if there[part.appointment_id] in counters - closed]


async def _list_ready(session: AsyncSession, row: Any, *, now: datetime) -> list[Any]:
    if row.chain_id is None or row.day != jst_day(now):
        return []
    return ready_parts(await list_parts_of_day(session, row.municipality, row.chain_id, row.day), now=now)


async def _sent_by(session: AsyncSession, row: Any) -> str | None:
    """The office that sent them here, as long as nothing else was done with them since: it can take that back."""
    key = {"municipality": row.municipality, "appointment_id": row.appointment_id, "version": row.undo_version}
    office: str | None = (await session.execute(_SENT_BY, key)).scalar_one_or_none()
    return office


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
