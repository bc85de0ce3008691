"""Slots and places for the whole horizon, one row per place: made once, and again only where the rules differ."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import mark_availability
from services.booking.commands.slots import add_slots, bring_slots, columns_of, fit_places, spans_of
from services.booking.commands.tidying import tidy_up
from services.booking.commands.venues import bring_venue
from services.booking.domain.opening import DayPlan, PlannedSlot, planned_slots
from services.booking.queries.rules import list_counter_rules, list_day_plans
from shared.clock import JST, jst_day
from shared.messaging.due import schedule

T = TypeVar("T")

EXTEND_HORIZON, EXTEND_REF = "extend_horizon", "town"
# When the next day is opened, Japan time: nobody books then.
EXTEND_AT = time(0, 5)
OPENED_MAX = 500_000
# Of a day on which somebody was in the way of its plan: tried again the next time.
IN_THE_WAY = ""

# Whoever brings slots to the rules is the only one in this town.
_LOCK = text("SELECT 1 FROM booking_rules WHERE municipality = :municipality FOR UPDATE")
_OPENED = text(f"""
    SELECT counter, day, plan FROM opened_day
    WHERE municipality = :municipality AND day >= :today ORDER BY counter, day LIMIT {OPENED_MAX}
""")
# Which of these counters have slots in the time that is asked for.
_BEGUN = text("""
    SELECT DISTINCT s.counter
    FROM unnest(CAST(:counters AS text[]), CAST(:firsts AS timestamptz[]), CAST(:untils AS timestamptz[]))
        AS asked(counter, first, until)
    JOIN slot s ON s.municipality = :municipality AND s.counter = asked.counter
        AND s.starts_at >= asked.first AND s.starts_at < asked.until
""")
_REMEMBER = text("""
    INSERT INTO opened_day (municipality, counter, day, plan)
    SELECT :municipality, opened.*
    FROM unnest(CAST(:counters AS text[]), CAST(:days AS date[]), CAST(:plans AS text[])) AS opened(counter, day, plan)
    ON CONFLICT (municipality, counter, day) DO UPDATE SET plan = excluded.plan
""")
_FORGET = text("""
    DELETE FROM opened_day
    WHERE municipality = :municipality
      AND (day < :today OR day > :last OR counter NOT IN
           (SELECT counter FROM counter_rule WHERE municipality = :municipality AND kind = 'counter'))
""")


async def lock_rules(session: AsyncSession, municipality: str) -> None:
    """Wait for whoever is changing this town's rules, and keep others waiting until the end of the transaction."""
    await session.execute(_LOCK, {"municipality": municipality})


async def open_horizon(
    session: AsyncSession,
    municipality: str,
    *,
    only: Collection[str] | None = None,
    closed_counters: Sequence[str] = (),
    now: datetime,
) -> None:
    """Bring the slots of every counter, or of these only, to what the rules say, from now to the horizon."""
    await lock_rules(session, municipality)
    today = jst_day(now)
    rules = [
        rule
        for rule in await list_counter_rules(session, municipality, today=today)
        if only is None or rule.counter in only
    ]
    plans = await list_day_plans(session, municipality, rules, now=now)
    opened: dict[str, dict[date, str]] = {rule.counter: {} for rule in rules}
    for row in await session.execute(_OPENED, {"municipality": municipality, "today": today}):
        opened.setdefault(row.counter, {})[row.day] = row.plan
    differing = [
        _compare(rule.counter, plans[rule.counter], opened[rule.counter]) for rule in rules if rule.kind == "counter"
    ]
    await _bring_all(session, municipality, [each for each in differing if each.days], now=now)
    for rule in rules:
        if rule.kind == "venue":
            await bring_venue(session, municipality, rule.counter, plans[rule.counter], now=now)
    for counter in closed_counters:
        await bring_slots(session, columns_of(municipality, counter, []), now=now)
    await mark_availability(session, municipality, [*(rule.counter for rule in rules), *closed_counters], now=now)
    if only is None:
        last = max((planned[-1].day for planned in plans.values()), default=today)
        await session.execute(_FORGET, {"municipality": municipality, "today": today, "last": last})
        due_at = datetime.combine(today + timedelta(days=1), EXTEND_AT, JST)
        await schedule(
            session, "booking", municipality=municipality, kind=EXTEND_HORIZON, ref=EXTEND_REF, due_at=due_at
        )


