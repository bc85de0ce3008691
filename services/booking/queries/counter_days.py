"""At which counters somebody can be served today, and to which of them they are sent."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.queue import open_spans
from services.booking.queries.day_changes import list_closed_counters
from services.booking.queries.queue import list_plans_of_day
from services.booking.queries.slots import CounterView, list_counters, start_of_day
from shared.clock import jst_day

_PLACES = text("""
    SELECT target.code FROM procedure p CROSS JOIN LATERAL unnest(p.counters) AS target(code)
    WHERE p.municipality = :municipality AND p.code = ANY (CAST(:procedures AS text[]))
    GROUP BY target.code HAVING count(DISTINCT p.code) = cardinality(CAST(:procedures AS text[]))
    ORDER BY min(array_position(p.counters, target.code)), target.code LIMIT 100
""")


async def list_open_today(session: AsyncSession, municipality: str, *, now: datetime) -> set[str]:
    """The counters that are open now or later today, by their hours, by closings and by what staff changed."""
    day = jst_day(now)
    plans = await list_plans_of_day(session, municipality, day, now=now)
    closed = await list_closed_counters(session, municipality, day)
    return {
        counter
        for counter, plan in plans.items()
        if counter not in closed and any(now < ends_at for _, ends_at in open_spans(plan))
    }


async def counter_now(
    session: AsyncSession,
    municipality: str,
    counters: Mapping[str, CounterView],
    office: str | None,
    *,
    now: datetime,
) -> str:
    """Where somebody without an appointment is sent: to a counter of the office that gives the ticket, if it is done
    there and open now or later today, or else to another that is, or was; where none was, as if all were."""
    if len(counters) == 1:
        return next(iter(counters))
    found: Mapping[str, CounterView] = {}
    for since in (now, start_of_day(jst_day(now))):
        serving = await list_open_today(session, municipality, now=since)
        found = found or {code: counter for code, counter in counters.items() if code in serving}
    found = found or counters
    return next((code for code, counter in found.items() if counter.office == office), next(iter(found)))


async def find_open_counter(session: AsyncSession, row: Any, *, now: datetime) -> str | None:
    """Where somebody who comes for this appointment is served: where they are, or if staff have closed that, at another
    counter where all of it is done; None: at none that is open today."""
    if row.counter not in await list_closed_counters(session, row.municipality, row.day):
        return str(row.counter)
    procedures = [row.procedure, *(each["procedure"] for each in row.services or ())]
    counters = await list_counters(session, row.municipality)
    fitting = await list_counters_for(session, row.municipality, procedures)
    serving = await list_open_today(session, row.municipality, now=now)
    return next((code for code in fitting if code in counters and code in serving), None)


async def list_counters_for(session: AsyncSession, municipality: str, procedures: Collection[str]) -> list[str]:
    """The counters at which every one of these procedures is done, in the order of the catalogue."""
    asked = {"municipality": municipality, "procedures": sorted(set(procedures))}
    return list((await session.execute(_PLACES, asked)).scalars())
