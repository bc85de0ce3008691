"""Places at venues: as many in each slot as there are helpers on shift who can be asked."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import mark_availability
from services.booking.commands.slots import PlannedSlot, bring_slots, fit_places
from services.booking.domain.calendar import SlotTime
from services.booking.domain.shifts import Away, Shift, count_helpers
from services.booking.queries.rules import list_counter_rules, list_planned_times

SHIFTS_MAX = 5_000

_SHIFTS = text(f"""
    SELECT s.helper_ref, s.weekday, s.from_min, s.to_min FROM helper_shift s
    JOIN helper h ON (h.municipality, h.helper_ref) = (s.municipality, s.helper_ref)
    WHERE s.municipality = :municipality AND s.venue = :venue AND h.is_open LIMIT {SHIFTS_MAX}
""")
_AWAY = text(f"""
    SELECT s.helper_ref, lower(s.during) AS starts_at, upper(s.during) AS ends_at FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    WHERE s.municipality = :municipality AND upper(s.during) > :now
      AND (s.state = 'declined' OR s.state IN ('asked', 'accepted') AND a.counter <> :venue)
    LIMIT {SHIFTS_MAX}
""")


async def bring_venue(
    session: AsyncSession, municipality: str, venue: str, times: Sequence[SlotTime], *, now: datetime
) -> None:
    """Bring a venue's slots to its helpers' shifts. Whoever has booked keeps their place."""
    asked = {"municipality": municipality, "venue": venue, "now": now}
    shifts = [msgspec.convert(row, Shift, from_attributes=True) for row in await session.execute(_SHIFTS, asked)]
    away = [msgspec.convert(row, Away, from_attributes=True) for row in await session.execute(_AWAY, asked)]
    counted = [PlannedSlot(time, count_helpers(time, shifts, away)) for time in times]
    planned = [slot for slot in counted if slot.places]
    await bring_slots(session, municipality, venue, planned, now=now)
    await fit_places(session, municipality, venue, planned, now=now)


async def bring_venues(session: AsyncSession, municipality: str, venues: Iterable[str], *, now: datetime) -> None:
    """After shifts have changed, or a helper cannot come: bring these venues' slots, and tell what is free."""
    wanted = set(venues)
    rules = [
        rule
        for rule in await list_counter_rules(session, municipality)
        if rule.kind == "venue" and rule.counter in wanted
    ]
    times = await list_planned_times(session, municipality, rules, now=now)
    for rule in rules:
        await bring_venue(session, municipality, rule.counter, times[rule.counter], now=now)
    await mark_availability(session, municipality, [rule.counter for rule in rules], now=now)
