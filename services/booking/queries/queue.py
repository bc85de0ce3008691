"""Who waits at which counter, in the order in which they are called; and when each counter serves today."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.opening import DayPlan, plan_day, without_closed
from services.booking.domain.queue import Waiting, order_line, waits_as_walk_in
from services.booking.queries.closings import list_closed_times
from services.booking.queries.day_changes import hours_of_day, list_counter_days
from services.booking.queries.rules import find_days_off, get_rules, list_counter_rules
from services.booking.queries.slots import start_of_day
from shared.town_pack import QueueRules

WAITING_MAX = 2_000
# More booked in a row than a town can allow need not be counted.
IN_A_ROW_MAX = 20

# Whoever (`a`) is called or served at another counter cannot be called here.
NOT_CALLED_ELSEWHERE = """
    NOT EXISTS (SELECT FROM appointment o
                WHERE (o.municipality, o.chain_id, o.chain_person) = (a.municipality, a.chain_id, a.chain_person)
                  AND o.appointment_id <> a.appointment_id AND o.day = a.day AND o.state IN ('called', 'serving'))"""
_WAITING = text(f"""
    SELECT a.appointment_id, a.kind, a.starts_at, coalesce(a.queued_at, a.checked_in_at, a.starts_at) AS queued_at,
           a.ticket_no, a.is_preferred, a.parked_at IS NOT NULL AS is_parked, a.counter
    FROM appointment a
    WHERE a.municipality = :municipality AND a.day = :day AND a.state = 'checked_in'
      AND (CAST(:counters AS text[]) IS NULL OR a.counter = ANY (CAST(:counters AS text[])))
      AND {NOT_CALLED_ELSEWHERE}
    ORDER BY a.counter, a.queued_at, a.ticket_no LIMIT {WAITING_MAX}
""")
# Who was called last, the last first. Calling again, and what was taken back, are not counted.
_CALLED = text(f"""
    SELECT s.counter, a.appointment_id, a.kind, a.starts_at,
           coalesce(a.queued_at, a.checked_in_at, a.starts_at) AS queued_at, a.ticket_no, a.is_preferred,
           false AS is_parked
    FROM unnest(CAST(:counters AS text[])) AS asked(counter), LATERAL (
        SELECT s.counter, s.appointment_id, s.at FROM line_step s
        WHERE s.municipality = :municipality AND s.day = :day AND s.counter = asked.counter AND NOT s.is_undone
          AND s.from_state = 'checked_in' AND s.to_state IN ('called', 'serving')
        ORDER BY s.at DESC, s.recorded_at DESC, s.appointment_id LIMIT {IN_A_ROW_MAX}) AS s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (:municipality, s.appointment_id)
    ORDER BY s.counter, s.at DESC, s.appointment_id LIMIT {WAITING_MAX}
""")


async def list_waiting_in_order(
    session: AsyncSession, municipality: str, day: date, *, counters: list[str] | None = None, now: datetime
) -> dict[str, list[Waiting]]:
    """Who waits at these counters, or at all of them, each line in the order in which it is called."""
    asked = {"municipality": municipality, "day": day, "counters": counters}
    return await _put_in_order(session, municipality, day, await session.execute(_WAITING, asked), now=now)


async def _put_in_order(
    session: AsyncSession, municipality: str, day: date, rows: Iterable[Any], *, now: datetime
) -> dict[str, list[Waiting]]:
    lines: dict[str, list[Waiting]] = {}
    for row in rows:
        lines.setdefault(row.counter, []).append(_waiting(row))
    if not lines:
        return {}
    rules = (await get_rules(session, municipality)).queue
    in_a_row = await count_booked_in_a_row(session, municipality, day, list(lines), rules)
    return {
        counter: order_line(people, rules, booked_in_a_row=in_a_row.get(counter, 0), now=now)
        for counter, people in lines.items()
    }


def _waiting(row: Any) -> Waiting:
    return Waiting(
        appointment_id=row.appointment_id,
        kind=row.kind,
        starts_at=row.starts_at,
        queued_at=row.queued_at,
        ticket_no=row.ticket_no,
        is_preferred=row.is_preferred,
        is_parked=row.is_parked,
    )


async def count_booked_in_a_row(
    session: AsyncSession, municipality: str, day: date, counters: list[str], rules: QueueRules
) -> dict[str, int]:
    """How many of those who were called last at each counter had booked, one after another."""
    if rules.booked_in_a_row == 0:
        return {}
    asked = {"municipality": municipality, "day": day, "counters": counters}
    counted: dict[str, int] = {}
    ended: set[str] = set()
    for row in await session.execute(_CALLED, asked):
        called = _waiting(row)
        if called.kind == "walk_in" or waits_as_walk_in(called, rules):
            ended.add(row.counter)
        elif row.counter not in ended:
            counted[row.counter] = counted.get(row.counter, 0) + 1
    return counted


async def order_rows(
    session: AsyncSession, municipality: str, day: date, rows: list[Any], *, now: datetime
) -> list[Any]:
    """Rows of whole lines, those who wait in the order in which they are called; the others stay where they are.

    `is_elsewhere`: called or served at another counter, so that they come last here.
    """
    waiting = [row for row in rows if row.state == "checked_in"]
    if not waiting:
        return rows
    lines = await _put_in_order(session, municipality, day, (row for row in waiting if not row.is_elsewhere), now=now)
    places: dict[UUID, int] = {}
    for line in lines.values():
        places |= {each.appointment_id: place for place, each in enumerate(line)}
    last = len(places)
    in_order = iter(sorted(waiting, key=lambda row: (row.counter, places.get(row.appointment_id, last))))
    return [next(in_order) if row.state == "checked_in" else row for row in rows]


async def list_plans_of_day(
    session: AsyncSession, municipality: str, day: date, *, counters: list[str] | None = None, now: datetime
) -> dict[str, DayPlan]:
    """When each of these counters, or all, serves on a day, what a closing takes out of it left out; with what staff
    opened that has no hours then."""
    rules = await list_counter_rules(session, municipality, today=day)
    closed, holidays = await find_days_off(session, municipality, await get_rules(session, municipality), [day])
    # Of closings that are over, those of the day still tell how long it was.
    since = min(now, start_of_day(day) + timedelta(microseconds=1))
    closed_times = await list_closed_times(session, municipality, now=since)
    changes = await list_counter_days(session, municipality, day)
    plans = {}
    for rule in rules:
        if counters is None or rule.counter in counters:
            plan = plan_day(rule.versions, day, closed=closed, holidays=holidays)
            plan = msgspec.structs.replace(plan, hours=hours_of_day(plan.hours, changes.get(rule.counter)))
            plans[rule.counter] = without_closed(plan, rule.counter, closed_times)
    return plans
