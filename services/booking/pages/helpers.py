"""`/helpers`: a helper's own days on their phone: the next visit biggest, requests to answer, today and what comes."""

from datetime import datetime
from itertools import groupby
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.assignments import ANSWERS, Answer, answer_request
from services.booking.commands.own_days import OwnRequest, show_own_days
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.covers import cover_card, suspension_text
from services.booking.pages.own_classes import show_own_class
from services.booking.pages.wording import language_name, say_day, time_left, venue_label
from services.booking.queries.classes import CLASSES_AHEAD, list_own_sessions
from services.booking.queries.covers import list_covers, list_found
from services.booking.queries.helpers import find_suspension, list_shifts
from services.booking.queries.own import find_own
from services.booking.refusals import REFUSALS
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("helper")]
# Said above the days, so that the helper sees at once how it stands now.
SHOWN_HERE = frozenset({"request_unknown", "request_over", "not_begun"})

Req = Request[Any, Any, Any]


@get("/helpers", guards=GUARDS)
async def get_helpers(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """The next visit, requests to answer, today, and the coming days."""
    return await _helpers_page(request, db, keys, town, identity, now=now, told=told)


@get("/helpers/requests/{assignment_id:str}/cannot-come", guards=GUARDS)
async def get_cannot_come(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Really not? And what happens then. Of what is no promise (any more), the own page tells."""
    wanted = parse_uuid(assignment_id, code="request_unknown")
    async with db.begin(town.code) as session:
        items = await show_own_days(session, identity, keys, now=now)
    found = next((item for item in items if item.assignment_id == wanted and item.is_ahead(now)), None)
    if found is None or found.has_begun:
        return see_other("/helpers")
    return page(request, "cannot_come.html", card=_card(found, now))


@get("/helpers/requests/{assignment_id:str}/{answer:str}", guards=GUARDS)
async def get_answer_address() -> Redirect:
    """Where answers are sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other("/helpers")


@post("/helpers/requests/{assignment_id:str}/{answer:str}", guards=GUARDS)
async def post_answer(
    request: Req,
    assignment_id: FromPath[str],
    answer: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Accept, decline or cannot come, came, did not come."""
    known: Answer | None = next((name for name in ANSWERS if name == answer), None)
    if known is None:
        raise Refusal("not_found", 404)
    wanted = parse_uuid(assignment_id, code="request_unknown")
    try:
        await rush.run(db, town.code, lambda session: answer_request(session, identity, wanted, known, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return await _helpers_page(request, db, keys, town, identity, now=now, refusal=refusal)
    return see_other(f"/helpers?told={known}")


async def _helpers_page(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    *,
    now: datetime,
    told: str = "",
    refusal: Refusal | None = None,
) -> Template:
    async with db.begin(town.code) as session:
        own = await find_own(session, town.code, identity.ref)
        items = await show_own_days(session, identity, keys, now=now)
        shifts = await list_shifts(session, town.code, identity.ref)
        covers = await list_covers(session, identity, now=now)
        found_covers = await list_found(session, identity, now=now)
        classes = await list_own_sessions(session, town.code, identity.ref, since=now, until=now + CLASSES_AHEAD)
        suspended_for = await find_suspension(session, town.code, identity.ref)
    accepted = [item for item in items if item.state == "accepted"]
    following = next((item for item in accepted if item.is_ahead(now)), None)
    others = [item for item in accepted if item is not following]
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "helpers.html",
        status=refusal.status if refusal else 200,
        today=jst_day(now),
        own=own,
        has_shifts=bool(shifts),
        classes=[
            show_own_class(each) | {"day": say_day(jst_day(each.starts_at), today=jst_day(now))} for each in classes
        ],
        covers=[cover_card(cover) for cover in covers],
        found_covers=[
            {"starts_at": each.starts_at, "where": venue_label(each.venue_name, each.venue_place)}
            for each in found_covers
        ],
        suspension=suspension_text(suspended_for) if suspended_for else None,
        following=_card(following, now) if following else None,
        # An answer that comes too late helps nobody: it has gone on to the next helper, or to the resident.
        asked=[_card(item, now) for item in items if item.state == "asked" and not item.has_begun],
        days=[(day, [_card(item, now) for item in of_day]) for day, of_day in groupby(others, key=_day_of)],
        told=told if told in ANSWERS else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _day_of(item: OwnRequest) -> Any:
    return jst_day(item.starts_at)


def _card(item: OwnRequest, now: datetime) -> dict[str, Any]:
    return {
        "item": item,
        "day": say_day(jst_day(item.starts_at), today=jst_day(now)),
        "left": time_left(item.answer_by, now=now),
        "base": f"/helpers/requests/{item.assignment_id}",
        "where": venue_label(item.venue_name, item.venue_place),
        "language": language_name(item.language),
    }
