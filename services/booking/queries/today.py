"""The town hall now: each counter's plan and what differs from it, who waits and is served, and alarms of waits."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import SlotTime
from services.booking.domain.closings import is_closed
from services.booking.domain.opening import Hours, plan_day, version_on
from services.booking.queries.closings import list_closed_times
from services.booking.queries.counter_days import list_open_today
from services.booking.queries.day_changes import CounterDay, list_counter_days
from services.booking.queries.queue import NOT_CALLED_ELSEWHERE
from services.booking.queries.rules import CounterRules, find_days_off, get_rules, list_counter_rules
from services.booking.queries.slots import list_counters
from shared.clock import JST, jst_day

COUNTERS_MAX = 1_000
ALARMS_MAX = 200

# `open` by its hours, `closed` by staff; `resting` between its hours, `before` and `over` them; `off`: none today.
Openness = Literal["open", "closed", "resting", "before", "over", "off"]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A counter now. `waiting` without those set aside (`parked`); `since`: who waits longest came into its line then;
    `expected`: booked for today and not here yet."""

    waiting: int = 0
    parked: int = 0
    serving: int = 0
    served: int = 0
    expected: int = 0
    since: datetime | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An open counter to which so many of those who wait at a closed one can be moved."""

    counter: str
    people: int


class CounterNow(msgspec.Struct, frozen=True, kw_only=True):
    """A counter of the live picture. `version`: of what differs from its plan; `closing`: a closing covers now."""

    code: str
    number: str
    name_ja: str
    openness: Openness
    hours: tuple[Hours, ...]
    staff: int
    version: int
    closed_from: datetime | None
    closing: bool
    picture: Picture
    wait_min: int
    is_late: bool
    targets: tuple[Target, ...] = ()


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm of today that is not over; `wait_min`: how long who waits longest does so by now."""

    alarm_id: UUID
    counter: str
    number: str
    promise_min: int
    wait_min: int
    raised_at: datetime
    seen_at: datetime | None


# Whether all that somebody (`a`) comes for is done at this counter.
FITS = """
    NOT EXISTS (
        SELECT FROM (SELECT a.procedure AS code
                     UNION SELECT each.value ->> 'procedure' FROM jsonb_array_elements(
                         CASE WHEN a.services IS NULL THEN '[]'::jsonb ELSE a.services END) AS each(value)) AS wanted
        WHERE NOT EXISTS (SELECT FROM procedure q
                          WHERE (q.municipality, q.code) = (a.municipality, wanted.code)
                            AND {counter} = ANY (q.counters)))"""
# Who came early waits from the time that they booked.
_PICTURE = text(f"""
    SELECT counter,
           count(*) FILTER (WHERE waits) AS waiting,
           count(*) FILTER (WHERE parked_at IS NOT NULL) AS parked,
           count(*) FILTER (WHERE state IN ('called', 'serving')) AS serving,
           count(*) FILTER (WHERE state = 'done') AS served,
           count(*) FILTER (WHERE state = 'booked') AS expected,
           min(greatest(queued_at, starts_at)) FILTER (WHERE waits) AS since
    FROM (SELECT a.*, a.state = 'checked_in' AND a.parked_at IS NULL AND {NOT_CALLED_ELSEWHERE} AS waits
          FROM appointment a WHERE a.municipality = :municipality AND a.day = :day) AS a
    GROUP BY counter LIMIT {COUNTERS_MAX}
""")
_TARGETS = text(f"""
    SELECT a.counter AS source, target.code AS counter, count(*) AS people
    FROM appointment a
    JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    CROSS JOIN LATERAL unnest(p.counters) AS target(code)
    WHERE a.municipality = :municipality AND a.day = :day AND a.state = 'checked_in'
      AND a.counter = ANY (CAST(:closed AS text[])) AND target.code <> ALL (CAST(:closed AS text[]))
      AND {FITS.format(counter="target.code")}
    GROUP BY a.counter, target.code ORDER BY a.counter, count(*) DESC, target.code LIMIT {COUNTERS_MAX}
""")
_ALARMS = text(f"""
    SELECT w.alarm_id, w.counter, coalesce(nullif(c.number, ''), c.name_ja, w.counter) AS number, w.promise_min,
           w.raised_at, w.seen_at,
           (SELECT min(greatest(a.queued_at, a.starts_at)) FROM appointment a
            WHERE (a.municipality, a.day, a.counter, a.state) = (w.municipality, w.day, w.counter, 'checked_in')
              AND a.parked_at IS NULL AND {NOT_CALLED_ELSEWHERE}) AS since
    FROM wait_alarm w LEFT JOIN counter c ON (c.municipality, c.code) = (w.municipality, w.counter)
    LEFT JOIN counter_rule r ON (r.municipality, r.counter) = (w.municipality, w.counter)
    WHERE w.municipality = :municipality AND w.day = :day AND w.over_at IS NULL
      AND (CAST(:office AS text) IS NULL OR coalesce(c.office, r.office) = :office)
    ORDER BY w.raised_at, w.counter LIMIT {ALARMS_MAX}
""")


