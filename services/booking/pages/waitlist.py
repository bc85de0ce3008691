"""Waiting for an earlier time: its owner says which, changes it, stops, or says no to one that is kept for them."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.offers import find_offer
from services.booking.commands.waitlist import JoinWaitlist, decline_earlier, join_waitlist, leave_waitlist
from services.booking.domain.waitlist import OFFER_LIFETIME, WEEKDAYS, Window
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.changes import REFUSED_HERE, check_not_too_late, read_key
from services.booking.pages.opening import ask_for_code, open_appointment
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import counter_label, weekday_name, where_is
from services.booking.queries.appointments import AppointmentView, find_town_facts
from services.booking.queries.slots import find_procedure
from services.booking.queries.waitlist import find_window
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.pages import page, see_other
from shared.web.templating import jst_date
from shared.web.town import Town

DAYS_MAX = 400
CHOOSE_AGAIN = frozenset({"waiting_window"})
FIELDS = ("first", "last", "weekdays", "part", "where")
FIELD_MAX_LENGTH = 20

Req = Request[Any, Any, Any]


@get("/booking/appointments/{number:str}/earlier", opt=PUBLIC)
async def get_earlier_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    refused: FromQuery[str] = "",
    told: FromQuery[str] = "",
) -> Template | Redirect:
    """Which earlier times they want to be told of; once they wait, how to change or stop that."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    await check_not_too_late(db, town, found, now=now)
    own = f"/booking/appointments/{found.number}"
    if found.closure != "none":
        return see_other(own)
    async with db.begin(town.code) as session:
        facts = await find_town_facts(session, town.code)
        window = await find_window(session, town.code, found.appointment_id, now=now)
        offer = await find_offer(session, town.code, found.appointment_id, now=now)
        procedure = await find_procedure(session, town.code, found.procedure, found.channel)
    today, own_day = jst_day(now), jst_day(found.starts_at)
    chosen = window or Window(first_day=today, last_day=own_day, weekdays=WEEKDAYS, part="any", counter=None)
    fields = fields_of(chosen) | ({name: request.query_params.get(name, "") for name in FIELDS} if refused else {})
    return page(
        request,
        "earlier.html",
        appointment=found,
        number=show_number(found.number),
        where=where_is(found),
        facts=facts,
        cannot=_cannot(found),
        waits=window is not None,
        is_offered=offer is not None and offer.cause == "waiting",
        told=told if window is not None or told == "stopped" else "",
        fields=fields,
        weekdays=fields["weekdays"].split(),
        days=[_day_option(today + timedelta(days=ahead)) for ahead in range(min((own_day - today).days, DAYS_MAX) + 1)],
        weekday_options=[
            {"value": str(weekday), "label": weekday_name(weekday)}
            for weekday in WEEKDAYS
            if today + timedelta(days=(weekday - today.isoweekday()) % len(WEEKDAYS)) <= own_day
        ],
        # Whoever needs more time than a slot has waits at their own counter.
        has_places=procedure is not None and len(procedure.counters) > 1 and not found.services,
        counter=counter_label(found.counter_number, found.counter_name),
        offer_min=int(OFFER_LIFETIME.total_seconds() // 60),
        **refusal_words(refused, CHOOSE_AGAIN),
        key=str(uuid4()),
        base=f"{own}/earlier",
    )


@post("/booking/appointments/{number:str}/earlier", opt=PUBLIC)
async def post_earlier_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """`do`: `stop` waiting, `decline` what is kept, or else wait. A refusal is shown by the page after it."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    fields = await read_form(request)
    own, mine, staff = f"/booking/appointments/{found.number}", found.appointment_id, staff_of(find_identity(request))
    if fields.get("do") == "stop":
        await rush.run(db, town.code, lambda session: leave_waitlist(session, town.code, mine, staff=staff, now=now))
        return see_other(f"{own}/earlier?told=stopped")
    if fields.get("do") == "decline":
        offer = parse_uuid(fields.get("offer", ""))
        await rush.run(
            db, town.code, lambda session: decline_earlier(session, town.code, mine, offer, staff=staff, now=now)
        )
        return see_other(f"{own}/earlier?told=declined")
    try:
        order = JoinWaitlist(
            municipality=town.code,
            appointment_id=mine,
            window=read_window(fields, found),
            key=read_key(fields),
            staff=staff,
        )
        await rush.run(db, town.code, lambda session: join_waitlist(session, order, now=now))
    except Refusal as refusal:
        if refusal.code in CHOOSE_AGAIN:
            chosen = {name: fields.get(name, "")[:FIELD_MAX_LENGTH] for name in FIELDS}
            return see_other(f"{own}/earlier?{urlencode({'refused': refusal.code, **chosen})}")
        if refusal.code in REFUSED_HERE:
            return see_other(f"{own}?refused={refusal.code}")
        raise
    return see_other(f"{own}/earlier?told=waits")


def read_window(fields: Mapping[str, str], found: AppointmentView) -> Window:
    """What the form says.

    Raises:
        Refusal: `waiting_window` (400).
    """
    wanted = {
        "first_day": fields.get("first", ""),
        "last_day": fields.get("last", ""),
        "weekdays": [int(text) for text in fields.get("weekdays", "").split() if text.isascii() and text.isdigit()],
        "part": fields.get("part", ""),
        "counter": found.counter if fields.get("where") == "here" else None,
    }
    try:
        return msgspec.convert(wanted, Window)
    except msgspec.ValidationError as error:
        raise Refusal("waiting_window", 400) from error


def fields_of(window: Window) -> dict[str, str]:
    """What the form shows for a window."""
    return {
        "first": window.first_day.isoformat(),
        "last": window.last_day.isoformat(),
        "weekdays": " ".join(map(str, window.weekdays)),
        "part": window.part,
        "where": "anywhere" if window.counter is None else "here",
    }


def say_window(window: Window | None) -> str:
    """``6月2日（火）から 6月9日（火）まで、午前``: what they wait for."""
    if window is None:
        return ""
    first, last = jst_date(window.first_day, year=False), jst_date(window.last_day, year=False)
    if first == last:
        return {
            "any": first,
            "morning": _("%(day)sの午前", day=first),
            "afternoon": _("%(day)sの午後", day=first),
        }[window.part]
    return {
        "any": _("%(first)sから %(last)sまで", first=first, last=last),
        "morning": _("%(first)sから %(last)sまでの午前", first=first, last=last),
        "afternoon": _("%(first)sから %(last)sまでの午後", first=first, last=last),
    }[window.part]


def _cannot(found: AppointmentView) -> str:
    """Why nobody can tell them of an earlier time."""
    if found.chain_id is not None:
        return "chain"
    return "unreached" if found.reach == "none" else ""


def _day_option(day: date) -> dict[str, str]:
    return {"value": day.isoformat(), "label": jst_date(day, year=False)}
