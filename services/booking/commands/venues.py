"""Places at venues: as many in each slot as there are helpers on shift who can be asked."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import mark_availability
from services.booking.commands.slots import bring_slots, columns_of, fit_places
from services.booking.domain.opening import DayPlan
from services.booking.queries.opening import plan_venue
from services.booking.queries.rules import list_counter_rules, list_day_plans
from shared.clock import jst_day


async def bring_venue(
    session: AsyncSession, municipality: str, venue: str, plans: Sequence[DayPlan], *, now: datetime
) -> None:
    """Bring a venue's slots to its helpers' shifts. Whoever has booked keeps their place."""
    planned = await plan_venue(session, municipality, venue, plans, now=now)
    columns = columns_of(municipality, venue, planned)
    await bring_slots(session, columns, now=now)
    await fit_places(session, columns, now=now)


async def bring_venues(session: AsyncSession, municipality: str, venues: Iterable[str], *, now: datetime) -> None:
    """After shifts have changed, or a helper cannot come: bring these venues' slots, and tell what is free."""
    wanted = set(venues)
    rules = [
        rule
        for rule in await list_counter_rules(session, municipality, today=jst_day(now))
        if rule.kind == "venue" and rule.counter in wanted
    ]
    plans = await list_day_plans(session, municipality, rules, now=now)
    for rule in rules:
        await bring_venue(session, municipality, rule.counter, plans[rule.counter], now=now)
    await mark_availability(session, municipality, [rule.counter for rule in rules], now=now)
