"""Asking for help without choosing a time, from a helper's visit; and the page that says how it stands."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.access import Found
from services.booking.commands.help_requests import AskForHelp, HelpWish, ask_for_help, withdraw_request
from services.booking.domain.help_requests import WEEKDAYS
from services.booking.domain.matching import HelpWindow, InClass, Need
from services.booking.domain.rules import Policy, last_day
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.classes import keep_visit
from services.booking.pages.help_classes import show_fitting, show_fitting_wish, show_seat
from services.booking.pages.help_opening import OWN_PATH, SHOWN_HERE, open_request
from services.booking.pages.help_wording import (
    PARTS,
    part_options,
    say_help_window,
    say_venues,
    say_wishes,
)
from services.booking.pages.opening import access_cookie, ask_for_code
from services.booking.pages.visits import find_elsewhere, refusal_words
from services.booking.pages.wording import language_name, weekday_name
from services.booking.queries.free import list_next_free
from services.booking.queries.help_requests import (
    RequestView,
    find_request,
    find_request_of_visit,
    list_topics,
)
from services.booking.queries.helpers import list_venues
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import ProcedureView, find_procedure, list_counters
from services.booking.queries.visits import get_visit
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.identity import PUBLIC, find_identity, require_visitor, staff_of
from shared.web.pages import page, see_other
from shared.web.templating import jst_date
from shared.web.town import Town

ASK_REFUSALS = frozenset({"help_window", "help_wish", "help_asked", "help_unfit"})
LANGUAGES = ("ja", "en", "zh", "ko", "pt", "es", "vi", "tl")
SIGN_NEEDS: dict[str, Need] = {"none": "none", "wished": "wished", "needed": "needed"}
IN_CLASS: dict[str, InClass] = {"no": "no", "too": "too", "only": "only"}
# "This week": so many days from today, where nobody says otherwise.
DAYS_AHEAD = 7
ALTERNATIVES_MAX = 3
# The button that shows which classes fit.
LOOK = "look"

Req = Request[Any, Any, Any]


@get("/booking/visits/{visit_id:str}/help", guards=[require_visitor])
async def get_ask_page(
    request: Req,
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """What for, until when, where and how, please. Everything may stay as it is."""
    return await _show_ask(request, visit_id, db, keys, town, identity, {}, refused=refused, now=now)


async def _show_ask(
    request: Req,
    visit_id: str,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    fields: Mapping[str, str],
    *,
    refused: str,
    now: datetime,
) -> Template | Redirect:
    """The page with what was filled in so far, and the classes that fit that."""
    wanted = parse_uuid(visit_id, code="visit_unknown")
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, wanted, identity.ref, keys)
        elsewhere = await find_elsewhere(session, town, visit, identity, now=now)
        number = await find_request_of_visit(session, town.code, wanted)
        procedure = await _procedure(session, town, visit.procedure)
        topics = await list_topics(session, town.code)
        venues = await list_venues(session, town.code)
        policy = procedure.policy((await get_rules(session, town.code)).policy)
        values = _first_values(policy, now=now) | dict(fields)
        try:
            wish, kept = read_wish(values), keep_visit(str(wanted))
            classes = await show_fitting_wish(session, town.code, wish, visit.procedure, kept, now=now)
        except Refusal as refusal:
            classes, refused = [], refusal.code
    if elsewhere is not None:
        return elsewhere
    if number is not None:
        return see_other(f"{OWN_PATH}/{number}")
    today, end = jst_day(now), last_day(policy, now)
    days = [_day_option(today + timedelta(days=ahead)) for ahead in range((end - today).days + 1)]
    return page(
        request,
        "help_ask.html",
        behalf=visit.behalf,
        procedure=procedure,
        topics=topics,
        venues=[{"value": each.code, "label": each.name_ja, "hint": each.place_ja} for each in venues],
        days=days,
        values=values,
        classes=classes,
        weekdays=[{"value": str(each), "label": weekday_name(each)} for each in WEEKDAYS],
        parts=part_options(),
        languages=[{"value": code, "label": language_name(code)} for code in LANGUAGES],
        **refusal_words(refused, ASK_REFUSALS),
        base=f"/booking/visits/{wanted}",
    )


@post("/booking/visits/{visit_id:str}/help", guards=[require_visitor])
async def post_ask_page(
    request: Req,
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    secure: NamedDependency[bool],
) -> Template | Redirect:
    """Asked. However often it is sent, it is one request of its case. `look`: only which classes fit, so far."""
    fields = await read_form(request)
    if LOOK in fields:
        return await _show_ask(request, visit_id, db, keys, town, identity, fields, refused="", now=now)
    wanted, staff = parse_uuid(visit_id, code="visit_unknown"), staff_of(identity)
    try:
        order = AskForHelp(
            municipality=town.code, visit_id=wanted, visitor=identity.ref, wish=read_wish(fields), staff=staff
        )
        number = await rush.run(db, town.code, lambda session: ask_for_help(session, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code in ASK_REFUSALS:
            return see_other(f"/booking/visits/{wanted}/help?refused={refusal.code}")
        if refusal.code in ("visit_over", "visit_booked"):
            return see_other(f"/booking/visits/{wanted}")
        raise
    path = f"{OWN_PATH}/{number}"
    async with db.begin(town.code) as session:
        found = await find_request(session, town.code, number, keys, now=now)
    # Their session opens what staff asked for; nothing of it stays on a tablet that others use after them.
    if staff is not None or found is None:
        return see_other(path)
    opened = Found(outcome="open", appointment_id=found.request_id, number=found.number)
    cookie = access_cookie(keys, town.code, opened, secure=secure, now=now)
    return Redirect(path, status_code=303, cookies=[cookie])


@get(f"{OWN_PATH}/{{number:str}}", opt=PUBLIC)
async def get_request_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """How it stands, what was asked for, and what else can be done."""
    found = await open_request(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    async with db.begin(town.code) as session:
        free = await _list_free(session, town, found, now=now) if found.state == "unmet" else []
        seat, kept = await show_seat(session, town.code, found, now=now)
        is_for_class = found.state == "unmet" or (found.state == "open" and found.in_class != "no")
        classes = (
            await show_fitting(session, town.code, found, without=seat if kept else None, now=now)
            if is_for_class
            else []
        )
    shown = page(
        request,
        "help_request.html",
        found=found,
        number=show_number(found.number),
        when=say_help_window(found.window),
        where=say_venues(found),
        wishes=say_wishes(found),
        free=free,
        kept=kept,
        classes=classes,
        **refusal_words(refused, SHOWN_HERE),
        base=f"{OWN_PATH}/{found.number}",
    )
    is_visitor = staff_of(find_identity(request)) is None
    if found.appointment_number is not None and is_visitor:
        # Whoever may open the request may open what it became.
        met = Found(outcome="open", appointment_id=found.appointment_id, number=found.appointment_number)
        shown.set_cookie(access_cookie(keys, town.code, met, secure=secure, now=now))
    if seat is not None and is_visitor:
        entered = Found(outcome="open", appointment_id=seat.entry_id, number=seat.number)
        shown.set_cookie(access_cookie(keys, town.code, entered, secure=secure, now=now))
    return shown


@post(f"{OWN_PATH}/{{number:str}}", opt=PUBLIC)
async def post_request_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """No help is needed any more."""
    found = await open_request(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    mine, staff, path = found.request_id, staff_of(find_identity(request)), f"{OWN_PATH}/{found.number}"
    try:
        await rush.run(db, town.code, lambda session: withdraw_request(session, town.code, mine, staff=staff, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{path}?refused={refusal.code}")
    return see_other(path)


def read_wish(fields: Mapping[str, str]) -> HelpWish:
    """What the form says.

    Raises:
        Refusal: `help_window`, `help_wish` (422).
    """
    from_min, to_min = PARTS.get(fields.get("part", ""), PARTS["any"])
    try:
        window = HelpWindow(
            first_day=date.fromisoformat(fields.get("first", "")),
            last_day=date.fromisoformat(fields.get("last", "")),
            weekdays=tuple(int(each) for each in fields.get("weekdays", "").split()),
            from_min=from_min,
            to_min=to_min,
        )
    except ValueError as error:
        raise Refusal("help_window", 422) from error
    language, sign = fields.get("language", LANGUAGES[0]), SIGN_NEEDS.get(fields.get("sign", "none"))
    in_class = IN_CLASS.get(fields.get("in_class", "no"))
    if language not in LANGUAGES or sign is None or in_class is None:
        raise Refusal("help_wish", 422)
    return HelpWish(
        window=window,
        topic=fields.get("topic", ""),
        venues=tuple(fields.get("venues", "").split()),
        only_there="only_there" in fields,
        in_class=in_class,
        language=language,
        language_need="needed" if "language_needed" in fields else "wished",
        sign_need=sign,
    )


async def _procedure(session: AsyncSession, town: Town, code: str) -> ProcedureView:
    procedure = await find_procedure(session, town.code, code, "helper")
    if procedure is None or not procedure.counters:
        raise Refusal("help_unfit", 409)
    return procedure


async def _list_free(session: AsyncSession, town: Town, found: RequestView, *, now: datetime) -> list[dict[str, Any]]:
    """The next times at which somebody can still be met: for who was not met."""
    procedure = await find_procedure(session, town.code, found.procedure, "helper")
    if procedure is None or not procedure.counters:
        return []
    policy = procedure.policy((await get_rules(session, town.code)).policy)
    counters = await list_counters(session, town.code)
    slots = await list_next_free(session, town.code, procedure.counters, policy, most=ALTERNATIVES_MAX, now=now)
    return [
        {"starts_at": each.starts_at, "venue": counters[each.counter].name_ja}
        for each in slots
        if each.counter in counters
    ]


def _first_values(policy: Policy, *, now: datetime) -> dict[str, str]:
    """What the form says before anybody has filled it in."""
    today = jst_day(now)
    last = min(today + timedelta(days=DAYS_AHEAD), last_day(policy, now))
    weekdays = " ".join(str(each) for each in WEEKDAYS)
    return {"first": today.isoformat(), "last": last.isoformat(), "weekdays": weekdays, "part": "any"}


def _day_option(day: date) -> dict[str, str]:
    return {"value": day.isoformat(), "label": jst_date(day, year=False)}
