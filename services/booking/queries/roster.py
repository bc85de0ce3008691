"""The roster of a week: by venue and day who is there when, whom they meet, and where nobody is."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import days_between
from services.booking.domain.opening import DayPlan, plan_day, without_closed
from services.booking.domain.roster import Span, gaps
from services.booking.domain.shifts import Shift, day_span
from services.booking.queries.closings import list_closed_times
from services.booking.queries.helpers import HelperView, ShiftView, VenueView, list_venues
from services.booking.queries.rules import find_days_off, get_rules, list_counter_rules
from services.booking.queries.slots import start_of_day

VISITS_MAX = 5_000
AWAY_MAX = 2_000
COVERS_MAX = 500
WEEK_DAYS = 7
HOUR_MIN = 60

# Why somebody on shift is not there; `there`: they are.
Presence = Literal["there", "away", "paused", "registered", "suspended"]
VisitState = Literal["accepted", "asked", "cover", "done", "no_show"]


class GapSearch(msgspec.Struct, frozen=True, kw_only=True):
    """All who are free were asked whether they can be there; `lapsed`: nobody could."""

    venue: str
    starts_at: datetime
    ends_at: datetime
    state: Literal["open", "lapsed"]
    asked: int
    declined: int
    answer_by: datetime

    def is_for(self, venue: str, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether it is for some of this time."""
        return self.venue == venue and self.starts_at < ends_at and starts_at < self.ends_at


class OnShift(msgspec.Struct, frozen=True, kw_only=True):
    """A helper's time at a venue on a day."""

    helper_ref: str
    span: Span
    presence: Presence
    # On this day alone, beyond their rhythm.
    is_extra: bool


