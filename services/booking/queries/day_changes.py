"""What staff changed of the counters' day: which they closed or opened, and how many serve."""

from collections.abc import Sequence
from datetime import date, datetime, time

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.opening import Hours

COUNTERS_MAX = 1_000
# Of a counter that staff open on a day on which it has no hours: until they close it, or the day is over.
ALL_DAY = (Hours(time(0), time(0)),)


class CounterDay(msgspec.Struct, frozen=True, kw_only=True):
    """A counter's day where staff changed it; `closed_from`: since when it is closed."""

    counter: str
    day: date
    is_open: bool
    staff: int
    closed_from: datetime | None
    version: int


_DAYS = text(f"""
    SELECT counter, day, is_open, staff, closed_from, version FROM counter_day
    WHERE municipality = :municipality AND day = :day LIMIT {COUNTERS_MAX}
""")
_CLOSED = text(f"""
    SELECT counter FROM counter_day
    WHERE municipality = :municipality AND day = :day AND NOT is_open LIMIT {COUNTERS_MAX}
""")


async def list_counter_days(session: AsyncSession, municipality: str, day: date) -> dict[str, CounterDay]:
    """The counters that staff changed on this day."""
    rows = (await session.execute(_DAYS, {"municipality": municipality, "day": day})).all()
    return {row.counter: msgspec.convert(row, CounterDay, from_attributes=True) for row in rows}


async def list_closed_counters(session: AsyncSession, municipality: str, day: date) -> set[str]:
    """The counters that staff have closed for the rest of this day."""
    return set((await session.execute(_CLOSED, {"municipality": municipality, "day": day})).scalars())


def hours_of_day(planned: Sequence[Hours], change: CounterDay | None) -> tuple[Hours, ...]:
    """The hours of a counter on a day: as planned; where there are none and staff opened it, all of the day."""
    if not planned and change is not None and change.is_open:
        return ALL_DAY
    return tuple(planned)
