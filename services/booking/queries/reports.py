"""Reports: how long people waited, walked and were served, who did not come, and what was used, over a span of days.

All of it is counted in PostgreSQL from the steps of the line that were not taken back, and from appointments and
places: nothing of a person, and nothing of who served them. Whoever was sent on counts at each counter.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.queries.slots import start_of_day

By = Literal["day", "month", "counter", "procedure", "came_by"]

DAYS_MAX = 366
LINES_MAX = 2_000
HISTORY_MAX = 50_000


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """A day, counter, procedure or way of coming; None what there is nothing of.

    `waits`: how often somebody was called from the line, half of them within `wait_p50_s` seconds, nine of ten within
    `wait_p90_s`; `late` of them waited longer than the town promises. `told`: who had been told a wait, which was wrong
    by `told_off_s` on average. `counter_hours`: hours of a counter in which somebody was done. `people` were expected
    by now, or came; `no_show` of them did not. `taken` of the planned `places`.
    """

    key: str
    waits: int = 0
    wait_p50_s: float | None = None
    wait_p90_s: float | None = None
    late: int = 0
    told: int = 0
    told_off_s: float | None = None
    walk_p50_s: float | None = None
    serve_p50_s: float | None = None
    handled: int = 0
    counter_hours: int = 0
    people: int = 0
    no_show: int = 0
    places: int | None = None
    taken: int | None = None

    @property
    def per_hour(self) -> float | None:
        """How many were done in an hour of one counter."""
        return self.handled / self.counter_hours if self.counter_hours else None

    @property
    def used_percent(self) -> float | None:
        """The part of the planned places that was taken."""
        return 100 * (self.taken or 0) / self.places if self.places else None

    @property
    def no_show_percent(self) -> float | None:
        """The part of those expected who did not come."""
        return 100 * self.no_show / self.people if self.people else None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of a report by their key, and all of it together."""

    whole: ReportLine
    lines: Mapping[str, ReportLine]


_STEP_KEYS: Mapping[By, str] = {
    "day": "CAST(s.day AS text)",
    "month": "to_char(s.day, 'YYYY-MM')",
    "counter": "s.from_counter",
    "procedure": "s.procedure",
    "came_by": "s.came_by",
}
_KEYS: Mapping[By, str] = {
    "day": "CAST(a.day AS text)",
    "month": "to_char(a.day, 'YYYY-MM')",
    "counter": "a.counter",
    "procedure": "a.procedure",
    "came_by": "a.came_by",
}
# One hour of one counter, as a number: counted once, however many were done in it.
_HOUR = "hashtextextended(s.from_counter, CAST(extract(epoch FROM date_trunc('hour', s.at)) AS bigint))"
_DONE = "(s.to_state = 'done' OR s.served_s IS NOT NULL)"
# The condition of the report's index stands here word for word.
_STEPS = """
    SELECT {key} AS key, GROUPING({key}) = 1 AS is_whole,
           count(s.waited_s) AS waits,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY s.waited_s) AS wait_p50_s,
           percentile_cont(0.9) WITHIN GROUP (ORDER BY s.waited_s) AS wait_p90_s,
           count(*) FILTER (WHERE s.waited_s > :promise_s) AS late,
           count(s.told_off_s) AS told,
           CAST(avg(abs(s.told_off_s)) AS double precision) AS told_off_s,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY s.walked_s) AS walk_p50_s,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY s.served_s) AS serve_p50_s,
           count(*) FILTER (WHERE {done}) AS handled,
           count(DISTINCT {hour}) FILTER (WHERE {done}) AS counter_hours
    FROM line_step s
    WHERE s.municipality = :municipality AND s.day BETWEEN :first AND :last AND NOT s.is_undone
      AND (s.waited_s IS NOT NULL OR s.walked_s IS NOT NULL OR s.served_s IS NOT NULL OR s.to_state = 'done')
    GROUP BY GROUPING SETS (({key}), ()) LIMIT {most}
"""
# Whoever booked for today may still come; whoever was to come at a time that was closed could not.
_PEOPLE = """
    SELECT {key} AS key, GROUPING({key}) = 1 AS is_whole, count(*) AS people,
           count(*) FILTER (WHERE a.state IN ('no_show', 'booked')) AS no_show
    FROM appointment a
    WHERE a.municipality = :municipality AND a.day BETWEEN :first AND :last AND a.state <> 'cancelled'
      AND (a.state <> 'booked' OR a.day < :today AND a.closure = 'none')
    GROUP BY GROUPING SETS (({key}), ()) LIMIT {most}
"""
# At venues, what no helper is there for is not planned.
_PLACES = """
    SELECT {key} AS key, GROUPING({key}) = 1 AS is_whole, count(*) AS places, count(a.appointment_id) AS taken
    FROM (SELECT s.counter, CAST(s.starts_at AT TIME ZONE 'Asia/Tokyo' AS date) AS day, p.appointment_id
          FROM slot s JOIN place p ON (p.municipality, p.slot_id) = (s.municipality, s.slot_id)
          WHERE s.municipality = :municipality AND s.starts_at >= :from_at AND s.starts_at < :until
            AND NOT s.withdrawn AND p.audience <> 'closed') AS a
    GROUP BY GROUPING SETS (({key}), ()) LIMIT {most}
"""
_HISTORY = text(f"""
    SELECT day, counter, count(*) AS people FROM appointment
    WHERE municipality = :municipality AND day BETWEEN :first AND :last
      AND state NOT IN ('cancelled', 'booked', 'no_show')
    GROUP BY day, counter LIMIT {HISTORY_MAX}
""")


async def read_report(
    session: AsyncSession,
    municipality: str,
    first: date,
    last: date,
    by: By,
    *,
    promise_min: int,
    today: date,
) -> Report:
    """What there is of these days, both included, by `by`. Places are of counters and days only."""
    asked = {
        "municipality": municipality,
        "first": first,
        "last": last,
        "today": today,
        "promise_s": promise_min * 60,
        "from_at": start_of_day(first),
        "until": start_of_day(last + timedelta(days=1)),
    }
    statements = [steps_statement(by), _people(by)] + ([_places(by)] if by in ("day", "month", "counter") else [])
    whole: dict[str, Any] = {"key": ""}
    lines: dict[str, dict[str, Any]] = {}
    for statement in statements:
        for row in (await session.execute(text(statement), asked)).mappings():
            values = {name: value for name, value in row.items() if name not in ("key", "is_whole")}
            if row["is_whole"]:
                whole |= values
            elif row["key"] is not None:
                lines.setdefault(row["key"], {"key": row["key"]}).update(values)
    return Report(whole=ReportLine(**whole), lines={key: ReportLine(**values) for key, values in sorted(lines.items())})


async def read_history(session: AsyncSession, municipality: str, first: date, last: date) -> dict[str, dict[date, int]]:
    """How many people came on each day, by counter; of whoever was sent on, where they were last."""
    asked = {"municipality": municipality, "first": first, "last": last}
    found: dict[str, dict[date, int]] = {}
    for row in await session.execute(_HISTORY, asked):
        found.setdefault(row.counter, {})[row.day] = row.people
    return found


def steps_statement(by: By) -> str:
    """How the steps of the line are counted: all of it from one index."""
    return _STEPS.format(key=_STEP_KEYS[by], done=_DONE, hour=_HOUR, most=LINES_MAX)


def _people(by: By) -> str:
    return _PEOPLE.format(key=_KEYS[by], most=LINES_MAX)


def _places(by: By) -> str:
    return _PLACES.format(key=_KEYS[by], most=LINES_MAX)
