"""`/helpers/shifts`: when a helper is at which venue, every week."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.shifts import AddShift, add_shift, remove_shift
from services.booking.flow import Rush
from services.booking.pages.wording import minute_label, venue_label, weekday_name
from services.booking.queries.helpers import list_shifts, list_venues
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("helper")]
# Half hours of the day in which venues are open anywhere.
FIRST_MIN, LAST_MIN, STEP_MIN = 8 * 60, 21 * 60, 30
USUAL_FROM, USUAL_TO = 10 * 60, 12 * 60
VENUE_MAX_LENGTH = 20
DIGITS_MAX = 4

Req = Request[Any, Any, Any]


@get("/helpers/shifts", guards=GUARDS)
async def get_shifts(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """One's own times, and the form for another."""
    return await _shifts_page(request, db, town, identity, told=told)


@post("/helpers/shifts", guards=GUARDS)
async def post_shift(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Another time."""
    fields = await read_form(request)
    order = AddShift(
        venue=fields.get("venue", "")[:VENUE_MAX_LENGTH],
        weekday=_number(fields, "weekday"),
        from_min=_number(fields, "from"),
        to_min=_number(fields, "to"),
    )
    try:
        await rush.run(db, town.code, lambda session: add_shift(session, identity, order, now=now))
    except Refusal as refusal:
        return await _shifts_page(request, db, town, identity, fields=fields, refusal=refusal)
    return see_other("/helpers/shifts?told=added")


@post("/helpers/shifts/{shift_id:str}/remove", guards=GUARDS)
async def post_remove_shift(
    shift_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Not there any more."""
    wanted = parse_uuid(shift_id)
    await rush.run(db, town.code, lambda session: remove_shift(session, identity, wanted, now=now))
    return see_other("/helpers/shifts?told=removed")


async def _shifts_page(
    request: Req,
    db: Database,
    town: Town,
    identity: Identity,
    *,
    fields: dict[str, str] | None = None,
    told: str = "",
    refusal: Refusal | None = None,
) -> Template:
    async with db.begin(town.code) as session:
        shifts = await list_shifts(session, town.code, identity.ref)
        venues = await list_venues(session, town.code)
    text = REFUSALS.get(refusal.code) if refusal else None
    if refusal and text is None:
        raise refusal
    return page(
        request,
        "shifts.html",
        status=refusal.status if refusal else 200,
        shifts=shifts,
        weekdays=[{"value": str(day), "label": weekday_name(day)} for day in range(1, 8)],
        weekday_name=weekday_name,
        minute_label=minute_label,
        times=[
            {"value": str(minute), "label": minute_label(minute)} for minute in range(FIRST_MIN, LAST_MIN + 1, STEP_MIN)
        ],
        venues=[{"value": venue.code, "label": venue_label(venue.name_ja, venue.place_ja)} for venue in venues],
        typed={"weekday": "", "venue": "", "from": str(USUAL_FROM), "to": str(USUAL_TO)} | (fields or {}),
        told=told if told in ("added", "removed") else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _number(fields: dict[str, str], name: str) -> int:
    """A number of a form; what is none fits no shift."""
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else -1
