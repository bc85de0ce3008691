"""`/helpers/week` and `/helpers/month`: a helper's days one below another, also to print. Nobody's name."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from services.booking.domain.calendar import days_between
from services.booking.domain.shifts import Shift
from services.booking.pages.own_classes import show_own_class
from services.booking.pages.wording import minute_label, say_day, venue_label
from services.booking.queries.classes import OwnSession, list_own_sessions
from services.booking.queries.helpers import ShiftView, list_shifts
from services.booking.queries.own import AwayView, VisitView, list_days_away, list_visits
from services.booking.queries.slots import start_of_day
from shared.clock import jst_day
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import gettext as _
from shared.web.identity import require_role
from shared.web.pages import page
from shared.web.templating import jst_date, jst_month
from shared.web.town import Town

GUARDS = [require_role("helper")]
# How far back and ahead one can turn the pages.
TURNS_MAX = timedelta(days=2 * 366)
DATE_LENGTH = len("2026-06-01")

Req = Request[Any, Any, Any]


@get("/helpers/week", guards=GUARDS)
async def get_week(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    day: FromQuery[str] = "",
) -> Template:
    """The week of a day, Monday to Sunday; without one, this week."""
    wanted = _read_day(day, today=jst_day(now))
    first = wanted - timedelta(days=wanted.weekday())
    last = first + timedelta(days=6)
    return page(
        request,
        "helper_calendar.html",
        view="week",
        title=_("1週間の予定"),
        span=_("%(first)sから%(last)sまで", first=jst_date(first), last=jst_date(last, year=False)),
        days=await _list_days(db, town, identity, first, last, now=now),
        earlier=f"/helpers/week?day={first - timedelta(weeks=1)}",
        later=f"/helpers/week?day={first + timedelta(weeks=1)}",
    )


@get("/helpers/month", guards=GUARDS)
async def get_month(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    day: FromQuery[str] = "",
) -> Template:
    """The month of a day, without the days on which nothing is; without one, this month."""
    first = _read_day(day, today=jst_day(now)).replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    days = await _list_days(db, town, identity, first, following - timedelta(days=1), now=now)
    return page(
        request,
        "helper_calendar.html",
        view="month",
        title=_("1か月の予定"),
        span=jst_month(first),
        days=[each for each in days if each["shifts"] or each["visits"] or each["classes"] or each["is_away"]],
        earlier=f"/helpers/month?day={(first - timedelta(days=1)).replace(day=1)}",
        later=f"/helpers/month?day={following}",
    )


async def _list_days(
    db: Database, town: Town, identity: Identity, first: date, last: date, *, now: datetime
) -> list[dict[str, Any]]:
    async with db.begin(town.code) as session:
        shifts = await list_shifts(session, town.code, identity.ref)
        visits = await list_visits(session, town.code, identity.ref, first=first, last=last)
        away = await list_days_away(session, town.code, identity.ref, first=first)
        since, until = start_of_day(first), start_of_day(last + timedelta(days=1))
        classes = await list_own_sessions(session, town.code, identity.ref, since=since, until=until)
    today = jst_day(now)
    return [_day(day, shifts, visits, classes, away, today=today) for day in days_between(first, last)]


def _day(
    day: date,
    shifts: Sequence[ShiftView],
    visits: Sequence[VisitView],
    classes: Sequence[OwnSession],
    away: Sequence[AwayView],
    *,
    today: date,
) -> dict[str, Any]:
    is_away = any(each.has(day) for each in away)
    # What shifts there were then, nobody has kept.
    is_open = day >= today and not is_away
    on = [each for each in shifts if is_open and msgspec.convert(each, Shift, from_attributes=True).is_on(day)]
    return {
        "label": say_day(day, today=today),
        "is_today": day == today,
        "is_away": is_away,
        "shifts": [
            {"time": f"{minute_label(each.from_min)}〜{minute_label(each.to_min)}", "venue": each.venue_name}
            for each in on
        ],
        "visits": [
            {"visit": each, "where": venue_label(each.venue_name, each.venue_place)}
            for each in visits
            if jst_day(each.starts_at) == day
        ],
        "classes": [show_own_class(each) for each in classes if jst_day(each.starts_at) == day],
    }


def _read_day(typed: str, *, today: date) -> date:
    """The day of an address; what is none, or too far away, is today."""
    try:
        day = date.fromisoformat(typed[:DATE_LENGTH])
    except ValueError:
        return today
    return day if abs(day - today) <= TURNS_MAX else today
