"""Entering a class; and one's own entry, opened as an appointment is: by the link of a message, or number and code."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.access import Found
from services.booking.commands.class_entries import EnterClass, enter_class, leave_class
from services.booking.commands.help_classes import take_seat_offered
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.commands.visits import VISIT_LIFETIME
from services.booking.domain.classes import offer_until
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.classes import class_card, keep_visit, read_class_id
from services.booking.pages.opening import COOKIE_PATH, COOKIE_PREFIX, access_cookie, ask_for_code
from services.booking.pages.tries import CodeTries
from services.booking.pages.visits import refusal_words
from services.booking.queries.classes import (
    ClassEntryView,
    ClassView,
    find_class_entry,
    find_own_entry,
    get_class,
)
from services.booking.queries.visits import get_visit
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import read_number, show_number
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.cookies import read_cookie
from shared.web.forms import is_uuid, parse_uuid, read_form
from shared.web.i18n import current_language
from shared.web.identity import PUBLIC, RenewSession, find_identity, require_visitor, staff_of, token_of
from shared.web.pages import CLASS_ENTRIES, CLASSES, page, see_other
from shared.web.town import Town

ENTER_REFUSALS = frozenset({"class_closed", "class_full", "class_entered", "class_busy"})
CHANGE_REFUSALS = frozenset({"class_offer_over", "class_off", "help_over", "help_busy"})
TAKE, LEAVE = "take", "leave"

Req = Request[Any, Any, Any]


@get(f"{CLASSES}/{{course_id:str}}/enter", guards=[require_visitor])
async def get_class_enter_page(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    visit: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """What will be entered, and as whom. Who has entered already reads their entry."""
    wanted, is_staff = read_class_id(course_id), staff_of(identity) is not None
    visit_id = UUID(visit) if is_uuid(visit) else None
    async with db.begin(town.code) as session:
        found = await get_class(session, town.code, wanted)
        brought = None if visit_id is None else await get_visit(session, town.code, visit_id, identity.ref, keys)
        own = None if is_staff else await find_own_entry(session, town.code, wanted, identity.ref)
    if own is not None:
        return see_other(f"{CLASS_ENTRIES}/{own}")
    return page(
        request,
        "class_enter.html",
        **class_card(found, now=now),
        brought=brought,
        is_staff=is_staff,
        key=str(uuid4()),
        kept=keep_visit(visit),
        visit=visit_id,
        **refusal_words(refused, ENTER_REFUSALS),
        base=f"{CLASSES}/{wanted}",
    )


@post(f"{CLASSES}/{{course_id:str}}/enter", guards=[require_visitor])
async def post_class_enter_page(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    secure: NamedDependency[bool],
    tries: NamedDependency[CodeTries],
) -> Redirect:
    """Entered. However often it is sent, it is one seat."""
    fields = await read_form(request)
    wanted, staff, visit = read_class_id(course_id), staff_of(identity), fields.get("visit", "")
    back = f"{CLASSES}/{wanted}/enter{keep_visit(visit)}"
    # A number costs nothing: nobody shall take all seats with many browsers.
    if staff is None and not tries.count_ticket(town.code, network_of_visitor(request)):
        return see_other(_with(back, "class_busy"))
    order = EnterClass(
        municipality=town.code,
        course_id=wanted,
        visitor=identity.ref,
        key=fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or str(uuid4()),
        language=current_language().code,
        visit_id=parse_uuid(visit, code="visit_unknown") if visit else None,
        staff=staff,
    )
    try:
        number = await rush.run(db, town.code, lambda session: enter_class(session, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code not in ENTER_REFUSALS:
            raise
        return see_other(_with(back, refusal.code))
    path = f"{CLASS_ENTRIES}/{number}"
    # Their session opens what staff entered; nothing of it stays on a tablet that others use after them.
    if staff is not None:
        return see_other(path)
    async with db.begin(town.code) as session:
        entry = await find_class_entry(session, town.code, number)
    cookies = [] if entry is None else [access_cookie(keys, town.code, _opened(entry), secure=secure, now=now)]
    return Redirect(path, status_code=303, cookies=cookies)


@get(f"{CLASS_ENTRIES}/{{number:str}}", opt=PUBLIC)
async def get_class_entry_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    refused: FromQuery[str] = "",
    changed: FromQuery[str] = "",
) -> Template | Redirect:
    """One's own entry: its number and code, how it stands, and what can be done."""
    opened = await open_class_entry(request, number, db, keys, town, now=now)
    if opened is None:
        return ask_for_code(number)
    entry, found = opened
    identity = find_identity(request)
    is_new = identity is not None and identity.ref == entry.guest_ref and now < entry.entered_at + VISIT_LIFETIME
    return page(
        request,
        "class_entry.html",
        **class_card(found, now=now),
        entry=entry,
        number=show_number(entry.number),
        lot=show_number(entry.lot) if entry.lot else None,
        code=entry.code(keys) if is_new else None,
        lapsed=entry.state == "withdrawn" and entry.offer_until is not None and entry.changed_at >= entry.offer_until,
        may_take=_may_take(entry, found, now=now),
        changed=bool(changed),
        **refusal_words(refused, CHANGE_REFUSALS),
        base=f"{CLASS_ENTRIES}/{entry.number}",
    )


