"""`/counter`: today's line on the staff's tablet, live, and what staff do with it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, ServerSentEvent, ServerSentEventMessage, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.calling import show_line
from services.booking.commands.calling_next import CallNext, call_next
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.commands.late_steps import check_in_once, step_once
from services.booking.commands.line import MoveAlong
from services.booking.commands.steps import Moved
from services.booking.commands.transfer import list_sent_on
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.domain.finding import is_meant
from services.booking.domain.line import ACTIONS, Action, ticket_of
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.live import LineWatch
from services.booking.pages.found import DESK_FIND, is_of_a_case, known_of, may_be_searched, say_found
from services.booking.pages.line_rows import draw_line, draw_next
from services.booking.pages.offline import owner_of
from services.booking.pages.told import VERSION_DIGITS, Said, Told, at_now, find_told, path_after, path_refused
from services.booking.pages.wording import counter_label, where_is
from services.booking.queries.appointments import find_appointment_by_id, find_town_facts
from services.booking.queries.line import LineItem
from services.booking.queries.slots import CounterView, list_counters, list_procedures
from services.booking.queries.steps import list_recent_steps
from services.booking.queries.waitlist import count_waiting
from shared.clock import Clock, jst_day, steady
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import TYPED_MAX_LENGTH
from shared.shared_reads import SharedReads
from shared.tokens import Identity
from shared.web.cookies import OURS, gone_cookie, make_cookie, read_cookie
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import current_language
from shared.web.identity import require_role, token_of
from shared.web.pages import page, render, see_other
from shared.web.town import Town

GUARDS = [require_role("counter")]
IDEMPOTENCY_FIELD = "idempotency_key"
RETRY_MS = 2_000
SESSION_LOOK_S = 10.0
LAST_EVENT_ID = "last-event-id"
# At which counter a tablet stands, for a working day.
COUNTER_COOKIE = f"{OURS}counter"
COUNTER_PATH = "/counter"
REMEMBERED_S = 12 * 60 * 60
# Stands in a drawing that several tablets get, where each has a key of its own.
KEY_PLACE = "key-of-this-tablet"
# Sent by htmx: the page stays, and only the line is swapped.
HTMX = "hx-request"

Req = Request[Any, Any, Any]
IsEnded = Callable[[Database, str, str], Awaitable[bool]]


@get("/counter", guards=GUARDS)
async def get_counter(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    counter: FromQuery[str | None] = None,
) -> Template:
    """Today's line of the signed-in person's office, or of all; of one counter if the address names one.

    The tablet remembers where it stands: whoever comes back from another page is at that counter again.
    """
    said = _said(request)
    wanted = counter if counter is not None else read_cookie(request, COUNTER_COOKIE, path=COUNTER_PATH)
    async with db.begin(town.code) as session:
        shown = await _show(session, identity, keys, wanted, now=now)
        told = await find_told(session, identity, said, shown.items, counter=shown.counter, now=now)
        answer = await _page(request, session, identity, shown, told, said, now=now)
    if counter is not None:
        is_secure = request.scope["state"]["secure"]
        answer.set_cookie(
            make_cookie(COUNTER_COOKIE, shown.counter, max_age_s=REMEMBERED_S, secure=is_secure, path=COUNTER_PATH)
            if shown.counter
            else gone_cookie(COUNTER_COOKIE, secure=is_secure, path=COUNTER_PATH)
        )
    return answer


@get("/counter/line", guards=GUARDS)
async def get_line(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    reads: NamedDependency[SharedReads],
    counter: FromQuery[str] = "",
) -> Response[bytes]:
    """The list alone, for swapping in: all tablets of an office ask for it when it changes, and get one drawing."""

    async def draw() -> bytes:
        async with db.begin(town.code) as session:
            shown = await _show(session, identity, keys, counter, key=KEY_PLACE, now=now)
        return render(request, page(request, "line.html", line=shown.line, next=shown.next)).encode()

    # Nothing in it is for one viewer alone, but the key with which they call the next.
    asked = ("line", town.code, identity.office, identity.roles, current_language().code, counter)
    drawn = await reads.read(asked, draw)
    return Response(drawn.replace(KEY_PLACE.encode(), str(uuid4()).encode()), media_type=MediaType.HTML)


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
    """An event `line` whenever the line changed; ends with the token, and the browser comes again with a new one.

    Its id is what the line is known by. Who comes again says which one they had, and is told at once if it is another.
    """
    token = token_of(request)

    async def stream() -> AsyncIterator[ServerSentEventMessage]:
        yield ServerSentEventMessage(data=None, comment="here", retry=RETRY_MS)
        looked_at = steady()
        async for changed in watch.follow(town.code, identity.office, seen=request.headers.get(LAST_EVENT_ID)):
            mark = watch.mark(town.code, identity.office)
            if token is None or token.is_expired(clock()):
                return
            # An event tells nothing but that there is something to ask for, and who asks is looked at again: with many
            # tablets, a question for each of them at every change would be most of what a change costs.
            if steady() - looked_at >= SESSION_LOOK_S:
                if await is_ended(db, town.code, identity.session_id):
                    return
                looked_at = steady()
            if changed:
                yield ServerSentEventMessage(event="line", data="changed", id=mark)
            else:
                yield ServerSentEventMessage(data=None, comment="still here")

    return ServerSentEvent(stream())


@get(
    ["/counter/check-in", "/counter/next", "/counter/walk-ins", "/counter/{appointment_id:str}/{action:str}"],
    guards=GUARDS,
)
async def get_form_address() -> Redirect:
    """Where forms are sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other("/counter")


