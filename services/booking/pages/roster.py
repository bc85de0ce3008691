"""`/helpers/roster`: coordinators see a week by venue, who helps when and where nobody is, and find somebody else."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.assignments import reassign
from services.booking.commands.covers import start_cover
from services.booking.domain.shifts import day_span
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.coordinator_wording import helper_name, span_label, tabs
from services.booking.pages.help_wording import say_help_window
from services.booking.queries.help_requests import RequestView, list_open, list_unmet
from services.booking.queries.helpers import HelperView, list_open_requests, list_roster
from services.booking.queries.roster import RosterGap, RosterVenue, list_open_covers, read_week
from services.booking.refusals import REFUSALS
from shared.audit import record_deed
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
ROOT = "/helpers/roster"
HELPER_REF_MAX_LENGTH = 64
WEEK = timedelta(days=7)
# Nobody looks further back or ahead than that.
WEEKS_FAR = timedelta(days=366)
SHOWN_HERE = frozenset(
    {"request_unknown", "request_over", "helper_unknown", "helper_busy", "cover_too_late", "cover_nobody"}
)
TOLD = ("reassign", "cover", "gap")

Req = Request[Any, Any, Any]


@get(ROOT, guards=GUARDS)
async def get_roster(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
    week: FromQuery[str] = "",
) -> Template:
    """A week of every venue, the requests that lie ahead, and those for which somebody else is looked for."""
    return await _roster_page(request, db, keys, town, identity, now=now, told=told, week=week)


@get(ROOT + "/{assignment_id:str}/reassign", guards=GUARDS)
async def get_reassign_address() -> Redirect:
    """Where a reassignment is sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other(ROOT)


@post(ROOT + "/{assignment_id:str}/reassign", guards=GUARDS)
async def post_reassign(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Ask another helper for this."""
    fields = await read_form(request)
    wanted = parse_uuid(assignment_id, code="request_unknown")
    helper_ref = fields.get("helper", "")[:HELPER_REF_MAX_LENGTH]
    try:
        await rush.run(db, town.code, lambda session: reassign(session, identity, wanted, helper_ref, now=now))
    except Refusal as refusal:
        return await _refused_page(request, db, keys, town, identity, refusal, now=now)
    return see_other(f"{ROOT}?told=reassign")


@get(ROOT + "/{assignment_id:str}/cover", guards=GUARDS)
async def get_cover_address() -> Redirect:
    """As that of a reassignment."""
    return see_other(ROOT)


@post(ROOT + "/{assignment_id:str}/cover", guards=GUARDS)
async def post_start_cover(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Ask everybody who suits whether they can come instead."""
    wanted = parse_uuid(assignment_id, code="request_unknown")
    try:
        await rush.run(db, town.code, lambda session: start_cover(session, identity, wanted, now=now))
    except Refusal as refusal:
        return await _refused_page(request, db, keys, town, identity, refusal, now=now)
    return see_other(f"{ROOT}?told=cover")


def read_week_start(typed: str, *, today: date) -> date:
    """The Monday of the week that was asked for; of this one, when it is none."""
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        day = today
    if not today - WEEKS_FAR <= day <= today + WEEKS_FAR:
        day = today
    return day - timedelta(days=day.weekday())


async def _refused_page(
    request: Req, db: Database, keys: Keys, town: Town, identity: Identity, refusal: Refusal, *, now: datetime
) -> Template:
    if refusal.code not in SHOWN_HERE:
        raise refusal
    return await _roster_page(request, db, keys, town, identity, now=now, refusal=refusal)


async def _roster_page(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    *,
    now: datetime,
    told: str = "",
    week: str = "",
    refusal: Refusal | None = None,
) -> Template:
    monday = read_week_start(week, today=jst_day(now))
    async with db.begin(town.code) as session:
        helpers = {helper.helper_ref: helper for helper in await list_roster(session, town.code, keys)}
        venues = await read_week(session, town.code, list(helpers.values()), monday, now=now)
        requests = await list_open_requests(session, town.code, now=now)
        covers = await list_open_covers(session, town.code, now=now)
        unmet = await list_unmet(session, town.code, now=now)
        looked_for = await list_open(session, town.code)
        await record_deed(session, identity, "view-roster", town.code, now=now)
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "roster.html",
        status=refusal.status if refusal else 200,
        tabs=tabs(ROOT),
        today=jst_day(now),
        first=monday,
        last=monday + WEEK - timedelta(days=1),
        before=f"{ROOT}?week={(monday - WEEK).isoformat()}",
        after=f"{ROOT}?week={(monday + WEEK).isoformat()}",
        venues=[_draw_venue(venue, helpers, now) for venue in venues],
        requests=[
            {
                "id": item.assignment_id,
                "number": show_number(item.number),
                "helper": helper_name(helpers.get(item.helper_ref)),
                "is_accepted": item.is_accepted,
                "cover": item.cover,
                "starts_at": item.starts_at,
                "venue": item.venue_name,
                "others": [{"value": ref, "label": helper_name(helpers[ref])} for ref in item.free if ref in helpers],
            }
            for item in requests
        ],
        covers=[{"item": cover, "number": show_number(cover.number) if cover.number else None} for cover in covers],
        unmet=[_help_item(each) for each in unmet],
        looked_for=[_help_item(each) for each in looked_for],
        told=told if told in TOLD else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _draw_venue(found: RosterVenue, helpers: Mapping[str, HelperView], now: datetime) -> dict[str, Any]:
    presences = {
        "away": _("この日はお休み"),
        "paused": _("しばらくお休み"),
        "registered": _("研修の前"),
        "suspended": _("活動をお休み中"),
    }
    states = {
        "accepted": (_("引き受けた"), "success"),
        "asked": (_("お返事待ち"), "warning"),
        "cover": (_("代わりを募集中"), "error"),
        "done": (_("来られた"), ""),
        "no_show": (_("来られなかった"), ""),
    }
    return {
        "code": found.venue.code,
        "name": found.venue.name_ja,
        "place": found.venue.place_ja,
        "days": [
            {
                "day": day.day,
                "hours": "・".join(span_label(span) for span in day.hours),
                "people": [
                    {
                        "name": helper_name(helpers.get(each.helper_ref)),
                        "span": span_label(each.span),
                        "absence": presences.get(each.presence),
                        "is_extra": each.is_extra,
                    }
                    for each in day.people
                ],
                "visits": [
                    {
                        "number": show_number(each.number),
                        "starts_at": each.starts_at,
                        "helper": helper_name(helpers.get(each.helper_ref)) if each.helper_ref else None,
                        "label": states[each.state][0],
                        "kind": states[each.state][1],
                    }
                    for each in day.visits
                ],
                "gaps": [_draw_gap(found.venue.code, day.day, each, now) for each in day.gaps],
            }
            for day in found.days
            if day.hours or day.people or day.visits
        ],
    }


def _draw_gap(venue: str, day: date, gap: RosterGap, now: datetime) -> dict[str, Any]:
    _starts_at, ends_at = day_span(day, gap.span.from_min, gap.span.to_min)
    asked = {"venue": venue, "day": day.isoformat(), "from_min": gap.span.from_min, "to_min": gap.span.to_min}
    return {
        "span": span_label(gap.span),
        "search": gap.search,
        # Of what is over, nobody is asked.
        "href": f"{ROOT}/gap?{urlencode(asked)}" if ends_at > now else None,
    }


def _help_item(found: RequestView) -> dict[str, Any]:
    return {"found": found, "number": show_number(found.number), "when": say_help_window(found.window)}
