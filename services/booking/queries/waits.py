"""How long people wait at each counter now, from what is known of today; and how well that was told."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.opening import DayPlan
from services.booking.domain.queue import Waiting, lane_of, open_spans
from services.booking.domain.waits import Lamp, Taking, Turn, forecast_calls, lamp_of, mean_minutes, told_min
from services.booking.queries.day_changes import CounterDay, list_counter_days
from services.booking.queries.queue import list_plans_of_day, list_waiting_in_order
from services.booking.queries.rules import get_rules
from shared.clock import jst_day
from shared.town_pack import QueueRules

PEOPLE_MAX = 2_000
# Of today's people at a counter, the last so many tell how long it takes.
TAKEN_MAX = 20
# Who booked and is not here some minutes after their time is not reckoned with any more.
STILL_EXPECTED = timedelta(minutes=5)


class CounterWait(msgspec.Struct, frozen=True, kw_only=True):
    """How many wait at a counter, and about how long whoever comes now will."""

    waiting: int
    wait_min: int
    lamp: Lamp


class ToldError(msgspec.Struct, frozen=True, kw_only=True):
    """By how many minutes the wait was told wrong, on average, of so many people; `bias_min`: over zero, too short."""

    people: int
    mean_error_min: float
    bias_min: float


# Who is here or still to come, and what they do as the catalogue has it.
_PEOPLE = text(f"""
    SELECT a.appointment_id, a.state, a.counter, a.procedure, a.starts_at, a.called_at, a.serving_at,
           greatest(coalesce(a.minutes, p.minutes, 1), 1) AS minutes, a.minutes IS NOT NULL AS has_own
    FROM appointment a LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE a.municipality = :municipality AND a.day = :day
      AND (CAST(:counters AS text[]) IS NULL OR a.counter = ANY (CAST(:counters AS text[])))
      AND (a.state IN ('checked_in', 'called', 'serving')
           OR a.state = 'booked' AND a.closure = 'none' AND a.starts_at > :expected)
    ORDER BY a.counter, a.starts_at, a.number LIMIT {PEOPLE_MAX}
""")
# How long those who are done kept the counter, from the call on: on their way to it, nobody else is served.
_TAKEN = text(f"""
    SELECT counter, procedure, least(taken, 240) AS taken FROM (
        SELECT s.counter, a.procedure, row_number() OVER (PARTITION BY s.counter ORDER BY s.at DESC) AS place,
               CAST(extract(epoch FROM s.at - coalesce(CAST(s.before->>'called_at' AS timestamptz),
                                                       CAST(s.before->>'serving_at' AS timestamptz)))
                    AS double precision) / 60 AS taken
        FROM line_step s JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
        WHERE s.municipality = :municipality AND s.day = :day AND s.action = 'done' AND NOT s.is_undone
          AND a.minutes IS NULL
          AND (CAST(:counters AS text[]) IS NULL OR s.counter = ANY (CAST(:counters AS text[])))) AS last
    WHERE place <= {TAKEN_MAX} AND taken > 0
    LIMIT {PEOPLE_MAX}
""")
# From what they were told when they came to when they were called first.
_TOLD = text("""
    SELECT count(*) AS people, coalesce(avg(abs(error)), 0) AS mean_error, coalesce(avg(error), 0) AS bias
    FROM (SELECT CAST(extract(epoch FROM min(c.at) - s.at) AS double precision) / 60 - s.told_min AS error
          FROM line_step s
          JOIN line_step c ON (c.municipality, c.appointment_id) = (s.municipality, s.appointment_id)
               AND c.version > s.version AND NOT c.is_undone AND c.from_state = 'checked_in'
               AND c.to_state IN ('called', 'serving')
          WHERE s.municipality = :municipality AND s.day BETWEEN :first AND :last AND s.told_min IS NOT NULL
            AND NOT s.is_undone
          GROUP BY s.appointment_id, s.version, s.at, s.told_min) AS told
