"""Opening and closing counters for the rest of a day, who serves where, and moving those who wait at a closed one."""

from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.locking import refuse_closed_counter
from services.booking.commands.steps import standing_of, take_step
from services.booking.queries.counter_days import list_open_today
from services.booking.queries.day_changes import CounterDay, list_closed_counters, list_counter_days
from services.booking.queries.rules import list_counter_rules
from services.booking.queries.slots import list_counters
from services.booking.queries.today import FITS, planned_staff
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity

STAFF_MAX = 50
# As many as one touch moves; who is left is offered again.
MOVED_MAX = 100


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A counter as the page showed it: of which day, and in which version (0: as planned)."""

    counter: str
    day: date
    version: int


_WRITE = text("""
    INSERT INTO counter_day (municipality, counter, day, is_open, staff, closed_from, changed_at, version)
    VALUES (:municipality, :counter, :day, :is_open, :staff, :closed_from, :now, :version + 1)
    ON CONFLICT (municipality, counter, day) DO UPDATE
    SET is_open = excluded.is_open, staff = excluded.staff, closed_from = excluded.closed_from,
        changed_at = excluded.changed_at, version = counter_day.version + 1
    WHERE counter_day.version = :version
    RETURNING counter, day, is_open, staff, closed_from, version
""")
_WAITING = text(f"""
    SELECT a.* FROM appointment a
    WHERE a.municipality = :municipality AND a.day = :day AND a.counter = :source AND a.state = 'checked_in'
      AND {FITS.format(counter="CAST(:target AS text)")}
    ORDER BY a.appointment_id LIMIT {MOVED_MAX} FOR UPDATE
""")


async def close_counter(session: AsyncSession, actor: Identity, seen: Seen, *, now: datetime) -> CounterDay:
    """Close a counter for the rest of the day: from here on nobody comes into its line. Who waits there stays, until
    they are served or moved.

    Raises:
        Refusal: `counter_unknown` (404), `counter_changed` (409): it is not as it was shown.
    """
    return await _change(session, actor, seen, "close-counter", is_open=False, now=now)


async def open_counter(session: AsyncSession, actor: Identity, seen: Seen, *, now: datetime) -> CounterDay:
    """Open a counter that was closed, or that is not planned today.

    Raises:
        Refusal: `counter_unknown` (404), `counter_changed` (409): it is not as it was shown.
    """
    return await _change(session, actor, seen, "open-counter", is_open=True, now=now)


async def move_staff(
    session: AsyncSession, actor: Identity, source: Seen | None, target: Seen | None, *, now: datetime
) -> None:
    """One of those who serve at `source` serves at `target` from now on; None: they come from elsewhere, or go.

    Raises:
        Refusal: `counter_unknown` (404), `counter_changed`, `staff_unfit` (409): nobody is there, or too many;
            `counter_closed_now` (409): the target is closed.
    """
    if target is not None and target.counter in await list_closed_counters(session, actor.municipality, target.day):
        raise Refusal("counter_closed_now", 409)
    if source is not None and target is not None and source.counter == target.counter:
        raise Refusal("staff_unfit", 409)
    # In one order, so that two who move people to and fro do not wait for each other.
    both = [(seen, more) for seen, more in ((source, -1), (target, 1)) if seen is not None]
    for seen, more in sorted(both, key=lambda each: each[0].counter):
        await _change(session, actor, seen, "move-staff", more=more, now=now)


async def move_waiting(session: AsyncSession, actor: Identity, source: str, target: str, *, now: datetime) -> int:
    """Move everybody who waits at a closed counter, and whose procedures are done at the other, to that one's line.

    They keep their number, and the time since when they wait. Returns how many were moved; each is a step that can be
    taken back.

    Raises:
        Refusal: `counter_unknown` (404); `counter_changed` (409): the first is open again; `counter_closed_now` (409).
    """
    municipality, day = actor.municipality, jst_day(now)
    counters = await list_counters(session, municipality)
    if source not in counters or target not in counters:
        raise Refusal("counter_unknown", 404)
    closed = await list_closed_counters(session, municipality, day)
    if source not in closed:
        raise Refusal("counter_changed", 409)
    # Before anybody of the line is locked: who closes the target waits for nobody who waits for them.
    await refuse_closed_counter(session, municipality, target, day)
    if target not in await list_open_today(session, municipality, now=now):
        raise Refusal("counter_closed_now", 409)
    asked = {"municipality": municipality, "day": day, "source": source, "target": target}
    waiting = (await session.execute(_WAITING, asked)).all()
    for row in waiting:
        there = msgspec.structs.replace(standing_of(row), counter=target, office=counters[target].office)
        await take_step(session, actor, row, "move", there, now=now)
    return len(waiting)


async def _change(
    session: AsyncSession,
    actor: Identity,
    seen: Seen,
    action: str,
    *,
    is_open: bool | None = None,
    more: int = 0,
    now: datetime,
) -> CounterDay:
    municipality, today = actor.municipality, jst_day(now)
    if seen.counter not in await list_counters(session, municipality):
        raise Refusal("counter_unknown", 404)
    before = (await list_counter_days(session, municipality, today)).get(seen.counter)
    # A page from before midnight shows another day.
    if seen.day != today or seen.version != (before.version if before else 0):
        raise Refusal("counter_changed", 409)
    staff = before.staff if before else await _planned_staff(session, municipality, seen.counter, today)
    if not 0 <= staff + more <= STAFF_MAX:
        raise Refusal("staff_unfit", 409)
    is_open = is_open if is_open is not None else before is None or before.is_open
    closed_from = None if is_open else before.closed_from if before and not before.is_open else now
    values: dict[str, Any] = {
        "municipality": municipality,
        "counter": seen.counter,
        "day": today,
        "is_open": is_open,
        "staff": staff + more,
        "closed_from": closed_from,
        "version": seen.version,
        "now": now,
    }
    # Of two who change it at once, the second finds another version.
    written = (await session.execute(_WRITE, values)).one_or_none()
    if written is None:
        raise Refusal("counter_changed", 409)
    await record_deed(session, actor, action, seen.counter, version=written.version, now=now)
    return msgspec.convert(written, CounterDay, from_attributes=True)


async def _planned_staff(session: AsyncSession, municipality: str, counter: str, today: date) -> int:
    rules = await list_counter_rules(session, municipality, today=today)
    return next((planned_staff(rule, today) for rule in rules if rule.counter == counter), 1)