async def on_extend_horizon_due(session: AsyncSession, municipality: str, _ref: str, now: datetime) -> None:
    """Due kind `extend_horizon`: every day, the horizon moves on by a day."""
    await open_horizon(session, municipality, now=now)
    await tidy_up(session, municipality, now=now)


class _Differing(msgspec.Struct, frozen=True):
    """The days of a counter that are not yet as planned; those `beyond` a horizon that has become shorter."""

    counter: str
    plans: Sequence[DayPlan]
    beyond: Sequence[date]

    @property
    def days(self) -> list[date]:
        """All of them, in order."""
        return [*(plan.day for plan in self.plans), *self.beyond]


def _compare(counter: str, plans: Sequence[DayPlan], opened: Mapping[date, str]) -> _Differing:
    changed = [plan for plan in plans if opened.get(plan.day) != plan.fingerprint]
    return _Differing(counter, changed, sorted(day for day in opened if day > plans[-1].day))


async def _bring_all(
    session: AsyncSession, municipality: str, differing: Sequence[_Differing], *, now: datetime
) -> None:
    """Bring the days of counters that are not yet as planned, and remember which plan they were brought to."""
    if not differing:
        return
    begun = await _list_begun(session, municipality, differing)
    made: list[tuple[str, date, str]] = []
    steps = [partial(_work_out, municipality, each, now) for each in differing]
    async with aclosing(_work_ahead(steps)) as worked_out:
        async for days in worked_out:
            in_the_way = await _bring_days(session, municipality, days, is_begun=days.counter in begun, now=now)
            made += [
                (days.counter, plan.day, IN_THE_WAY if plan.day in in_the_way else plan.fingerprint)
                for plan in days.differing.plans
            ]
    if made:
        counters, made_days, fingerprints = zip(*made, strict=True)
        remembered = {"counters": counters, "days": made_days, "plans": fingerprints}
        await session.execute(_REMEMBER, {"municipality": municipality} | remembered)


async def _list_begun(session: AsyncSession, municipality: str, differing: Sequence[_Differing]) -> set[str]:
    spans = [(each.counter, *span) for each in differing for span in spans_of(each.days)]
    counters, firsts, untils = zip(*spans, strict=True)
    asked = {"municipality": municipality, "counters": counters, "firsts": firsts, "untils": untils}
    return set((await session.execute(_BEGUN, asked)).scalars())


class _WorkedOut(msgspec.Struct, frozen=True):
    """The slots of those days, also as the statements take them (`columns_of`)."""

    differing: _Differing
    slots: Sequence[PlannedSlot]
    columns: dict[str, Any]

    @property
    def counter(self) -> str:
        """Whose they are."""
        return self.differing.counter


def _work_out(municipality: str, differing: _Differing, now: datetime) -> _WorkedOut:
    slots = [slot for plan in differing.plans for slot in planned_slots(plan) if slot.time.starts_at > now]
    return _WorkedOut(differing, slots, columns_of(municipality, differing.counter, slots))


async def _bring_days(
    session: AsyncSession, municipality: str, days: _WorkedOut, *, is_begun: bool, now: datetime
) -> set[date]:
    """Make the slots of these days; the days on which somebody was in the way."""
    if not is_begun:
        await add_slots(session, days.columns, now=now)
        return set()
    in_the_way = await bring_slots(session, days.columns, days=days.differing.days, now=now)
    if in_the_way:
        around = [slot for slot in days.slots if jst_day(slot.time.starts_at) in in_the_way]
        await fit_places(session, columns_of(municipality, days.counter, around), now=now)
    return in_the_way


async def _work_ahead(steps: Sequence[Callable[[], T]]) -> AsyncGenerator[T, None]:
    """What each step returns, in order. While PostgreSQL writes one, the next is worked out in another thread."""
    ahead: asyncio.Future[T] | None = None
    following: asyncio.Future[T] | None = None
    try:
        for step in (*steps, None):
            following = asyncio.ensure_future(asyncio.to_thread(step)) if step is not None else None
            if ahead is not None:
                yield await ahead
            ahead = following
    finally:
        # When writing has failed, nobody wants what was worked out for it.
        for left in (ahead, following):
            if left is not None:
                left.cancel()
