"""How the counters' day differs from their opening rules: which are closed now, and how many serve."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.queries.slots import CounterView, list_counters

COUNTERS_MAX = 1_000


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
_PLACES = text("""
    SELECT target.code FROM procedure p CROSS JOIN LATERAL unnest(p.counters) AS target(code)
    WHERE p.municipality = :municipality AND p.code = ANY (CAST(:procedures AS text[]))
    GROUP BY target.code HAVING count(DISTINCT p.code) = cardinality(CAST(:procedures AS text[]))
    ORDER BY min(array_position(p.counters, target.code)), target.code LIMIT 100
""")


async def list_counter_days(session: AsyncSession, municipality: str, day: date) -> dict[str, CounterDay]:
    """The counters that staff changed on this day."""
    rows = (await session.execute(_DAYS, {"municipality": municipality, "day": day})).all()
    return {row.counter: msgspec.convert(row, CounterDay, from_attributes=True) for row in rows}


async def list_closed_counters(session: AsyncSession, municipality: str, day: date) -> set[str]:
    """The counters that staff have closed for the rest of this day."""
    return set((await session.execute(_CLOSED, {"municipality": municipality, "day": day})).scalars())


async def counter_now(
    session: AsyncSession, municipality: str, counters: Mapping[str, CounterView], office: str | None, day: date
) -> str:
    """Where somebody without an appointment is sent: to an open counter of the office that gives the ticket, if it is
    done there, or else to another that is open; where all are closed, as if they were open."""
    closed = await list_closed_counters(session, municipality, day)
    found = {code: counter for code, counter in counters.items() if code not in closed} or counters
    return next((code for code, counter in found.items() if counter.office == office), next(iter(found)))


async def find_open_counter(session: AsyncSession, row: Any) -> str | None:
    """Where somebody who comes for this appointment is served: where they are, or if that is closed, at another counter
    where all of it is done; None: at none that is open."""
    closed = await list_closed_counters(session, row.municipality, row.day)
    if row.counter not in closed:
        return str(row.counter)
    procedures = [row.procedure, *(each["procedure"] for each in row.services or ())]
    counters = await list_counters(session, row.municipality)
    fitting = await list_counters_for(session, row.municipality, procedures)
    return next((code for code in fitting if code in counters and code not in closed), None)


async def list_counters_for(session: AsyncSession, municipality: str, procedures: Collection[str]) -> list[str]:
    """The counters at which every one of these procedures is done, in the order of the catalogue."""
    asked = {"municipality": municipality, "procedures": sorted(set(procedures))}
    return list((await session.execute(_PLACES, asked)).scalars())
