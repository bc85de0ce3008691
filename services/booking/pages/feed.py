"""The helper's own calendar: a private address that calendar programs read. Times and venues, nobody's name."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import icalendar
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.booking.commands.feed import end_feed, renew_feed
from services.booking.domain.shifts import day_span
from services.booking.pages.own_classes import class_place
from services.booking.pages.wording import venue_label
from services.booking.queries.appointments import find_town_facts
from services.booking.queries.classes import CLASSES_AHEAD, OwnSession, list_own_sessions
from services.booking.queries.helpers import (
    FEED_BACK,
    FeedItem,
    ShiftView,
    find_feed_owner,
    find_feed_time,
    list_requests,
    list_shifts,
)
from shared.clock import JST
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import calendar_uid
from shared.tokens import Identity
from shared.web.i18n import gettext as _
from shared.web.i18n import without_readings
from shared.web.identity import PUBLIC, require_role
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_text

GUARDS = [require_role("helper")]
SUFFIX = ".ics"
# Revisions of an event: what a calendar program has seen as asked for, it takes anew once it is accepted.
ASKED, ACCEPTED = 0, 1

Req = Request[Any, Any, Any]


@get("/helpers/calendar", guards=GUARDS)
async def get_feed_page(
    request: Req, db: NamedDependency[Database], town: NamedDependency[Town], identity: NamedDependency[Identity]
) -> Template:
    """What the feed is for, and since when it has an address."""
    async with db.begin(town.code) as session:
        made_at = await find_feed_time(session, town.code, identity.ref)
    return page(request, "feed.html", made_at=made_at, address=None, is_ended=False)


@post("/helpers/calendar", guards=GUARDS)
async def post_feed_page(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """A new address, shown once; the one before opens nothing any more."""
    async with db.begin(town.code) as session:
        token = await renew_feed(session, identity, now=now)
        facts = await find_town_facts(session, town.code)
    address = feed_address(request, facts.host, token)
    return page(request, "feed.html", made_at=now, address=address, is_ended=False)


@get("/helpers/calendar/end", guards=GUARDS)
async def get_end_feed_address() -> Redirect:
    """Where ending is sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other("/helpers/calendar")


@post("/helpers/calendar/end", guards=GUARDS)
async def post_end_feed(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """No address any more."""
    async with db.begin(town.code) as session:
        await end_feed(session, identity, now=now)
    return page(request, "feed.html", made_at=None, address=None, is_ended=True)


@get("/helpers/calendar/{token:str}", opt=PUBLIC)
async def get_feed(
    token: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Response[bytes]:
    """The feed, for whoever knows its address."""
    async with db.begin(town.code) as session:
        helper_ref = await find_feed_owner(session, town.code, token.removesuffix(SUFFIX))
        if helper_ref is None:
            raise Refusal("feed_unknown", 404)
        items = await list_requests(session, town.code, helper_ref, now=now)
        shifts = await list_shifts(session, town.code, helper_ref)
        classes = await list_own_sessions(
            session, town.code, helper_ref, since=now - FEED_BACK, until=now + CLASSES_AHEAD
        )
        facts = await find_town_facts(session, town.code)
    with without_readings():
        feed = make_feed(items, classes, shifts, now=now, town_name=facts.name_ja, public_url=facts.host)
    return Response(
        feed,
        headers={"content-type": "text/calendar; charset=utf-8", "referrer-policy": "no-referrer"},
    )


def feed_address(request: Req, host: str, token: str) -> str:
    """Where a calendar program reads the feed: at the town's own address, if it has said which that is."""
    return f"{host or str(request.base_url).rstrip('/')}/helpers/calendar/{token}{SUFFIX}"


def make_feed(
    items: Sequence[FeedItem],
    classes: Sequence[OwnSession],
    shifts: Sequence[ShiftView],
    *,
    now: datetime,
    town_name: str,
    public_url: str,
) -> bytes:
    """An iCalendar file (RFC 5545): visits, classes that they teach, and single days at a venue beyond their rhythm.

    What is not accepted yet is tentative.
    """
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Choudo//Helpers//JA")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", _("%(town)s サポーター", town=town_text(town_name)))
    for item in items:
        event = icalendar.Event()
        event.add("uid", calendar_uid(item.assignment_id, public_url))
        event.add("dtstamp", item.changed_at)
        event.add("last-modified", item.changed_at)
        event.add("sequence", ACCEPTED if item.is_accepted else ASKED)
        event.add("dtstart", item.starts_at.astimezone(JST))
        event.add("dtend", item.ends_at.astimezone(JST))
        event.add("summary", _("スマホ相談") if item.is_accepted else _("スマホ相談（お返事待ち）"))
        event.add("location", venue_label(item.venue_name, item.venue_place))
        event.add("status", "CONFIRMED" if item.is_accepted else "TENTATIVE")
        calendar.add_component(event)
    for each in classes:
        event = icalendar.Event()
        event.add("uid", calendar_uid(each.session_id, public_url))
        event.add("dtstamp", each.changed_at)
        event.add("last-modified", each.changed_at)
        event.add("dtstart", each.starts_at.astimezone(JST))
        event.add("dtend", each.ends_at.astimezone(JST))
        event.add("summary", _("教室：%(title)s", title=town_text(each.title_ja)))
        event.add("location", class_place(each))
        event.add("status", "CONFIRMED")
        calendar.add_component(event)
    for shift in shifts:
        if shift.only_on is not None:
            starts_at, ends_at = day_span(shift.only_on, shift.from_min, shift.to_min)
            event = icalendar.Event()
            event.add("uid", calendar_uid(shift.shift_id, public_url))
            event.add("dtstamp", now)
            event.add("dtstart", starts_at.astimezone(JST))
            event.add("dtend", ends_at.astimezone(JST))
            event.add("summary", _("この日だけ来られる時間"))
            event.add("location", town_text(shift.venue_name))
            event.add("status", "CONFIRMED")
            calendar.add_component(event)
    calendar.add_missing_timezones()
    written: bytes = calendar.to_ical()
    return written
