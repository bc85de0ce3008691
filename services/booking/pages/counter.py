"""`/counter`: today's line on the staff's tablet, live, and what staff do with it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime
from typing import Any
from uuid import uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, ServerSentEvent, ServerSentEventMessage, Template

from services.booking.commands.calling import show_line
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.commands.line import (
    MoveAlong,
    TakeWalkIn,
    check_in_by_number,
    move_along,
    take_walk_in,
)
from services.booking.domain.line import ACTIONS, Action, State, show_ticket
from services.booking.keys import Keys
from services.booking.live import LineWatch
from services.booking.pages.wording import where_is
from services.booking.queries.appointments import (
    AppointmentView,
    find_appointment,
    find_appointment_by_id,
    find_town_facts,
)
from services.booking.queries.line import LineItem
from services.booking.queries.slots import list_procedures
from services.booking.refusals import REFUSALS
from shared.clock import Clock, jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import read_number, show_number
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role, token_of
from shared.web.pages import page, see_other
from shared.web.templating import jst_time
from shared.web.town import Town

GUARDS = [require_role("counter")]
VERSION_DIGITS = 9
RETRY_MS = 2_000

Req = Request[Any, Any, Any]
IsEnded = Callable[[Database, str, str], Awaitable[bool]]

# Whoever came, and was received.
HERE: frozenset[State] = frozenset({"checked_in", "called", "serving", "done"})

# The names that the shared style knows for the states.
LOOKS: dict[State, str] = {
    "booked": "booked",
    "checked_in": "arrived",
    "called": "called",
    "serving": "serving",
    "done": "done",
    "no_show": "absent",
}


@get("/counter", guards=GUARDS)
async def get_counter(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """Today's line of the signed-in person's office, or of all."""
    return await _counter_page(request, db, keys, town, identity, now=now, told=told)


@get("/counter/line", guards=GUARDS)
async def get_line(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """The list alone, for swapping in."""
    async with db.begin(town.code) as session:
        items = await show_line(session, identity, jst_day(now), keys, now=now)
    return page(request, "line.html", items=[_row(item, identity) for item in items])


@get("/counter/events", guards=GUARDS)
async def get_events(
    request: Req,
    db: NamedDependency[Database],
    watch: NamedDependency[LineWatch],
    clock: NamedDependency[Clock],
    is_ended: NamedDependency[IsEnded],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> ServerSentEvent:
    """An event `line` whenever the line changed; ends with the token, and the browser comes again with a new one."""
    token = token_of(request)

    async def stream() -> AsyncIterator[ServerSentEventMessage]:
        yield ServerSentEventMessage(data=None, comment="here", retry=RETRY_MS)
        async for changed in watch.follow(town.code, identity.office):
            over = token is None or token.is_expired(clock())
            if over or await is_ended(db, town.code, identity.session_id):
                return
            if changed:
                yield ServerSentEventMessage(event="line", data="changed")
            else:
                yield ServerSentEventMessage(data=None, comment="still here")

    return ServerSentEvent(stream())


@post("/counter/check-in", guards=GUARDS)
async def post_check_in(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """By the number of a QR code, or as typed."""
    fields = await read_form(request)
    try:
        async with db.begin(town.code) as session:
            moved = await check_in_by_number(session, identity, fields.get("number", ""), now=now)
    except Refusal as refusal:
        return await _counter_page(
            request, db, keys, town, identity, now=now, refusal=refusal, typed=fields.get("number", "")
        )
    return see_other(f"/counter?told={moved.number}")


@post("/counter/walk-ins", guards=GUARDS)
async def post_walk_in(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """A ticket for somebody without an appointment."""
    fields = await read_form(request)
    key = fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or str(uuid4())
    order = TakeWalkIn(procedure=fields.get("procedure", ""), key=key)
    try:
        async with db.begin(town.code) as session:
            moved = await take_walk_in(session, identity, order, now=now)
    except Refusal as refusal:
        return await _counter_page(request, db, keys, town, identity, now=now, refusal=refusal)
    return see_other(f"/counter/tickets/{moved.appointment_id}")


@get("/counter/tickets/{appointment_id:str}", guards=GUARDS)
async def get_ticket(
    request: Req, appointment_id: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Template:
    """The ticket to print and hand over: a number, no name."""
    async with db.begin(town.code) as session:
        found = await find_appointment_by_id(session, town.code, parse_uuid(appointment_id, code="appointment_unknown"))
        facts = await find_town_facts(session, town.code)
    if found is None or found.ticket_no is None:
        raise Refusal("appointment_unknown", 404)
    return page(
        request,
        "ticket.html",
        ticket=show_ticket(found.counter, found.ticket_no),
        appointment=found,
        where=where_is(found),
        facts=facts,
    )


@post("/counter/{appointment_id:str}/{action:str}", guards=GUARDS)
async def post_action(
    request: Req,
    appointment_id: FromPath[str],
    action: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """One step. Of two tablets that press at once, one wins and the other is told what happened."""
    fields = await read_form(request)
    known: Action | None = next((name for name in ACTIONS if name == action), None)
    if known is None:
        raise Refusal("not_found", 404)
    version = fields.get("version", "")
    if not (version.isascii() and version.isdigit()):
        raise Refusal("form_unreadable", 400)
    order = MoveAlong(
        appointment_id=parse_uuid(appointment_id, code="appointment_unknown"),
        action=known,
        version=int(version[:VERSION_DIGITS]),
    )
    try:
        async with db.begin(town.code) as session:
            await move_along(session, identity, order, now=now)
    except Refusal as refusal:
        return await _counter_page(request, db, keys, town, identity, now=now, refusal=refusal)
    return see_other("/counter")


async def _counter_page(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    *,
    now: datetime,
    told: str = "",
    refusal: Refusal | None = None,
    typed: str = "",
) -> Template:
    day = jst_day(now)
    async with db.begin(town.code) as session:
        items = await show_line(session, identity, day, keys, now=now)
        checked = await _find_checked_in(session, town.code, told, day) if told else None
        procedures = await list_procedures(session, town.code)
    mine = [item for item in procedures if identity.office in (None, item.office)] or procedures
    text = (REFUSALS.get(refusal.code) or REFUSALS["step_impossible"]) if refusal else None
    return page(
        request,
        "counter.html",
        status=refusal.status if refusal else 200,
        day=day,
        office=identity.office,
        items=[_row(item, identity) for item in items],
        waiting=sum(item.state == "checked_in" for item in items),
        procedures=[{"value": item.code, "label": item.name_ja} for item in mine],
        checked=checked,
        checked_as=_number_of(checked) if checked else None,
        elsewhere=checked is not None and identity.office not in (None, checked.office),
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
        refused_state=state_label(refusal.details["state"]) if refusal and "state" in refusal.details else None,
        refused_day=refusal.details.get("day") if refusal else None,
        typed=typed,
        key=str(uuid4()),
    )


async def _find_checked_in(session: Any, municipality: str, told: str, day: date) -> AppointmentView | None:
    """Who has just been checked in, by the number in the address; None if that is not true (any more)."""
    number = read_number(told)
    found = await find_appointment(session, municipality, number) if number else None
    here = found is not None and jst_day(found.starts_at) == day and found.state in HERE
    return found if here else None


def _number_of(item: LineItem | AppointmentView) -> str:
    """What is called: the ticket, or the number of who has none yet."""
    return show_ticket(item.counter, item.ticket_no) if item.ticket_no else show_number(item.number)


def state_label(state: State) -> str:
    """The states as staff call them."""
    return {
        "booked": _("予約"),
        "checked_in": _("受付"),
        "called": _("呼出"),
        "serving": _("対応中"),
        "done": _("完了"),
        "no_show": _("不在"),
        "cancelled": _("取消"),
    }[state]


def _action_label(action: Action, state: State) -> str:
    if action == "call" and state in ("called", "no_show"):
        return _("もう一度呼ぶ")
    return {
        "check-in": _("受け付ける"),
        "call": _("呼び出す"),
        "start": _("対応を始める"),
        "done": _("終わる"),
        "no-show": _("不在にする"),
        "undo": _("一つもどす"),
    }[action]


def _row(item: LineItem, identity: Identity) -> dict[str, Any]:
    """One row as the shared macro draws it."""
    actions = [
        {
            "id": action,
            "label": _action_label(action, item.state),
            "url": f"/counter/{item.appointment_id}/{action}",
            "fields": {"version": str(item.version)},
            "danger": action == "no-show",
        }
        for action in item.actions
    ]
    usual = bool(actions) and item.state != "done"
    called_by = item.kana or item.name
    place = _("%(number)s番", number=item.counter_number) if item.counter_number.isdigit() else item.counter_number
    return {
        "id": str(item.appointment_id),
        "case_id": str(item.case_id) if item.case_id else None,
        "number": _number_of(item),
        # Whoever booked holds the booking's number; whoever walked in holds nothing but the ticket.
        "reference": show_number(item.number) if item.ticket_no and item.kind == "booked" else None,
        "time": jst_time(item.starts_at, short=True),
        "state": LOOKS.get(item.state, "done"),
        "state_label": state_label(item.state),
        "title": _("%(name)sさま", name=called_by) if called_by else _("番号でお呼びください"),
        "written": item.name if item.kana and item.name else None,
        "note": f"{item.procedure_name}・{place}" if identity.office is None else item.procedure_name,
        "badges": [] if item.kind == "booked" else [{"label": _("当日")}],
        "primary": actions[0] if usual else None,
        "others": actions[1:] if usual else actions,
    }
