"""`/helpers/shifts`: when a helper is at which venue, and in which weeks."""

from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.shifts import AddShift, add_shift, remove_shift
from services.booking.domain.opening import EVERY_WEEKS_MAX
from services.booking.domain.shifts import Shift, coming_days
from services.booking.flow import Rush
from services.booking.pages.rules_form import USUAL_PATTERNS, pattern_of, read_pattern
from services.booking.pages.shift_days import (
    FIRST_MIN,
    LAST_MIN,
    USUAL,
    VENUE_MAX_LENGTH,
    find_shift,
    remove_day_page,
    time_options,
)
from services.booking.pages.wording import minute_label, pattern_label, venue_label, weekday_name
from services.booking.queries.helpers import ShiftView, list_shifts, list_venues
from services.booking.refusals import REFUSALS
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.templating import jst_date
from shared.web.town import Town

GUARDS = [require_role("helper")]
EMPTY = USUAL | {"weekday": "", "pattern": USUAL_PATTERNS[0], "first_week": ""}
DIGITS_MAX = 4
DATE_LENGTH = len("2026-06-01")

Req = Request[Any, Any, Any]


@get("/helpers/shifts", guards=GUARDS)
async def get_shifts(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """One's own times, and the form for another."""
    return await _shifts_page(request, db, town, identity, told=told, now=now)


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
    every_weeks, nth = read_pattern(_known(fields, "pattern", USUAL_PATTERNS))
    order = AddShift(
        venue=fields.get("venue", "")[:VENUE_MAX_LENGTH],
        weekday=_number(fields, "weekday"),
        from_min=_number(fields, "from"),
        to_min=_number(fields, "to"),
        every_weeks=every_weeks,
        nth=nth,
        first_week=_day(fields.get("first_week", "")),
    )
    try:
        await rush.run(db, town.code, lambda session: add_shift(session, identity, order, now=now))
    except Refusal as refusal:
        return await _shifts_page(request, db, town, identity, fields=fields, refusal=refusal, now=now)
    return see_other("/helpers/shifts?told=added")


@get("/helpers/shifts/{shift_id:str}/remove", guards=GUARDS)
async def get_remove_shift_page(
    request: Req,
    shift_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Really remove it? Of what is not there any more, the list tells."""
    wanted = parse_uuid(shift_id)
    async with db.begin(town.code) as session:
        found = await find_shift(session, town.code, identity.ref, wanted)
    if found is None:
        return see_other("/helpers/shifts")
    shift, visits = found
    if shift.only_on is not None:
        action = f"/helpers/shifts/{wanted}/remove"
        return remove_day_page(request, shift, visits, action=action, back="/helpers/away", now=now)
    return page(request, "shift_remove.html", when=shift_label(shift), venue=shift.venue_name, shift_id=wanted)


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
    is_day = await rush.run(db, town.code, lambda session: remove_shift(session, identity, wanted, now=now))
    return see_other("/helpers/away?told=comes_not" if is_day else "/helpers/shifts?told=removed")


def shift_label(shift: ShiftView) -> str:
    """``毎週 月曜日 10:00〜12:00``, ``2週に1回 月曜日 10:00〜12:00``."""
    return _(
        "%(weeks)s %(day)s %(start)s〜%(end)s",
        weeks=pattern_label(pattern_of(shift)),
        day=weekday_name(shift.weekday),
        start=minute_label(shift.from_min),
        end=minute_label(shift.to_min),
    )


async def _shifts_page(
    request: Req,
    db: Database,
    town: Town,
    identity: Identity,
    *,
    fields: dict[str, str] | None = None,
    told: str = "",
    refusal: Refusal | None = None,
    now: datetime,
) -> Template:
    async with db.begin(town.code) as session:
        shifts = await list_shifts(session, town.code, identity.ref)
        venues = await list_venues(session, town.code)
    today = jst_day(now)
    monday = today - timedelta(days=today.weekday())
    text = REFUSALS.get(refusal.code) if refusal else None
    if refusal and text is None:
        raise refusal
    return page(
        request,
        "shifts.html",
        status=refusal.status if refusal else 200,
        shifts=[
            {
                "id": shift.shift_id,
                "when": shift_label(shift),
                "venue": shift.venue_name,
                "coming": coming_days(msgspec.convert(shift, Shift, from_attributes=True), today),
            }
            for shift in shifts
            if shift.only_on is None
        ],
        weekdays=[{"value": str(day), "label": weekday_name(day)} for day in range(1, 8)],
        times=time_options(FIRST_MIN, LAST_MIN),
        venues=[{"value": venue.code, "label": venue_label(venue.name_ja, venue.place_ja)} for venue in venues],
        patterns=[{"value": pattern, "label": pattern_label(pattern)} for pattern in USUAL_PATTERNS],
        first_weeks=[
            {"value": day.isoformat(), "label": _("%(day)sの週", day=jst_date(day, year=False))}
            for day in (monday + timedelta(weeks=number) for number in range(EVERY_WEEKS_MAX))
        ],
        typed=EMPTY | (fields or {}),
        told=told if told in ("added", "removed") else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _number(fields: dict[str, str], name: str) -> int:
    """A number of a form; what is none fits no shift."""
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else -1


def _known(fields: dict[str, str], name: str, known: tuple[str, ...]) -> str:
    """A choice of a form; what is none of them is the first."""
    return fields[name] if fields.get(name) in known else known[0]


def _day(typed: str) -> date | None:
    try:
        return date.fromisoformat(typed[:DATE_LENGTH])
    except ValueError:
        return None