async def read_today(session: AsyncSession, municipality: str, *, now: datetime) -> list[CounterNow]:
    """Every counter of the town as it is now, in the order of their codes."""
    today = jst_day(now)
    rules = await get_rules(session, municipality)
    closed_days, holidays = await find_days_off(session, municipality, rules, [today])
    days = await list_counter_days(session, municipality, today)
    counters = await list_counters(session, municipality)
    asked = {"municipality": municipality, "day": today}
    pictures = {
        row.counter: msgspec.convert(row, Picture, from_attributes=True)
        for row in await session.execute(_PICTURE, asked)
    }
    moment = SlotTime(now, now + timedelta(minutes=1))
    closings = await list_closed_times(session, municipality, now=now)
    found = []
    for rule in await list_counter_rules(session, municipality, today=today):
        if rule.kind != "counter":
            continue
        hours = plan_day(rule.versions, today, closed=closed_days, holidays=holidays).hours
        differs, picture = days.get(rule.counter), pictures.get(rule.counter, Picture())
        wait_min = minutes_since(picture.since, now)
        view = counters[rule.counter]
        found.append(
            CounterNow(
                code=rule.counter,
                number=view.number,
                name_ja=view.name_ja,
                openness=openness_of(hours, differs, now),
                hours=hours,
                staff=differs.staff if differs else planned_staff(rule, today),
                version=differs.version if differs else 0,
                closed_from=differs.closed_from if differs else None,
                closing=is_closed(rule.counter, moment, closings),
                picture=picture,
                wait_min=wait_min,
                is_late=picture.since is not None and now - picture.since > timedelta(minutes=rules.queue.promise_min),
            )
        )
    return await _with_targets(session, municipality, found, now=now)


def openness_of(hours: Sequence[Hours], differs: CounterDay | None, now: datetime) -> Openness:
    """Whether a counter with these hours today is open at this moment. What staff decided counts first; what they open
    outside of its hours is open."""
    if differs is not None and not differs.is_open:
        return "closed"
    minute = now.astimezone(JST).hour * 60 + now.astimezone(JST).minute
    spans = [(_minute(span.opens_at), _minute(span.closes_at) or 24 * 60) for span in hours]
    if any(start <= minute < end for start, end in spans):
        return "open"
    if not spans:
        return "off" if differs is None else "open"
    if minute < min(start for start, _ in spans):
        return "before"
    return "over" if minute >= max(end for _, end in spans) else "resting"


def planned_staff(rule: CounterRules, day: date) -> int:
    """How many serve at a counter by its rule: as many as are served at once; a new counter has one."""
    version = version_on(rule.versions, day)
    return version.rule.places if version is not None else 1


def minutes_since(since: datetime | None, now: datetime) -> int:
    """Whole minutes that have passed; a tablet's clock may have been ahead."""
    return max(0, (now - since) // timedelta(minutes=1)) if since is not None else 0


async def list_alarms(session: AsyncSession, municipality: str, office: str | None, *, now: datetime) -> list[Alarm]:
    """The alarms of an office's counters, or of all, the oldest first. Where nobody waits any more, it is as over."""
    asked = {"municipality": municipality, "day": jst_day(now), "office": office}
    return [
        Alarm(
            alarm_id=row.alarm_id,
            counter=row.counter,
            number=row.number,
            promise_min=row.promise_min,
            wait_min=minutes_since(row.since, now),
            raised_at=row.raised_at,
            seen_at=row.seen_at,
        )
        for row in await session.execute(_ALARMS, asked)
        if row.since is not None
    ]


async def _with_targets(
    session: AsyncSession, municipality: str, found: Sequence[CounterNow], *, now: datetime
) -> list[CounterNow]:
    closed = [each.code for each in found if each.openness == "closed"]
    if not closed:
        return list(found)
    serving = {each.code for each in found} & await list_open_today(session, municipality, now=now)
    targets: Mapping[str, list[Target]] = defaultdict(list)
    for row in await session.execute(_TARGETS, {"municipality": municipality, "day": jst_day(now), "closed": closed}):
        if row.counter in serving:
            targets[row.source].append(Target(counter=row.counter, people=row.people))
    return [msgspec.structs.replace(each, targets=tuple(targets.get(each.code, ()))) for each in found]


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute
