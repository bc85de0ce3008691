"""What is free at a glance: how much on each day, the next free times in their order, one of them."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.rules import Policy, earliest_start
from services.booking.queries.runs import FREE_OR_OWN, RUN_FROM, Need
from services.booking.queries.slots import FREE, OpenSlot, start_of_day, window_end
from shared.db import Prepared

# A month, and what a client may ask for at most.
DAYS_MAX = 62


class DayCount(msgspec.Struct, frozen=True, kw_only=True):
    """A day with times: of so many public `places` that can still be given out, so many are `free`.

    No places: its last time is over, or too near.
    """

    day: date
    places: int
    free: int


class After(NamedTuple):
    """Where a page of free times ended; the next one begins after it."""

    starts_at: datetime
    counter: str


# Days whose times are all too near (or over) are told, too: they are not closed.
_DAYS = Prepared(f"""
    SELECT (s.starts_at AT TIME ZONE 'Asia/Tokyo')::date AS day,
           count(*) FILTER (WHERE s.starts_at >= :earliest) AS places,
           count(*) FILTER (WHERE {FREE} AND s.starts_at >= :earliest) AS free
    FROM slot s JOIN place p ON p.municipality = s.municipality AND p.slot_id = s.slot_id AND p.audience = 'public'
    WHERE s.municipality = :municipality AND s.counter = ANY (:counters) AND NOT s.withdrawn
      AND s.starts_at >= :first AND s.starts_at < :until AND s.slot_id IS DISTINCT FROM CAST(:without AS uuid)
    GROUP BY 1 ORDER BY 1 LIMIT {DAYS_MAX}
""")
# For who needs more time, of so many times to begin at so many are free all along: every slot is counted once, and the
# time from each of them is a window over those that follow (as in `queries/runs.py`, which looks at a few).
_LONG_DAYS = Prepared(f"""
    SELECT (run.starts_at AT TIME ZONE 'Asia/Tokyo')::date AS day,
           count(*) FILTER (WHERE run.starts_at >= :earliest) AS places,
           count(*) FILTER (WHERE run.free > 0 AND run.is_covered AND run.starts_at >= :earliest) AS free
    FROM (
        SELECT each.slot_id, each.starts_at, each.withdrawn, each.places, min(each.free) OVER time AS free,
               max(each.ends_at) OVER time >= each.starts_at + CAST(:minutes AS integer) * interval '1 minute'
               AND sum(each.ends_at - each.starts_at) OVER time = max(each.ends_at) OVER time - each.starts_at
               AND NOT bool_or(each.withdrawn) OVER time AS is_covered
        FROM (
            SELECT s.slot_id, s.counter, s.starts_at, s.ends_at, s.withdrawn,
                   count(*) FILTER (WHERE p.audience = 'public') AS places,
                   count(*) FILTER (WHERE {FREE_OR_OWN}) AS free
            FROM slot s JOIN place p ON p.municipality = s.municipality AND p.slot_id = s.slot_id
            WHERE s.municipality = :municipality AND s.counter = ANY (:counters) AND s.starts_at >= :first
              AND s.starts_at < CAST(:until AS timestamptz) + CAST(:minutes AS integer) * interval '1 minute'
            GROUP BY s.municipality, s.slot_id) AS each
        WINDOW time AS (
            PARTITION BY each.counter ORDER BY each.starts_at
            RANGE BETWEEN CURRENT ROW
                      AND (CAST(:minutes AS integer) * interval '1 minute' - interval '1 microsecond') FOLLOWING)
        ) AS run
    WHERE run.starts_at < :until AND run.places > 0 AND NOT run.withdrawn
      AND run.slot_id IS DISTINCT FROM CAST(:without AS uuid)
    GROUP BY 1 ORDER BY 1 LIMIT {DAYS_MAX}
""")
# Of each counter by the index and no further, then the first of all.
_NEXT = """
    SELECT near.* FROM unnest(CAST(:counters AS text[])) AS asked(counter), LATERAL (
        SELECT s.slot_id, s.counter, s.starts_at, {ends_at}, places.free
        FROM slot s, LATERAL {places} AS places
        WHERE s.municipality = :municipality AND s.counter = asked.counter AND NOT s.withdrawn
          AND s.starts_at >= :earliest AND s.starts_at < :until
          AND (s.starts_at, s.counter) > (:after_at, :after_counter)
          AND s.slot_id IS DISTINCT FROM CAST(:without AS uuid) AND places.free > 0
        ORDER BY s.starts_at LIMIT :most) AS near
    ORDER BY near.starts_at, near.counter LIMIT :most
