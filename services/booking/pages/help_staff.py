"""`/helpers/requests/{id}`: coordinators see how a request stands, who was asked and why, and choose somebody."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.help_classes import offer_class
from services.booking.commands.help_matching import assign_request
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.help_wording import say_help_window, say_reasons, say_venues, say_wishes
from services.booking.pages.roster import GUARDS, HELPER_REF_MAX_LENGTH
from services.booking.pages.visits import refusal_words
from services.booking.queries.classes import get_class
from services.booking.queries.help_classes import find_seat, list_fitting_request
from services.booking.queries.help_requests import get_request, list_choices, list_tried
from services.booking.queries.helpers import list_roster, list_venues
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.pages import page, see_other
from shared.web.templating import jst_datetime
from shared.web.town import Town

SHOWN_HERE = frozenset(
    {
        "help_over", "help_busy", "helper_busy", "helper_unknown", "slot_unknown", "slot_taken", "slot_too_soon",
        "class_taken", "class_entered",
    }
)  # fmt: skip

Req = Request[Any, Any, Any]


@get("/helpers/requests/{request_id:str}", guards=GUARDS)
async def get_help_staff_page(
    request: Req,
    request_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template:
    """How it stands, and whom one could ask. Nothing of who asks."""
    wanted = parse_uuid(request_id, code="help_unknown")
    async with db.begin(town.code) as session:
        found = await get_request(session, town.code, wanted)
        tried = await list_tried(session, town.code, wanted)
        is_over = found.state not in ("open", "unmet")
        choices = [] if is_over else await list_choices(session, town.code, found, now=now)
        names = {each.helper_ref: each.name or _("お名前なし") for each in await list_roster(session, town.code, keys)}
        venues = {each.code: each.name_ja for each in await list_venues(session, town.code)}
        seat = await find_seat(session, town.code, wanted)
        fitting = [] if is_over else await list_fitting_request(session, town.code, found, stages=("free",), now=now)
        course = await get_class(session, town.code, seat.course_id) if seat else None
        await record_deed(session, identity, "view-help-request", wanted, now=now)
    return page(
        request,
        "help_staff.html",
        found=found,
        number=show_number(found.number),
        when=say_help_window(found.window),
        where=say_venues(found),
        wishes=say_wishes(found),
        tried=[
            {
                "name": names.get(each.helper_ref, _("お名前なし")),
                "starts_at": each.starts_at,
                "state": each.state,
                "why": _("担当者が選んだ") if each.is_decided else say_reasons(each.reasons),
            }
            for each in tried
        ],
        choices=[
            {
                "value": f"{each.place.slot_id}/{each.helper_ref}",
                "label": "　".join(
                    (
                        names.get(each.helper_ref, _("お名前なし")),
                        jst_datetime(each.place.starts_at, year=False),
                        venues.get(each.place.venue, each.place.venue),
                    )
                ),
                "hint": say_reasons(each.reasons),
            }
            for each in choices
        ],
        seat=seat,
        seat_why="" if seat is None else _("担当者が選んだ") if seat.is_decided else say_reasons(seat.reasons),
        course=course,
        classes=[
            {
                "value": str(each.course.course_id),
                "label": "　".join(
                    (
                        each.course.title_ja,
                        jst_datetime(each.course.sessions[0].starts_at, year=False),
                        each.course.venue_name,
                        _("のこり%(free)s席", free=each.course.free),
                    )
                ),
                "hint": say_reasons(each.reasons),
            }
            for each in fitting
        ],
        told=told,
        **refusal_words(refused, SHOWN_HERE),
        base=f"/helpers/requests/{wanted}",
    )


@post("/helpers/requests/{request_id:str}", guards=GUARDS)
async def post_help_staff_page(
    request: Req,
    request_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Ask this one, then."""
    wanted = parse_uuid(request_id, code="help_unknown")
    slot, _slash, helper_ref = (await read_form(request)).get("choice", "").partition("/")
    chosen, path = helper_ref[:HELPER_REF_MAX_LENGTH], f"/helpers/requests/{wanted}"
    try:
        slot_id = parse_uuid(slot, code="slot_unknown")
        await rush.run(
            db,
            town.code,
            lambda session: assign_request(session, identity, wanted, chosen, slot_id, keys, now=now),
        )
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{path}?refused={refusal.code}")
    return see_other(f"{path}?told=1")


@post("/helpers/requests/{request_id:str}/class", guards=GUARDS)
async def post_help_staff_class(
    request: Req,
    request_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Keep them a seat in this class, and ask them."""
    wanted, path = parse_uuid(request_id, code="help_unknown"), f"/helpers/requests/{request_id}"
    course_id = parse_uuid((await read_form(request)).get("course", ""), code="class_unknown")
    try:
        await rush.run(db, town.code, lambda session: offer_class(session, identity, wanted, course_id, keys, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{path}?refused={refusal.code}")
    return see_other(f"{path}?told=class")