""")


async def estimate_waits(
    session: AsyncSession, municipality: str, day: date, now: datetime, *, counters: list[str] | None = None
) -> dict[str, CounterWait]:
    """Each counter's wait for whoever comes now without an appointment; of these counters only, or of all.

    Where nobody serves now, nobody can say: such a counter is left out.
    """
    town = await _look(session, municipality, day, counters, now=now)
    waits = {}
    for counter in town.counters:
        here = [each for each in town.lines.get(counter, []) if not each.is_parked]
        calls = town.forecast(counter, newcomer=True, now=now)
        comes_last = next((at for turn, at in calls if turn.appointment_id is None), None)
        if comes_last is None:
            continue
        wait_min = told_min(comes_last - now)
        waits[counter] = CounterWait(
            waiting=len(here), wait_min=wait_min, lamp=lamp_of(wait_min, town.rules.promise_min)
        )
    return waits


async def estimate_own_wait(
    session: AsyncSession, municipality: str, counter: str, appointment_id: UUID, *, now: datetime
) -> int | None:
    """About how many minutes somebody who waits at a counter still does; None: they are parked, or elsewhere, or
    nobody serves there now."""
    town = await _look(session, municipality, jst_day(now), [counter], now=now)
    calls = town.forecast(counter, newcomer=False, now=now)
    return next((told_min(at - now) for turn, at in calls if turn.appointment_id == appointment_id), None)


async def count_in_line(session: AsyncSession, municipality: str, counter: str, *, now: datetime) -> int:
    """How many wait to be called at a counter."""
    lines = await list_waiting_in_order(session, municipality, jst_day(now), counters=[counter], now=now)
    return sum(not each.is_parked for each in lines.get(counter, []))


async def count_before(
    session: AsyncSession, municipality: str, counter: str, appointment_id: UUID, *, now: datetime
) -> int | None:
    """How many are called before somebody who waits at a counter; None: they do not wait there, or are parked."""
    lines = await list_waiting_in_order(session, municipality, jst_day(now), counters=[counter], now=now)
    line = [each.appointment_id for each in lines.get(counter, []) if not each.is_parked]
    return line.index(appointment_id) if appointment_id in line else None


async def measure_told(session: AsyncSession, municipality: str, first: date, last: date) -> ToldError:
    """How far the waits that were told at check-in on these days were from those that came."""
    asked = {"municipality": municipality, "first": first, "last": last}
    row = (await session.execute(_TOLD, asked)).one()
    return ToldError(people=row.people, mean_error_min=row.mean_error, bias_min=row.bias)


def count_staff(plan: DayPlan | None, today: CounterDay | None) -> int:
    """How many serve at a counter at once: as managers say today, or else as many as it has places."""
    if today is not None:
        return today.staff
    return max(1, plan.places) if plan is not None else 1


class _Town(msgspec.Struct, frozen=True, kw_only=True):
    rules: QueueRules
    plans: Mapping[str, DayPlan]
    people: Mapping[str, Sequence[Any]]
    lines: Mapping[str, Sequence[Waiting]]
    taken: Mapping[tuple[str, str], Sequence[float]]
    asked: Sequence[str] | None
    days: Mapping[str, CounterDay]

    @property
    def counters(self) -> list[str]:
        return sorted(self.asked if self.asked is not None else {*self.plans, *self.people})

    def forecast(self, counter: str, *, newcomer: bool, now: datetime) -> list[tuple[Turn, datetime]]:
        people = self.people.get(counter, ())
        by_id = {row.appointment_id: row for row in people}
        taking = [
            Taking(since=row.called_at or row.serving_at or now, minutes=self._minutes(row))
            for row in people
            if row.state in ("called", "serving")
        ]
        line = [
            Turn(
                appointment_id=each.appointment_id,
                minutes=self._minutes(by_id[each.appointment_id]),
                not_before=each.starts_at if lane_of(each, self.rules, now=now) == "early" else None,
            )
            for each in self.lines.get(counter, ())
            if not each.is_parked and each.appointment_id in by_id
        ]
        line += [
            Turn(appointment_id=row.appointment_id, minutes=self._minutes(row), not_before=max(row.starts_at, now))
            for row in people
            if row.state == "booked"
        ]
        if newcomer:
            line.append(Turn(appointment_id=None, minutes=1))
        plan = self.plans.get(counter)
        spans = open_spans(plan) if plan is not None else []
        return forecast_calls(taking, line, staff=count_staff(plan, self.days.get(counter)), open_spans=spans, now=now)

    def _minutes(self, row: Any) -> float:
        # What is done several times, or with other things, takes as long as was reckoned for it.
        taken = () if row.has_own else self.taken.get((row.counter, row.procedure), ())
        return mean_minutes(row.minutes, taken)


async def _look(
    session: AsyncSession, municipality: str, day: date, counters: list[str] | None, *, now: datetime
) -> _Town:
    asked = {"municipality": municipality, "day": day, "counters": counters, "expected": now - STILL_EXPECTED}
    people: dict[str, list[Any]] = {}
    for row in await session.execute(_PEOPLE, asked):
        people.setdefault(row.counter, []).append(row)
    taken: dict[tuple[str, str], list[float]] = {}
    for row in await session.execute(_TAKEN, asked):
        taken.setdefault((row.counter, row.procedure), []).append(row.taken)
    return _Town(
        rules=(await get_rules(session, municipality)).queue,
        plans=await list_plans_of_day(session, municipality, day, counters=counters, now=now),
        people=people,
        lines=await list_waiting_in_order(session, municipality, day, counters=counters, now=now),
        taken=taken,
        asked=counters,
        days=await list_counter_days(session, municipality, day),
    )