@post(f"{CLASS_ENTRIES}/{{number:str}}", opt=PUBLIC)
async def post_class_entry_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """The seat that is offered, please; or: they do not come."""
    fields = await read_form(request)
    opened = await open_class_entry(request, number, db, keys, town, now=now)
    if opened is None:
        return ask_for_code(number)
    entry, _found = opened
    deed = {TAKE: take_seat_offered, LEAVE: leave_class}.get(fields.get("deed", ""))
    path = f"{CLASS_ENTRIES}/{entry.number}"
    if deed is None:
        return see_other(path)
    staff = staff_of(find_identity(request))
    try:
        await rush.run(
            db, town.code, lambda session: deed(session, town.code, entry.entry_id, keys, staff=staff, now=now)
        )
    except Refusal as refusal:
        if refusal.code not in CHANGE_REFUSALS:
            raise
        return see_other(_with(path, refusal.code))
    return see_other(f"{path}?changed=1")


async def open_class_entry(
    request: Req, typed: str, db: Database, keys: Keys, town: Town, *, now: datetime
) -> tuple[ClassEntryView, ClassView] | None:
    """The entry and its class, if this visitor may open it; None if not, and equally if there is none.

    Raises:
        RenewSession: perhaps it is the guest who entered.
    """
    number = read_number(typed)
    if number is None:
        return None
    async with db.begin(town.code) as session:
        entry = await find_class_entry(session, town.code, number)
        if entry is None:
            return None
        found = await get_class(session, town.code, entry.course_id)
    identity = find_identity(request)
    if identity is not None and identity.ref == entry.guest_ref:
        return entry, found
    cookie = read_cookie(request, COOKIE_PREFIX + number, path=COOKIE_PATH)
    if cookie and keys.has_access(cookie, town.code, entry.entry_id, now=now):
        return entry, found
    token = token_of(request)
    if token is not None and token.is_expired(now):
        raise RenewSession
    return None


def _may_take(entry: ClassEntryView, found: ClassView, *, now: datetime) -> bool:
    if entry.state == "offered":
        return entry.offer_until is not None and now < entry.offer_until
    if entry.state not in ("waiting", "lost") or found.begins_at is None or not found.free:
        return False
    return now < found.begins_at and offer_until(found.begins_at, now=now) is None


def _opened(entry: ClassEntryView) -> Found:
    return Found(outcome="open", appointment_id=entry.entry_id, number=entry.number)


def _with(path: str, refused: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}refused={refused}"
