"""The appointment as a file for the resident's own calendar."""

from datetime import datetime, timedelta
from typing import Any

import icalendar
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from services.booking.keys import Keys
from services.booking.pages.opening import ask_for_code, open_appointment
from services.booking.pages.wording import where_for_others
from services.booking.queries.appointments import AppointmentView, TownFacts, find_town_facts
from shared.clock import JST
from shared.db import Database
from shared.reference_number import calendar_uid, show_number
from shared.web.i18n import gettext as _
from shared.web.i18n import without_readings
from shared.web.identity import PUBLIC
from shared.web.town import Town
from shared.web.town_texts import town_text

Req = Request[Any, Any, Any]


@get("/booking/appointments/{number:str}/calendar.ics", opt=PUBLIC)
async def get_calendar_file(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Response[bytes] | Redirect:
    """The appointment for a calendar: the same UID for ever, SEQUENCE rising with every change."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    return await calendar_answer(db, town, found)


async def calendar_answer(db: Database, town: Town, found: AppointmentView) -> Response[bytes]:
    """The file, to be saved."""
    async with db.begin(town.code) as session:
        facts = await find_town_facts(session, town.code)
    method = "CANCEL" if found.state == "cancelled" else "PUBLISH"
    with without_readings():
        calendar = make_calendar(found, facts, method=method)
    return Response(
        calendar,
        headers={
            "content-type": f"text/calendar; method={method}; charset=utf-8",
            "content-disposition": f'attachment; filename="{found.number}.ics"',
        },
    )


def make_calendar(found: AppointmentView, facts: TownFacts, *, method: str) -> bytes:
    """An iCalendar file (RFC 5545, 5546). Of a procedure that others should not see, nothing tells which it is."""
    event = icalendar.Event()
    event.add("uid", calendar_uid(found.appointment_id, facts.host))
    event.add("dtstamp", found.changed_at)
    event.add("sequence", found.sequence)
    event.add("dtstart", found.starts_at.astimezone(JST))
    event.add("dtend", _end(found).astimezone(JST))
    event.add("summary", _summary(found))
    event.add("location", _location(found, facts))
    event.add("description", _description(found))
    event.add("status", "CANCELLED" if found.state == "cancelled" else "CONFIRMED")
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Choudo//Booking//JA")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(event)
    calendar.add_missing_timezones()
    written: bytes = calendar.to_ical()
    return written


def _names(found: AppointmentView) -> str:
    names = [each.name_ja for each in found.services] or [found.procedure_name]
    return _("、").join(map(town_text, names))


def _summary(found: AppointmentView) -> str:
    if found.channel == "helper":
        return _("サポーターとの予約") if found.discreet else _("サポーターとの予約：%(name)s", name=_names(found))
    return _("窓口の予約") if found.discreet else _("窓口の予約：%(name)s", name=_names(found))


def _end(found: AppointmentView) -> datetime:
    """When the person is done, as every page says; the slot is as long as its counter's longest procedure."""
    if not found.minutes:
        return found.ends_at
    return min(found.ends_at, found.starts_at + timedelta(minutes=found.minutes))


def _location(found: AppointmentView, facts: TownFacts) -> str:
    # A venue is not in the town hall: its place is its own address.
    address = town_text(facts.address_ja) if found.counter_number else ""
    return " ".join(filter(None, [address, where_for_others(found)]))


def _description(found: AppointmentView) -> str:
    lines = [_("予約番号：%(number)s", number=show_number(found.number))]
    if not found.discreet:
        lines += [_("持ちもの：%(thing)s", thing=town_text(thing)) for thing in found.bring]
    return "\n".join(lines)
