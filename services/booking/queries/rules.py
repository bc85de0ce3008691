"""The town's policy, the opening rules in their versions, and why a day is closed."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal

import jpholiday
import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import closure_names, days_between, is_year_end
from services.booking.domain.opening import DayPlan, OpeningRule, Version, plan_day, version_on, without_closed
from services.booking.domain.rules import Policy
from services.booking.queries.closings import list_closed_times
from shared.clock import jst_day
from shared.db import Prepared
from shared.town_pack import QueueRules

CLOSURES_MAX = 1_000
VERSIONS_MAX = 5_000
YEAR_END_NAME_JA = "年末年始"

Kind = Literal["counter", "venue"]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The policy, how the line is ordered, and which days close by themselves."""

    policy: Policy
    queue: QueueRules = QueueRules()
    holidays: bool
    year_end: bool


class CounterRules(msgspec.Struct, frozen=True, kw_only=True):
    """A counter or venue with the versions of its rule that count today or later, by their days."""

    counter: str
    kind: Kind
    versions: tuple[Version, ...]


_RULES = Prepared("SELECT * FROM booking_rules WHERE municipality = :municipality LIMIT 1")
_VERSIONS = text(f"""
    SELECT r.counter, r.kind, o.valid_from, o.rule
    FROM counter_rule r
    LEFT JOIN opening_rule o ON (o.municipality, o.counter) = (r.municipality, r.counter) AND o.withdrawn_at IS NULL
        AND o.valid_from >= coalesce(
            (SELECT max(x.valid_from) FROM opening_rule x
             WHERE (x.municipality, x.counter) = (r.municipality, r.counter) AND x.withdrawn_at IS NULL
               AND x.valid_from <= :today), '-infinity')
    WHERE r.municipality = :municipality
    ORDER BY r.counter, o.valid_from LIMIT {VERSIONS_MAX}
""")
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
    queue = msgspec.convert(row.queue, QueueRules)
    return Rules(policy=policy, queue=queue, holidays=row.holidays, year_end=row.year_end)


async def list_counter_rules(session: AsyncSession, municipality: str, *, today: date) -> list[CounterRules]:
    """All counters and venues by code, with what counts from today on."""
    rows = (await session.execute(_VERSIONS, {"municipality": municipality, "today": today})).all()
    kinds: dict[str, Kind] = {row.counter: row.kind for row in rows}
    versions: dict[str, list[Version]] = {counter: [] for counter in kinds}
    for row in rows:
        if row.rule is not None:
            versions[row.counter].append(
                Version(valid_from=row.valid_from, rule=msgspec.convert(row.rule, OpeningRule))
            )
    return [
        CounterRules(counter=counter, kind=kind, versions=tuple(versions[counter])) for counter, kind in kinds.items()
    ]


async def list_day_plans(
    session: AsyncSession, municipality: str, rules: Sequence[CounterRules], *, now: datetime
) -> dict[str, list[DayPlan]]:
    """What each day from today to the horizon should be, for each of these counters."""
    town = await get_rules(session, municipality)
    today = jst_day(now)
    days = list(days_between(today, today + timedelta(days=town.policy.horizon_days)))
    closed, holidays = await find_days_off(session, municipality, town, days)
    closed_times = await list_closed_times(session, municipality, now=now)
    return {
        rule.counter: [
            without_closed(plan_day(rule.versions, day, closed=closed, holidays=holidays), rule.counter, closed_times)
            for day in days
        ]
        for rule in rules
    }


async def find_days_off(
    session: AsyncSession, municipality: str, rules: Rules, days: Sequence[date]
) -> tuple[set[date], set[date]]:
    """Which of these days (in order) the town has closed itself, and which are holidays or the year's end."""
    own = closure_names(days, closures=await _list_closures(session, municipality, days), holidays={}, year_end=None)
    holidays = _holidays(days[0], days[-1]) if rules.holidays else {}
    return set(own), {day for day in days if day in holidays or (rules.year_end and is_year_end(day))}


async def list_closed_days(
    session: AsyncSession,
    municipality: str,
    rules: Rules,
    days: Sequence[date],
    *,
    counters: Sequence[str] = (),
) -> dict[date, str]:
    """Which of these days (in order) are closed, and why, in Japanese.

    For everybody; and where `counters` are named, also those on which every one of them is closed specially.
    """
    if not days:
        return {}
    special = await _list_special_closures(session, municipality, set(counters), days[0]) if counters else {}
    return {day: reason for day, reason in special.items() if days[0] <= day <= days[-1]} | closure_names(
        days,
        closures=await _list_closures(session, municipality, days),
        holidays=_holidays(days[0], days[-1]) if rules.holidays else {},
        year_end=YEAR_END_NAME_JA if rules.year_end else None,
    )


async def _list_special_closures(
    session: AsyncSession, municipality: str, counters: set[str], first: date
) -> Mapping[date, str]:
    reasons = [
        {
            special.day: special.reason_ja
            for version in rule.versions
            for special in version.rule.special_days
            if not special.hours and version_on(rule.versions, special.day) is version
        }
        for rule in await list_counter_rules(session, municipality, today=first)
        if rule.counter in counters
    ]
    return (
        {day: reason for day, reason in reasons[0].items() if all(day in each for each in reasons)} if reasons else {}
    )


async def _list_closures(
    session: AsyncSession, municipality: str, days: Sequence[date]
) -> list[tuple[date, date, str]]:
    span = {"municipality": municipality, "first": days[0], "last": days[-1], "most": CLOSURES_MAX}
    return [(row.first_day, row.last_day, row.reason_ja) for row in await session.execute(_CLOSURES, span)]


def _holidays(first: date, last: date) -> dict[date, str]:
    """National holidays and the days off in lieu of them (国民の祝日に関する法律)."""
    return dict(jpholiday.between(first, last))
