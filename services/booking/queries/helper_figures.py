"""Figures of helping by month: what was asked for and found, how fast, what about, and where people get stuck."""

from collections import Counter
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.helper_figures import percentile, share_percent, spread
from services.booking.queries.helpers import HELPERS_MAX
from services.booking.queries.slots import start_of_day

# Of a month.
VISITS_MAX = 20_000
STUCK_MAX = 500
MINUTE_S = 60


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many of something."""

    code: str
    count: int


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a procedure's online form, and how many went from there to a helper, and to a counter."""

    procedure: str
    step: str
    helper: int
    counter: int


class HelperMonth(msgspec.Struct, frozen=True, kw_only=True):
    """A month of helping. Requests are those made in it; visits, those that took place or should have."""

    requests: int
    met: int
    # Who asked without choosing a time, and of these, who found it in a class.
    asked_openly: int
    met_in_class: int
    met_percent: int | None
    match_p50_min: int | None
    match_p90_min: int | None
    declined: int
    unanswered: int
    covers: int
    covered: int
    done: int
    no_shows: int
    again: int
    minutes: int
    topics: tuple[Count, ...]
    stuck: tuple[Stuck, ...]
    # How many helpers have how many visits, by `LOADS`.
    load: tuple[int, ...]


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a helper gave: visits that took place, and their time."""

    visits: int
    minutes: int


# Met: somebody accepted, and the town did not call it off for want of a helper. The first who accepted counts.
_REQUESTS = text(f"""
    SELECT a.procedure, a.helper, a.booked_at, first.accepted_at
    FROM appointment a
    LEFT JOIN LATERAL (
        SELECT min(s.answered_at) AS accepted_at FROM assignment s
        WHERE s.municipality = a.municipality AND s.appointment_id = a.appointment_id AND s.state = 'accepted') AS first
        ON true
    WHERE a.municipality = :municipality AND a.helper <> 'none' AND a.booked_at >= :since AND a.booked_at < :until
    ORDER BY a.booked_at LIMIT {VISITS_MAX}
""")
# A case counts once for each page and way that it took, however often it was booked, or asked for again.
_STUCK = text(f"""
    SELECT procedure, step, count(*) FILTER (WHERE is_helper) AS helper,
           count(*) FILTER (WHERE NOT is_helper) AS counter
    FROM (SELECT procedure, from_step AS step, helper <> 'none' AS is_helper,
                 coalesce(case_id, appointment_id) AS case_id
          FROM appointment
          WHERE municipality = :municipality AND from_step <> '' AND booked_at >= :since AND booked_at < :until
          UNION
          SELECT procedure, from_step, true, coalesce(case_id, request_id)
          FROM help_request
          WHERE municipality = :municipality AND from_step <> '' AND opened_at >= :since AND opened_at < :until) AS each
    GROUP BY procedure, step ORDER BY count(*) DESC, procedure, step LIMIT {STUCK_MAX}
""")
_OPENLY = text("""
    SELECT count(*) AS asked, count(*) FILTER (WHERE r.state = 'met' AND EXISTS (
               SELECT 1 FROM course_entry e
               WHERE (e.municipality, e.request_id) = (r.municipality, r.request_id)
                 AND e.state = 'entered')) AS in_class
    FROM help_request r
    WHERE r.municipality = :municipality AND r.opened_at >= :since AND r.opened_at < :until
""")
_ANSWERS = text("""
    SELECT count(*) FILTER (WHERE state = 'declined' AND NOT unanswered) AS declined,
           count(*) FILTER (WHERE state = 'declined' AND unanswered) AS unanswered
    FROM assignment
    WHERE municipality = :municipality AND answered_at >= :since AND answered_at < :until
""")
_COVERS = text("""
    SELECT count(*) AS covers, count(*) FILTER (WHERE state = 'taken') AS covered FROM cover
    WHERE municipality = :municipality AND asked_at >= :since AND asked_at < :until
