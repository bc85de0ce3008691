"""Which counters are open now, and until when."""

from datetime import date, datetime, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import SlotTime
from services.booking.domain.closings import is_closed
from services.booking.domain.hours import OpenNow, Span, open_at
from services.booking.domain.opening import Hours, plan_day
from services.booking.queries.closings import list_closed_times
from services.booking.queries.day_changes import hours_of_day, list_counter_days
from services.booking.queries.rules import find_days_off, get_rules, list_counter_rules
from services.booking.queries.slots import CounterView, list_counters
from shared.clock import JST, jst_day


class OpenCounter(msgspec.Struct, frozen=True, kw_only=True):
    """A counter of the town, and whether it is open."""

    counter: CounterView
    now: OpenNow


async def list_open_counters(session: AsyncSession, municipality: str, *, now: datetime) -> dict[str, OpenCounter]:
    """All counters, with where their day stands; venues, to which helpers come by appointment, are none."""
    today = jst_day(now)
    rules = await list_counter_rules(session, municipality, today=today)
    off, holidays = await find_days_off(session, municipality, await get_rules(session, municipality), [today])
    closed = await list_closed_times(session, municipality, now=now)
    changes = await list_counter_days(session, municipality, today)
    closed_today = {counter for counter, change in changes.items() if not change.is_open}
    counters = await list_counters(session, municipality)
    moment = SlotTime(now, now + timedelta(minutes=1))
    found = {}
    for rule in rules:
        if rule.kind != "counter" or rule.counter not in counters:
            continue
        planned = plan_day(rule.versions, today, closed=off, holidays=holidays).hours
        hours = hours_of_day(planned, changes.get(rule.counter))
        is_open = open_at([_span(today, each) for each in hours], now=now)
        if not planned and hours:
            # Nobody knows until when.
            is_open = OpenNow(state="open")
        if is_open.state != "over" and (rule.counter in closed_today or is_closed(rule.counter, moment, closed)):
            is_open = OpenNow(state="closed")
        found[rule.counter] = OpenCounter(counter=counters[rule.counter], now=is_open)
    return found


def _span(day: date, hours: Hours) -> Span:
    # Until 00:00 is until midnight.
    last_day = day if hours.closes_at > hours.opens_at else day + timedelta(days=1)
    return Span(datetime.combine(day, hours.opens_at, JST), datetime.combine(last_day, hours.closes_at, JST))
