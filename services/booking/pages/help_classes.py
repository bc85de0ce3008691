"""Classes (教室) on the pages of requests for help: which fit, the seat that is kept, and taking one."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_entries import leave_class
from services.booking.commands.help_classes import enter_by_request
from services.booking.commands.help_requests import HelpWish
from services.booking.domain.matching import HelpWanted
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.classes import class_card
from services.booking.pages.help_opening import OWN_PATH, SHOWN_HERE, open_request
from services.booking.pages.help_wording import say_reasons
from services.booking.pages.opening import ask_for_code
from services.booking.queries.classes import get_class
from services.booking.queries.help_classes import FittingClass, SeatView, find_seat, list_fitting, list_fitting_request
from services.booking.queries.help_requests import RequestView
from shared.db import Database
from shared.errors import Refusal
from shared.web.forms import parse_uuid, read_form
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.pages import CLASSES, see_other
from shared.web.town import Town

SHOWN_MAX = 3
LEAVE = "leave"

Req = Request[Any, Any, Any]


@post(f"{OWN_PATH}/{{number:str}}/class", opt=PUBLIC)
async def post_request_class(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """A seat in this class, please, with what the request brought; or: not in a class."""
    fields = await read_form(request)
    found = await open_request(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    mine, staff, path = found.request_id, staff_of(find_identity(request)), f"{OWN_PATH}/{found.number}"
    course_id = parse_uuid(fields.get("course", ""), code="class_unknown")

    async def do(session: AsyncSession) -> None:
        if fields.get("deed") != LEAVE:
            await enter_by_request(session, town.code, mine, course_id, keys, staff=staff, now=now)
            return
        seat = await find_seat(session, town.code, mine)
        if seat is not None and (seat.course_id, seat.state) == (course_id, "offered"):
            await leave_class(session, town.code, seat.entry_id, keys, staff=staff, now=now)

    try:
        await rush.run(db, town.code, do)
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{path}?refused={refusal.code}")
    return see_other(path)


async def show_seat(
    session: AsyncSession, municipality: str, found: RequestView, *, now: datetime
) -> tuple[SeatView | None, dict[str, Any] | None]:
    """The seat of a request, and the one that is kept as a page says it; nothing of what is kept no more."""
    seat = await find_seat(session, municipality, found.request_id)
    if seat is None or seat.state != "offered" or seat.offer_until is None or seat.offer_until <= now:
        return seat, None
    course = await get_class(session, municipality, seat.course_id)
    shown = class_card(course, now=now) | {"why": say_reasons(seat.reasons), "until": seat.offer_until}
    return seat, shown


async def show_fitting(
    session: AsyncSession, municipality: str, found: RequestView, *, without: SeatView | None, now: datetime
) -> list[dict[str, Any]]:
    """The classes for a request, but for the one of which a seat is kept."""
    fitting = await list_fitting_request(session, municipality, found, now=now)
    shown = _items(each for each in fitting if without is None or each.course.course_id != without.course_id)
    return [item | class_card(item["course"], now=now) for item in shown]


async def show_fitting_wish(
    session: AsyncSession, municipality: str, wish: HelpWish, procedure: str, kept: str, *, now: datetime
) -> list[dict[str, Any]]:
    """The classes for what somebody is just asking; `kept`: what an address says so that their visit goes on."""
    wanted = HelpWanted(
        request_id="",
        skill=wish.topic or procedure,
        window=wish.window,
        venues=frozenset(wish.venues),
        only_there=wish.only_there,
        language=wish.language,
        language_need=wish.language_need,
        sign_need=wish.sign_need,
    )
    shown = _items(await list_fitting(session, municipality, wanted, now=now), kept)
    return [item | class_card(item["course"], now=now) for item in shown]


def _items(fitting: Iterable[FittingClass], kept: str = "") -> list[dict[str, Any]]:
    return [
        {
            "course": each.course,
            "why": say_reasons(each.reasons),
            "enter": f"{CLASSES}/{each.course.course_id}/enter{kept}",
        }
        for each in list(fitting)[:SHOWN_MAX]
    ]