""")
# Again: the same person had met a helper before.
_VISITS = text("""
    SELECT count(*) FILTER (WHERE a.state = 'done') AS done, count(*) FILTER (WHERE a.state = 'no_show') AS no_shows,
           count(*) FILTER (WHERE a.state = 'done' AND EXISTS (
               SELECT 1 FROM appointment b
               WHERE b.municipality = a.municipality AND b.subject_ref = a.subject_ref AND b.helper <> 'none'
                 AND b.state = 'done' AND b.starts_at < a.starts_at)) AS again
    FROM appointment a
    WHERE a.municipality = :municipality AND a.helper <> 'none' AND a.starts_at >= :since AND a.starts_at < :until
""")
_GIVEN = text(f"""
    SELECT h.helper_ref, count(a.appointment_id) AS visits,
           coalesce(round(sum(extract(epoch FROM a.ends_at - a.starts_at)) / {MINUTE_S}), 0) AS minutes
    FROM helper h
    LEFT JOIN assignment s ON (s.municipality, s.helper_ref, s.state) = (h.municipality, h.helper_ref, 'accepted')
    LEFT JOIN appointment a ON (a.municipality, a.appointment_id, a.state)
                             = (s.municipality, s.appointment_id, 'done')
        AND a.starts_at >= :since AND a.starts_at < :until
    WHERE h.municipality = :municipality AND h.is_open
    GROUP BY h.helper_ref ORDER BY h.helper_ref LIMIT {HELPERS_MAX}
""")


async def read_month(session: AsyncSession, municipality: str, month: date) -> HelperMonth:
    """The month that begins on this day, as far as it has come."""
    asked = _span(municipality, month, next_month(month) - timedelta(days=1))
    requests = (await session.execute(_REQUESTS, asked)).all()
    openly = (await session.execute(_OPENLY, asked)).one()
    answers = (await session.execute(_ANSWERS, asked)).one()
    covers = (await session.execute(_COVERS, asked)).one()
    stuck = (await session.execute(_STUCK, asked)).all()
    visits = (await session.execute(_VISITS, asked)).one()
    given = await count_given(session, municipality, month, next_month(month) - timedelta(days=1))
    met = [row for row in requests if row.accepted_at is not None and row.helper != "nobody"]
    waits = [(row.accepted_at - row.booked_at).total_seconds() / MINUTE_S for row in met]
    return HelperMonth(
        requests=len(requests),
        met=len(met),
        asked_openly=openly.asked,
        met_in_class=openly.in_class,
        met_percent=share_percent(len(met), len(requests)),
        match_p50_min=_whole(percentile(waits, 50)),
        match_p90_min=_whole(percentile(waits, 90)),
        declined=answers.declined,
        unanswered=answers.unanswered,
        covers=covers.covers,
        covered=covers.covered,
        done=visits.done,
        no_shows=visits.no_shows,
        again=visits.again,
        minutes=sum(each.minutes for each in given.values()),
        topics=_counts(row.procedure for row in requests),
        stuck=tuple(msgspec.convert(row, Stuck, from_attributes=True) for row in stuck),
        load=tuple(spread([each.visits for each in given.values()])),
    )


async def count_given(session: AsyncSession, municipality: str, first: date, last: date) -> dict[str, Given]:
    """What each helper gave on these days; also who gave nothing."""
    rows = (await session.execute(_GIVEN, _span(municipality, first, last))).all()
    return {row.helper_ref: Given(visits=row.visits, minutes=int(row.minutes)) for row in rows}


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def _span(municipality: str, first: date, last: date) -> dict[str, Any]:
    return {
        "municipality": municipality,
        "since": start_of_day(first),
        "until": start_of_day(last + timedelta(days=1)),
    }


def _counts(codes: Any) -> tuple[Count, ...]:
    return tuple(Count(code=code, count=count) for code, count in Counter(codes).most_common())


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