class RosterGap(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which nobody is there; `search` is the newest one for it, or for a part of it."""

    span: Span
    search: GapSearch | None


class WeekVisit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit as coordinators see it: nothing of the resident. `cover`: several are asked at once."""

    number: str
    counter: str
    starts_at: datetime
    ends_at: datetime
    helper_ref: str | None
    state: VisitState


class RosterDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day of a venue; without hours it is closed."""

    day: date
    hours: tuple[Span, ...]
    people: tuple[OnShift, ...]
    visits: tuple[WeekVisit, ...]
    gaps: tuple[RosterGap, ...]


class RosterVenue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue with the days of a week on which anything is."""

    venue: VenueView
    days: tuple[RosterDay, ...]


class AwayView(msgspec.Struct, frozen=True, kw_only=True):
    """Days on which a helper is not there, whatever their shifts say."""

    helper_ref: str
    first_day: date
    last_day: date


class OpenCover(msgspec.Struct, frozen=True, kw_only=True):
    """Several are asked whether they can come, and how many have said that they cannot."""

    cover_id: UUID
    # None: it is for a gap.
    number: str | None
    venue_name: str
    starts_at: datetime
    answer_by: datetime
    asked: int
    declined: int


_VISITS = text(f"""
    SELECT a.number, a.counter, a.starts_at, a.ends_at, s.helper_ref,
           CASE WHEN a.state IN ('done', 'no_show') THEN a.state
                WHEN s.state = 'accepted' THEN 'accepted'
                WHEN s.state = 'asked' THEN 'asked'
                ELSE 'cover' END AS state
    FROM appointment a
    LEFT JOIN assignment s ON (s.municipality, s.appointment_id) = (a.municipality, a.appointment_id)
        AND s.state IN ('asked', 'accepted')
    WHERE a.municipality = :municipality AND a.helper <> 'none' AND a.state <> 'cancelled'
      AND a.starts_at >= :since AND a.starts_at < :until
    ORDER BY a.starts_at, a.number LIMIT {VISITS_MAX}
""")
_AWAY = text(f"""
    SELECT helper_ref, first_day, last_day FROM helper_away
    WHERE municipality = :municipality AND last_day >= :first AND first_day <= :last
    ORDER BY first_day, helper_ref LIMIT {AWAY_MAX}
""")
_COUNTED = """
    (SELECT count(*) FROM cover_ask k WHERE (k.municipality, k.cover_id) = (c.municipality, c.cover_id)) AS asked,
    (SELECT count(*) FROM cover_ask k
     WHERE (k.municipality, k.cover_id) = (c.municipality, c.cover_id) AND k.state = 'declined') AS declined
"""
_COVERS = text(f"""
    SELECT c.cover_id, a.number, coalesce(v.name_ja, a.counter, c.venue) AS venue_name,
           coalesce(a.starts_at, c.starts_at) AS starts_at, c.answer_by, {_COUNTED}
    FROM cover c
    LEFT JOIN appointment a ON (a.municipality, a.appointment_id) = (c.municipality, c.appointment_id)
    LEFT JOIN counter v ON (v.municipality, v.code) = (c.municipality, coalesce(a.counter, c.venue))
    WHERE c.municipality = :municipality AND c.state = 'open' AND (a.state = 'booked' OR c.venue IS NOT NULL)
      AND coalesce(a.starts_at, c.starts_at) > :now
    ORDER BY 4, c.cover_id LIMIT {COVERS_MAX}
""")
# The newest comes first.
_SEARCHES = text(f"""
    SELECT c.venue, c.starts_at, c.ends_at, c.state, c.answer_by, {_COUNTED}
    FROM cover c
    WHERE c.municipality = :municipality AND c.venue IS NOT NULL AND c.state IN ('open', 'lapsed')
      AND c.starts_at < :until AND c.ends_at > :since
    ORDER BY c.asked_at DESC, c.cover_id LIMIT {COVERS_MAX}
""")


async def read_week(
    session: AsyncSession, municipality: str, helpers: Sequence[HelperView], monday: date, *, now: datetime
) -> list[RosterVenue]:
    """The week that begins on this Monday, of every venue."""
    sunday = monday + timedelta(days=WEEK_DAYS - 1)
    plans = await _plan_week(session, municipality, monday, sunday, now=now)
    away = await list_away(session, municipality, monday, sunday)
    since, until = start_of_day(monday), start_of_day(sunday + timedelta(days=1))
    asked = {"municipality": municipality, "since": since, "until": until}
    visits = [msgspec.convert(row, WeekVisit, from_attributes=True) for row in await session.execute(_VISITS, asked)]
    searches = [
        msgspec.convert(row, GapSearch, from_attributes=True) for row in await session.execute(_SEARCHES, asked)
    ]
    return [
        RosterVenue(
            venue=venue,
            days=tuple(
                _read_day(venue.code, plan, helpers, away, visits, searches) for plan in plans.get(venue.code, ())
            ),
        )
        for venue in await list_venues(session, municipality)
    ]


async def find_hours(
    session: AsyncSession, municipality: str, venue: str, day: date, *, now: datetime
) -> tuple[Span, ...]:
    """When a venue is open on a day; nothing when it is not, or there is none."""
    plans = (await _plan_week(session, municipality, day, day, now=now)).get(venue, [])
    return tuple(span for plan in plans for span in _hours(plan))


async def list_away(session: AsyncSession, municipality: str, first: date, last: date) -> list[AwayView]:
    """Who is away on any of these days."""
    asked = {"municipality": municipality, "first": first, "last": last}
    rows = (await session.execute(_AWAY, asked)).all()
    return [msgspec.convert(row, AwayView, from_attributes=True) for row in rows]


async def list_open_covers(session: AsyncSession, municipality: str, *, now: datetime) -> list[OpenCover]:
    """For which visits somebody is being looked for, among all who suit."""
    rows = (await session.execute(_COVERS, {"municipality": municipality, "now": now})).all()
    return [msgspec.convert(row, OpenCover, from_attributes=True) for row in rows]


async def _plan_week(
    session: AsyncSession, municipality: str, monday: date, sunday: date, *, now: datetime
) -> dict[str, list[DayPlan]]:
    days = list(days_between(monday, sunday))
    closed, holidays = await find_days_off(session, municipality, await get_rules(session, municipality), days)
    closed_times = await list_closed_times(session, municipality, now=now)
    return {
        rule.counter: [
            without_closed(plan_day(rule.versions, day, closed=closed, holidays=holidays), rule.counter, closed_times)
            for day in days
        ]
        for rule in await list_counter_rules(session, municipality, today=monday)
        if rule.kind == "venue"
    }


def _read_day(
    venue: str,
    plan: DayPlan,
    helpers: Sequence[HelperView],
    away: Sequence[AwayView],
    visits: Sequence[WeekVisit],
    searches: Sequence[GapSearch],
) -> RosterDay:
    hours = _hours(plan)
    gone = {each.helper_ref for each in away if each.first_day <= plan.day <= each.last_day}
    people = [
        OnShift(
            helper_ref=helper.helper_ref,
            span=Span(shift.from_min, shift.to_min),
            presence=_presence(helper, is_away=helper.helper_ref in gone),
            is_extra=shift.only_on is not None,
        )
        for helper in helpers
        for shift in helper.shifts
        if shift.venue == venue and _is_on(shift, plan.day)
    ]
    there = [each.span for each in people if each.presence == "there"]
    midnight = start_of_day(plan.day)
    tomorrow = midnight + timedelta(days=1)
    return RosterDay(
        day=plan.day,
        hours=hours,
        people=tuple(sorted(people, key=lambda each: (each.span, each.helper_ref))),
        visits=tuple(each for each in visits if each.counter == venue and midnight <= each.starts_at < tomorrow),
        gaps=tuple(_read_gap(venue, plan.day, span, searches) for span in gaps(hours, there)),
    )


def _read_gap(venue: str, day: date, span: Span, searches: Sequence[GapSearch]) -> RosterGap:
    starts_at, ends_at = day_span(day, span.from_min, span.to_min)
    return RosterGap(
        span=span, search=next((each for each in searches if each.is_for(venue, starts_at, ends_at)), None)
    )


def _hours(plan: DayPlan) -> tuple[Span, ...]:
    return tuple(Span(_minute(span.opens_at), _minute(span.closes_at) or 24 * HOUR_MIN) for span in plan.hours)


def _presence(helper: HelperView, *, is_away: bool) -> Presence:
    if helper.standing != "active":
        return helper.standing
    if helper.paused_on is not None:
        return "paused"
    return "away" if is_away else "there"


def _is_on(shift: ShiftView, day: date) -> bool:
    return msgspec.convert(shift, Shift, from_attributes=True).is_on(day)


def _minute(at: Any) -> int:
    return int(at.hour) * HOUR_MIN + int(at.minute)
