"""`/booking/classes`: the classes (教室) of the town, for everybody: the list, each one, its times and its poster."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import icalendar
import msgspec
import segno
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from services.booking.pages.appointments import PAPER, QR_BORDER, QR_SCALE
from services.booking.pages.wording import language_name, venue_label
from services.booking.queries.appointments import find_town_facts
from services.booking.queries.classes import ClassView, find_own_entry, get_class, list_classes, make_class_record
from shared.clock import JST
from shared.db import Database
from shared.reference_number import calendar_uid
from shared.web.forms import is_uuid, parse_uuid
from shared.web.i18n import without_readings
from shared.web.identity import PUBLIC, find_identity
from shared.web.pages import CLASSES, page
from shared.web.town import Town

Req = Request[Any, Any, Any]


@get(CLASSES, opt=PUBLIC)
async def get_classes_page(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    topic: FromQuery[str] = "",
    visit: FromQuery[str] = "",
) -> Template:
    """What is coming, of one topic or of all. `visit`: from which booking somebody came, so that they go on with it."""
    async with db.begin(town.code) as session:
        found = await list_classes(session, town.code, now=now)
    topics = {code: name for each in found for code, name in zip(sorted(each.topics), each.topic_names, strict=False)}
    wanted = topic if topic in topics else ""
    kept = keep_visit(visit)
    return page(
        request,
        "classes.html",
        classes=[class_card(each, now=now) for each in found if not wanted or wanted in each.topics],
        topics=[
            {"name": name, "href": topic_href(code, visit), "current": code == wanted}
            for code, name in [("", ""), *sorted(topics.items())]
        ]
        if topics
        else [],
        kept=kept,
    )


@get(f"{CLASSES}/{{course_id:str}}", opt=PUBLIC)
async def get_class_page(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    visit: FromQuery[str] = "",
) -> Template:
    """One class, and what can be done about it now."""
    wanted, identity = read_class_id(course_id), find_identity(request)
    async with db.begin(town.code) as session:
        found = await get_class(session, town.code, wanted)
        own = await find_own_entry(session, town.code, wanted, identity.ref) if identity else None
    return page(
        request,
        "class.html",
        **class_card(found, now=now),
        own=own,
        base=f"{CLASSES}/{wanted}",
        kept=keep_visit(visit),
    )


@get(f"{CLASSES}/{{course_id:str}}/calendar.ics", opt=PUBLIC)
async def get_class_calendar(
    course_id: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Response[bytes]:
    """Its times for anybody's calendar."""
    wanted = read_class_id(course_id)
    async with db.begin(town.code) as session:
        found = await get_class(session, town.code, wanted)
        facts = await find_town_facts(session, town.code)
    with without_readings():
        body = make_class_calendar(found, facts.host)
    return Response(
        body,
        headers={
            "content-type": "text/calendar; charset=utf-8",
            "content-disposition": f'attachment; filename="{wanted}.ics"',
        },
    )


@get(f"{CLASSES}/{{course_id:str}}/poster", opt=PUBLIC)
async def get_class_poster(
    request: Req, course_id: FromPath[str], db: NamedDependency[Database], now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:  # fmt: skip
    """A sheet for the notice board: what, when and where, and the way here as a QR code."""
    wanted = read_class_id(course_id)
    async with db.begin(town.code) as session:
        found = await get_class(session, town.code, wanted)
        facts = await find_town_facts(session, town.code)
    address = f"{facts.host or str(request.base_url).rstrip('/')}{CLASSES}/{wanted}"
    qr = segno.make(address, error="m", micro=False).svg_data_uri(scale=QR_SCALE, border=QR_BORDER, light=PAPER)
    return page(
        request,
        "class_poster.html",
        **class_card(found, now=now),
        address=address,
        qr=qr,
        facts=facts,
        base=f"{CLASSES}/{wanted}",
    )


@get(f"{CLASSES}/{{course_id:str}}/record.json", opt=PUBLIC)
async def get_class_record(
    course_id: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Response[bytes]:
    """Of a class that is drawn: its record, from which anybody can draw again (`choudo draw replay`)."""
    wanted = read_class_id(course_id)
    async with db.begin(town.code) as session:
        record = await make_class_record(session, town.code, await get_class(session, town.code, wanted))
    body = msgspec.json.format(msgspec.json.encode(record))
    named = {"content-disposition": f'attachment; filename="{town.code}_class_{wanted}.json"'}
    return Response(body, media_type="application/json", headers=named)


def read_class_id(typed: str) -> UUID:
    """A class's id in an address.

    Raises:
        Refusal: `class_unknown` (404).
    """
    return parse_uuid(typed, code="class_unknown")


def class_card(found: ClassView, *, now: datetime) -> dict[str, Any]:
    """What a page says of a class."""
    return {
        "course": found,
        "stage": found.stage(now),
        "where": venue_label(found.venue_name, found.venue_place),
        "language": language_name(found.language),
    }


def keep_visit(visit: str) -> str:
    """What an address says so that a visit goes on; nothing of what is none."""
    return f"?{urlencode({'visit': visit})}" if is_uuid(visit) else ""


def topic_href(code: str, visit: str) -> str:
    """The list of one topic, or of all."""
    asked = {"topic": code, "visit": visit if is_uuid(visit) else ""}
    said = urlencode({name: value for name, value in asked.items() if value})
    return f"{CLASSES}?{said}" if said else CLASSES


def make_class_calendar(found: ClassView, public_url: str) -> bytes:
    """An iCalendar file (RFC 5545) with an event for each session."""
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Choudo//Classes//JA")
    calendar.add("version", "2.0")
    for each in found.sessions:
        event = icalendar.Event()
        event.add("uid", calendar_uid(each.session_id, public_url))
        event.add("dtstamp", found.changed_at)
        event.add("dtstart", each.starts_at.astimezone(JST))
        event.add("dtend", each.ends_at.astimezone(JST))
        event.add("summary", found.title_ja)
        where = venue_label(found.venue_name, found.venue_place)
        event.add("location", " ".join(filter(None, [where, each.room_ja])))
        event.add("status", "CANCELLED" if found.state == "called_off" else "CONFIRMED")
        calendar.add_component(event)
    calendar.add_missing_timezones()
    written: bytes = calendar.to_ical()
    return written
