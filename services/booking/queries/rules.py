"""The town's policy, and why a day is closed."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal

import jpholiday
import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import OpeningHours, SlotTime, closure_names, days_between, slots_of_day
from services.booking.domain.closings import is_closed
from services.booking.domain.rules import Policy
from services.booking.queries.closings import list_closed_times
from shared.clock import jst_day
from shared.db import Prepared

CLOSURES_MAX = 1_000
YEAR_END_NAME_JA = "年末年始"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The policy, and which days close by themselves."""

    policy: Policy
    holidays: bool
    year_end: bool


class CounterRule(msgspec.Struct, frozen=True, kw_only=True):
    """When a counter or venue is open. A venue has no places of its own."""

    counter: str
    kind: Literal["counter", "venue"]
    slot_min: int
    places: int
    staff_only_places: int
    hours: list[OpeningHours]


_COUNTER_RULES = text("""
    SELECT counter, kind, slot_min, places, staff_only_places, hours FROM counter_rule
    WHERE municipality = :municipality ORDER BY counter LIMIT 1000
""")
_RULES = Prepared("SELECT * FROM booking_rules WHERE municipality = :municipality LIMIT 1")
_CLOSURES = text("""
    SELECT first_day, last_day, reason_ja FROM closure
    WHERE municipality = :municipality AND last_day >= :first AND first_day <= :last ORDER BY first_day LIMIT :most
""")


async def get_rules(session: AsyncSession, municipality: str) -> Rules:
    """The town's rules; the defaults until a town pack was loaded."""
    row = await _RULES.row(session, {"municipality": municipality})
    if row is None:
        return Rules(policy=Policy(), holidays=True, year_end=True)
    policy = Policy(**{name: getattr(row, name) for name in Policy.__struct_fields__})
    return Rules(policy=policy, holidays=row.holidays, year_end=row.year_end)


async def list_counter_rules(session: AsyncSession, municipality: str) -> list[CounterRule]:
    """The opening rules of all counters and venues, by code."""
    rows = (await session.execute(_COUNTER_RULES, {"municipality": municipality})).all()
    return [msgspec.convert(row._mapping, CounterRule) for row in rows]


async def list_planned_times(
    session: AsyncSession, municipality: str, rules: Sequence[CounterRule], *, now: datetime
) -> dict[str, list[SlotTime]]:
    """The times of these counters, from now to the horizon, without days and times that are closed."""
    town = await get_rules(session, municipality)
    today = jst_day(now)
    days = list(days_between(today, today + timedelta(days=town.policy.horizon_days)))
    closed = await list_closed_days(session, municipality, town, days)
    closed_times = await list_closed_times(session, municipality, now=now)
    return {
        rule.counter: [
            time
            for day in days
            if day not in closed
            for time in slots_of_day(day, rule.hours, slot_min=rule.slot_min)
            if time.starts_at > now and not is_closed(rule.counter, time, closed_times)
        ]
        for rule in rules
    }


async def list_closed_days(
    session: AsyncSession, municipality: str, rules: Rules, days: Sequence[date]
) -> dict[date, str]:
    """Which of these days (in order) are closed for everybody, and why, in Japanese."""
    if not days:
        return {}
    span = {"municipality": municipality, "first": days[0], "last": days[-1], "most": CLOSURES_MAX}
    rows = (await session.execute(_CLOSURES, span)).all()
    return closure_names(
        days,
        closures=[(row.first_day, row.last_day, row.reason_ja) for row in rows],
        holidays=_holidays(days[0], days[-1]) if rules.holidays else {},
        year_end=YEAR_END_NAME_JA if rules.year_end else None,
    )


def _holidays(first: date, last: date) -> dict[date, str]:
    """National holidays and the days off in lieu of them (国民の祝日に関する法律)."""
    return dict(jpholiday.between(first, last))
