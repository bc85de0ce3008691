"""`/helpers/classes/…/roll`: who is in a class, marked when they came; and what is prepared for which day."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.class_attendance import mark_roll, show_roll
from services.booking.domain.classes import Attendance
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.class_staff import GUARDS, PATH
from services.booking.pages.classes import class_card, read_class_id
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import language_name
from services.booking.queries.classes import get_class, list_all_classes
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.forms import is_uuid, read_form
from shared.web.pages import page, see_other
from shared.web.town import Town

SHOWN_HERE = frozenset({"not_begun"})
MARK = "mark-"

Req = Request[Any, Any, Any]


@get(f"{PATH}/materials", guards=GUARDS)
async def get_class_materials(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """What is to be prepared for which day and room, and for how many."""
    async with db.begin(town.code) as session:
        found = await list_all_classes(session, town.code, since=now)
    coming = [
        (each, course)
        for course in found
        if course.state != "called_off"
        for each in course.sessions
        if each.ends_at > now
    ]
    sessions = sorted(coming, key=lambda item: (item[0].starts_at, item[0].session_id))
    items = [{"session": each, **class_card(course, now=now)} for each, course in sessions]
    return page(request, "class_materials.html", items=items, back=PATH)


@get(f"{PATH}/{{course_id:str}}/roll", guards=GUARDS)
async def get_class_roll(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    at: FromQuery[str] = "",
    told: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template:
    """The list of one session (`at`), of the next if none is said: to mark, and to print."""
    wanted = read_class_id(course_id)
    async with db.begin(town.code) as session:
        found = await get_class(session, town.code, wanted, published=False)
        coming = [each for each in found.sessions if each.ends_at > now] or list(found.sessions)
        shown = next((each for each in found.sessions if str(each.session_id) == at), coming[0] if coming else None)
        roll = [] if shown is None else await show_roll(session, identity, wanted, shown.session_id, keys, now=now)
    return page(
        request,
        "class_roll.html",
        **class_card(found, now=now),
        shown=shown,
        roll=[
            {"person": each, "number": show_number(each.number), "language": language_name(each.language)}
            for each in roll
        ],
        has_begun=shown is not None and now >= shown.starts_at,
        told=bool(told),
        **refusal_words(refused, SHOWN_HERE),
        base=f"{PATH}/{wanted}",
        mark=MARK,
    )


@post(f"{PATH}/{{course_id:str}}/roll", guards=GUARDS)
async def post_class_roll(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Who came."""
    fields, wanted = await read_form(request), read_class_id(course_id)
    at = fields.get("session", "")
    session_id = UUID(at) if is_uuid(at) else UUID(int=0)
    marks = _read_marks(fields)
    back = f"{PATH}/{wanted}/roll?at={session_id}"
    try:
        await rush.run(db, town.code, lambda session: mark_roll(session, identity, wanted, session_id, marks, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{back}&refused={refusal.code}")
    return see_other(f"{back}&told=1")


def _read_marks(fields: dict[str, str]) -> dict[UUID, Attendance]:
    known: dict[str, Attendance] = {"attended": "attended", "absent": "absent"}
    return {
        UUID(name.removeprefix(MARK)): known[value]
        for name, value in fields.items()
        if name.startswith(MARK) and is_uuid(name.removeprefix(MARK)) and value in known
    }