"""
_PLACES = f"""(
            SELECT count(*) AS free FROM place p
            WHERE p.municipality = s.municipality AND p.slot_id = s.slot_id AND {FREE})"""
_NEXT_FREE = Prepared(_NEXT.format(ends_at="s.ends_at", places=_PLACES))
_LONG_NEXT_FREE = Prepared(_NEXT.format(ends_at="places.ends_at", places=RUN_FROM))
_ONE = """
    SELECT s.slot_id, s.counter, s.starts_at, {ends_at}, places.free
    FROM slot s, LATERAL {places} AS places
    WHERE s.municipality = :municipality AND s.slot_id = :slot_id AND s.counter = ANY (:counters)
      AND s.starts_at >= :earliest AND s.starts_at < :until AND NOT s.withdrawn
"""
_BOOKABLE = Prepared(_ONE.format(ends_at="s.ends_at", places=_PLACES))
_LONG_BOOKABLE = Prepared(_ONE.format(ends_at="places.ends_at", places=RUN_FROM))


async def list_days(
    session: AsyncSession,
    municipality: str,
    counters: Sequence[str],
    policy: Policy,
    *,
    first: date,
    last: date,
    without: UUID | None = None,
    need: Need | None = None,
    now: datetime,
) -> dict[date, DayCount]:
    """The days from `first` to `last` on which these counters have times, all of them together.

    With a `need`, times to begin are counted instead of places: all of them, and those from which it is free.
    """
    asked = {
        "municipality": municipality,
        "counters": list(counters),
        "earliest": earliest_start(policy, now),
        "first": start_of_day(first),
        "until": min(window_end(policy, now), start_of_day(last + timedelta(days=1))),
        "without": without,
        "now": now,
    }
    if need is not None:
        rows = await _LONG_DAYS.rows(session, asked | msgspec.structs.asdict(need))
    else:
        rows = await _DAYS.rows(session, asked)
    return {row.day: DayCount(day=row.day, places=row.places, free=row.free) for row in rows}


async def list_next_free(
    session: AsyncSession,
    municipality: str,
    counters: Sequence[str],
    policy: Policy,
    *,
    most: int,
    after: After | None = None,
    without: UUID | None = None,
    need: Need | None = None,
    now: datetime,
) -> list[OpenSlot]:
    """The next free slots of these counters, by time and then by counter; with a `need`, as `list_slots` has them."""
    earliest = earliest_start(policy, now)
    floor = After(earliest - timedelta(days=1), "")
    begin = max(after or floor, floor)
    asked = {
        "municipality": municipality,
        "counters": list(counters),
        "earliest": max(earliest, begin.starts_at),
        "until": window_end(policy, now),
        "after_at": begin.starts_at,
        "after_counter": begin.counter,
        "without": without,
        "most": most,
        "now": now,
    }
    if need is not None:
        rows = await _LONG_NEXT_FREE.rows(session, asked | msgspec.structs.asdict(need))
    else:
        rows = await _NEXT_FREE.rows(session, asked)
    return [_open_slot(row) for row in rows]


async def find_bookable(
    session: AsyncSession,
    municipality: str,
    slot_id: UUID,
    counters: Sequence[str],
    policy: Policy,
    *,
    need: Need | None = None,
    now: datetime,
) -> OpenSlot | None:
    """A slot of these counters within notice and horizon, free or full; with a `need`, if the time is covered."""
    asked = {
        "municipality": municipality,
        "slot_id": slot_id,
        "counters": list(counters),
        "earliest": earliest_start(policy, now),
        "until": window_end(policy, now),
        "now": now,
    }
    if need is not None:
        row = await _LONG_BOOKABLE.row(session, asked | msgspec.structs.asdict(need))
    else:
        row = await _BOOKABLE.row(session, asked)
    return _open_slot(row) if row else None


def _open_slot(row: tuple[UUID, str, datetime, datetime, int]) -> OpenSlot:
    return OpenSlot(slot_id=row[0], counter=row[1], starts_at=row[2], ends_at=row[3], free=row[4])