@post("/counter/check-in", guards=GUARDS)
async def post_check_in(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """By the number of a QR code, or as typed: checks in. Of a case: leads to its desk. Anything else is looked for."""
    fields = await read_form(request)
    counter, typed = fields.get("counter"), fields.get("number", "")
    if is_of_a_case(typed):
        # Sent on as it came: a number stands in no address.
        return Redirect(DESK_FIND, status_code=307)
    if may_be_searched(typed):
        return await _find(request, db, keys, identity, counter, typed, now=now)
    try:
        moved = await rush.run(
            db, town.code, lambda session: check_in_once(session, identity, typed, _key(fields), now=now)
        )
    except Refusal as refusal:
        if HTMX in request.headers:
            said = Said(refused=refusal.code, at=at_now(now), number=typed)
            return await _swap(request, db, keys, town, identity, counter, said, status=refusal.status, now=now)
        return see_other(path_refused(refusal, counter=counter, number=typed, now=now))
    return await _moved(request, db, keys, town, identity, counter, moved, "check-in", now=now)


@post("/counter/walk-ins", guards=GUARDS)
async def post_walk_in(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """A ticket for somebody without an appointment."""
    fields = await read_form(request)
    counter = fields.get("counter", "")
    key = _key(fields) or str(uuid4())
    order = TakeWalkIn(procedure=fields.get("procedure", ""), key=key)
    try:
        moved = await rush.run(db, town.code, lambda session: take_walk_in(session, identity, order, now=now))
    except Refusal as refusal:
        return see_other(path_refused(refusal, counter=counter, procedure=order.procedure, now=now))
    only = f"?{urlencode({'counter': counter})}" if counter else ""
    return see_other(f"/counter/tickets/{moved.appointment_id}{only}")


@post("/counter/next", guards=GUARDS)
async def post_next(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """The next please: whoever's turn it is at the counter."""
    fields = await read_form(request)
    counter = fields.get("counter", "")
    order = CallNext(counter=counter, key=_key(fields) or str(uuid4()))
    try:
        moved = await rush.run(db, town.code, lambda session: call_next(session, identity, order, now=now))
    except Refusal as refusal:
        if HTMX in request.headers:
            said = Said(refused=refusal.code, at=at_now(now))
            return await _swap(request, db, keys, town, identity, counter, said, status=refusal.status, now=now)
        return see_other(path_refused(refusal, counter=counter, now=now))
    return await _moved(request, db, keys, town, identity, counter, moved, "call", now=now)


@get("/counter/tickets/{appointment_id:str}", guards=GUARDS)
async def get_ticket(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    counter: FromQuery[str] = "",
) -> Template:
    """The ticket to print and hand over: a number, no name."""
    async with db.begin(town.code) as session:
        found = await find_appointment_by_id(session, town.code, parse_uuid(appointment_id, code="appointment_unknown"))
        facts = await find_town_facts(session, town.code)
    ticket = ticket_of(found) if found is not None else None
    if found is None or ticket is None or found.state in ("booked", "cancelled"):
        raise Refusal("appointment_unknown", 404)
    return page(
        request,
        "ticket.html",
        ticket=ticket,
        appointment=found,
        where=where_is(found),
        facts=facts,
        only=f"?{urlencode({'counter': counter})}" if counter else "",
    )


@post("/counter/{appointment_id:str}/{action:str}", guards=GUARDS)
async def post_action(
    request: Req,
    appointment_id: FromPath[str],
    action: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """One step. Of two tablets that press at once, one wins and the other is told what happened."""
    fields = await read_form(request)
    counter = fields.get("counter")
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
        moved = await rush.run(
            db, town.code, lambda session: step_once(session, identity, order, _key(fields), now=now)
        )
    except Refusal as refusal:
        if HTMX in request.headers:
            said = Said(refused=refusal.code, at=at_now(now), row=str(order.appointment_id))
            return await _swap(request, db, keys, town, identity, counter, said, status=refusal.status, now=now)
        return see_other(path_refused(refusal, counter=counter, row=order.appointment_id, now=now))
    return await _moved(request, db, keys, town, identity, counter, moved, known, now=now)


async def _moved(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    counter: str | None,
    moved: Moved,
    action: Action,
    *,
    now: datetime,
) -> Template | Redirect:
    if HTMX not in request.headers:
        return see_other(path_after(moved, action, counter=counter))
    said = Said(told=moved.number, did=action, version=str(moved.version))
    return await _swap(request, db, keys, town, identity, counter, said, status=200, now=now)


async def _swap(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    counter: str | None,
    said: Said,
    *,
    status: int,
    now: datetime,
) -> Template:
    """The line as it is now, and what there is to say, for putting into the page."""
    async with db.begin(town.code) as session:
        shown = await _show(session, identity, keys, counter, now=now)
        told = await find_told(session, identity, said, shown.items, counter=shown.counter, now=now)
    return page(request, "line_moved.html", status=status, line=shown.line, next=shown.next, told=told)


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The line as one tablet sees it: limited to `counter`, if the tablet is."""

    items: list[LineItem]
    counters: dict[str, CounterView]
    counter: str | None
    line: dict[str, Any]
    next: dict[str, Any]


async def _show(
    session: AsyncSession,
    identity: Identity,
    keys: Keys,
    counter: str | None,
    *,
    key: str | None = None,
    now: datetime,
) -> _Shown:
    municipality, day = identity.municipality, jst_day(now)
    counters = await _list_counters(session, municipality, identity)
    chosen = counter if counter in counters else None
    items = await show_line(session, identity, day, keys, counter=chosen, now=now)
    line = draw_line(
        items,
        shows_counter=len(counters) > 1 and chosen is None,
        counter=chosen,
        sent_on=await list_sent_on(session, identity, day, keys),
        recent=await list_recent_steps(session, municipality, day, identity.office, counter=chosen),
    )
    following = draw_next(items, counters, counter=chosen, key=key or str(uuid4()))
    return _Shown(items=items, counters=counters, counter=chosen, line=line, next=following)


async def _page(
    request: Req,
    session: AsyncSession,
    identity: Identity,
    shown: _Shown,
    told: Told | None,
    said: Said,
    *,
    status: int = 200,
    now: datetime,
) -> Template:
    municipality, chosen = identity.municipality, shown.counter
    procedures = await list_procedures(session, municipality)
    mine = [item for item in procedures if identity.office in (None, item.office)] or procedures
    return page(
        request,
        "counter.html",
        status=status,
        day=jst_day(now),
        office=identity.office,
        owner=owner_of(identity),
        counters=[
            {"value": item.code, "label": counter_label(item.number, item.name_ja)} for item in shown.counters.values()
        ],
        counter=chosen,
        only=f"?{urlencode({'counter': chosen})}" if chosen else "",
        line=shown.line,
        next=shown.next,
        procedures=[{"value": item.code, "label": item.name_ja} for item in mine],
        waits=await count_waiting(session, municipality, [chosen] if chosen else list(shown.counters), now=now),
        told=told,
        typed=said.number if told is not None and told.kind == "error" else "",
        wanted=said.procedure if told is not None and told.kind == "error" else "",
        key=str(uuid4()),
    )


def _key(fields: Mapping[str, str]) -> str | None:
    """Under which a tablet that heard no answer sends the step again (static/src/counter.js)."""
    return fields.get(IDEMPOTENCY_FIELD, "")[:KEY_MAX_LENGTH] or None


async def _find(
    request: Req, db: Database, keys: Keys, identity: Identity, counter: str | None, typed: str, *, now: datetime
) -> Template:
    """Whom staff look for by a part of the ticket or name. What was typed stands in no address and no log."""
    async with db.begin(identity.municipality) as session:
        shown = await _show(session, identity, keys, counter, now=now)
        everybody = shown.items
        if shown.counter is not None:
            everybody = await show_line(session, identity, jst_day(now), keys, now=now)
        told = say_found(
            [item for item in everybody if is_meant(typed[:TYPED_MAX_LENGTH], known_of(item))], counter=shown.counter
        )
        status = 200 if told.kind == "info" else 404
        if HTMX in request.headers:
            return page(request, "line_moved.html", status=status, line=shown.line, next=shown.next, told=told)
        said = Said(number=typed[:TYPED_MAX_LENGTH])
        return await _page(request, session, identity, shown, told, said, status=status, now=now)


def _said(request: Req) -> Said:
    query = request.query_params
    names = {"version": "v"}
    return Said(**{name: query.get(names.get(name, name), "") for name in Said.__struct_fields__})


async def _list_counters(session: AsyncSession, municipality: str, identity: Identity) -> dict[str, CounterView]:
    """The counters of the person's office, or of the town."""
    counters = await list_counters(session, municipality)
    return {code: item for code, item in counters.items() if identity.office in (None, item.office)}
