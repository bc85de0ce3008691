"""Slots and places for the whole horizon, one row per place: made once, and again only where the rules differ."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import mark_availability
from services.booking.commands.slots import bring_slots, fit_places
from services.booking.commands.tidying import tidy_up
from services.booking.commands.venues import bring_venue
from services.booking.domain.opening import DayPlan, planned_slots
from services.booking.queries.rules import list_counter_rules, list_day_plans
from shared.clock import JST, jst_day
from shared.messaging.due import schedule

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
_REMEMBER = text("""
    INSERT INTO opened_day (municipality, counter, day, plan)
    SELECT :municipality, :counter, opened.day, opened.plan
    FROM unnest(CAST(:days AS date[]), CAST(:plans AS text[])) AS opened(day, plan)
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
    for rule in rules:
        planned = plans[rule.counter]
        if rule.kind == "venue":
            await bring_venue(session, municipality, rule.counter, planned, now=now)
        else:
            await _bring_days(session, municipality, rule.counter, planned, opened[rule.counter], now=now)
    for counter in closed_counters:
        await bring_slots(session, municipality, counter, [], now=now)
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


async def _bring_days(
    session: AsyncSession,
    municipality: str,
    counter: str,
    plans: Sequence[DayPlan],
    opened: dict[date, str],
    *,
    now: datetime,
) -> None:
    """Bring those days of a counter that are not yet as planned."""
    changed = [plan for plan in plans if opened.get(plan.day) != plan.fingerprint]
    # The horizon may have become shorter.
    beyond = sorted(day for day in opened if day > plans[-1].day)
    if not changed and not beyond:
        return
    slots = [slot for plan in changed for slot in planned_slots(plan) if slot.time.starts_at > now]
    days = [*(plan.day for plan in changed), *beyond]
    in_the_way = await bring_slots(session, municipality, counter, slots, days=days, now=now)
    if in_the_way:
        around = [slot for slot in slots if jst_day(slot.time.starts_at) in in_the_way]
        await fit_places(session, municipality, counter, around, now=now)
    made = [IN_THE_WAY if plan.day in in_the_way else plan.fingerprint for plan in changed]
    made_days = [plan.day for plan in changed]
    if made:
        remembered = {"municipality": municipality, "counter": counter, "days": made_days, "plans": made}
        await session.execute(_REMEMBER, remembered)
