"""Entering a draw with what a visit brought; and one's entry, opened by its number and code."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.access import Found
from services.booking.commands.draw_entries import ChangeEntry, EnterDraw, change_entry, enter_draw, try_entry_code
from services.booking.domain.draw import PREFERENCES_MAX
from services.booking.domain.draw_record import Session
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.draws import read_draw_id
from services.booking.pages.opening import COOKIE_PATH, COOKIE_PREFIX, access_cookie
from services.booking.pages.tries import CodeTries
from services.booking.pages.visits import refusal_words
from services.booking.queries.draws import EntryView, find_entry, find_ticket_of_visit, get_draw, list_sessions
from services.booking.queries.visits import get_visit
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import TICKET_LENGTH, read_number, show_number
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.cookies import read_cookie
from shared.web.forms import Form, is_uuid, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC, RenewSession, find_identity, require_visitor, staff_of, token_of
from shared.web.pages import DRAWS, page, see_other
from shared.web.templating import jst_datetime
from shared.web.town import Town

# Said above the wishes, so that others can be chosen at once.
ENTER_REFUSALS = frozenset({"draw_wishes", "draw_not_open", "draw_closed", "draw_full", "draw_entered", "draw_other"})
CHANGE_REFUSALS = frozenset({"draw_wishes", "draw_not_open", "draw_closed", "draw_won", "draw_withdrawn"})
FIND_REFUSALS = ("wrong", "locked", "too_many")
WITHDRAW = "withdraw"

Req = Request[Any, Any, Any]


@get("/booking/visits/{visit_id:str}/draws/{draw_id:str}", guards=[require_visitor])
async def get_enter_page(
    request: Req,
    visit_id: FromPath[str],
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """Which sessions, please, the dearest first. Who has entered already reads their entry."""
    visit, wanted = parse_uuid(visit_id, code="visit_unknown"), read_draw_id(draw_id)
    async with db.begin(town.code) as session:
        brought = await get_visit(session, town.code, visit, identity.ref, keys)
        found = await get_draw(session, town.code, wanted)
        sessions = await list_sessions(session, town.code, wanted)
        ticket = await find_ticket_of_visit(session, town.code, wanted, visit)
    if ticket is not None:
        return see_other(f"{DRAWS}/{wanted}/entries/{ticket}")
    if brought.expires_at <= now or brought.number is not None:
        return see_other(f"/booking/visits/{visit}")
    return page(
        request,
        "draw_enter.html",
        behalf=brought.behalf,
        draw=found,
        stage=found.stage(now),
        wishes=_wishes(sessions, ()),
        **refusal_words(refused, ENTER_REFUSALS),
        back=f"/booking/visits/{visit}",
        base=f"/booking/visits/{visit}/draws/{wanted}",
    )


@post("/booking/visits/{visit_id:str}/draws/{draw_id:str}", guards=[require_visitor])
async def post_enter_page(
    request: Req,
    visit_id: FromPath[str],
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    secure: NamedDependency[bool],
) -> Redirect:
    """Entered. However often it is sent, it is one entry."""
    fields = await read_form(request)
    visit, wanted, staff = parse_uuid(visit_id, code="visit_unknown"), read_draw_id(draw_id), staff_of(identity)
    order = EnterDraw(
        municipality=town.code,
        draw_id=wanted,
        visit_id=visit,
        visitor=identity.ref,
        preferences=_read_wishes(fields),
        staff=staff,
    )
    try:
        ticket = await rush.run(db, town.code, lambda session: enter_draw(session, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code in ENTER_REFUSALS:
            return see_other(f"/booking/visits/{visit}/draws/{wanted}?refused={refusal.code}")
        if refusal.code in ("visit_over", "visit_booked"):
            return see_other(f"/booking/visits/{visit}")
        raise
    path = f"{DRAWS}/{wanted}/entries/{ticket}"
    async with db.begin(town.code) as session:
        entry = await find_entry(session, town.code, wanted, ticket, keys, now=now)
    # Their session opens what staff entered; nothing of it stays on a tablet that others use after them.
    if staff is not None or entry is None:
        return see_other(path)
    return Redirect(path, status_code=303, cookies=[_cookie(keys, town, entry, secure=secure, now=now)])


@get(f"{DRAWS}/{{draw_id:str}}/entry", opt=PUBLIC)
async def get_find_entry_page(
    request: Req,
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    refused: FromQuery[str] = "",
    number: FromQuery[str] = "",
) -> Template:
    """Number and code, please; after a try, why they did not open."""
    async with db.begin(town.code) as session:
        found = await get_draw(session, town.code, read_draw_id(draw_id))
    ticket = read_number(number, length=TICKET_LENGTH)
    outcome = refused if refused in FIND_REFUSALS else None
    return page(request, "draw_find.html", draw=found, typed=show_number(ticket) if ticket else "", outcome=outcome)


@post(f"{DRAWS}/{{draw_id:str}}/entry", opt=PUBLIC)
async def post_find_entry_page(
    request: Req,
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
    tries: NamedDependency[CodeTries],
) -> Redirect:
    """Opens the entry, or leads back to the page that says why not."""
    wanted, form = read_draw_id(draw_id), Form(await read_form(request))
    number = form.value("number")
    if not tries.count(town.code, network_of_visitor(request)):
        return _ask_again(wanted, number, "too_many")
    # What a wrong code costs is committed, therefore the outcome is no exception.
    async with db.begin(town.code) as session:
        found = await try_entry_code(session, town.code, wanted, number, form.value("code"), keys, now=now)
    if found.outcome == "open":
        path = f"{DRAWS}/{wanted}/entries/{found.number}"
        cookie = access_cookie(keys, town.code, found, secure=secure, now=now)
        return Redirect(path, status_code=303, cookies=[cookie])
    is_locked = found.locked_until is not None
    if found.nobodys is not None:
        is_locked = tries.fail_nobodys(town.code, f"{wanted}/{found.nobodys}", now=now) is not None
    return _ask_again(wanted, number, "locked" if is_locked else "wrong")


@get(f"{DRAWS}/{{draw_id:str}}/entries/{{number:str}}", opt=PUBLIC)
async def get_entry_page(
    request: Req,
    draw_id: FromPath[str],
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
    refused: FromQuery[str] = "",
    changed: FromQuery[str] = "",
) -> Template | Redirect:
    """One's own entry: its number and code, what it got, and what can be done."""
    wanted = read_draw_id(draw_id)
    entry = await open_entry(request, wanted, number, db, keys, town, now=now)
    if entry is None:
        return _ask_again(wanted, number, "")
    async with db.begin(town.code) as session:
        found = await get_draw(session, town.code, wanted)
        sessions = await list_sessions(session, town.code, wanted)
    shown = page(
        request,
        "draw_entry.html",
        draw=found,
        stage=found.stage(now),
        entry=entry,
        number=show_number(entry.ticket),
        chosen=[each for wish in entry.preferences for each in sessions if each.session_id == str(wish)],
        got=next((each for each in sessions if each.session_id == str(entry.slot_id)), None),
        wishes=_wishes(sessions, entry.preferences),
        changed=bool(changed),
        **refusal_words(refused, CHANGE_REFUSALS),
        base=f"{DRAWS}/{wanted}/entries/{entry.ticket}",
    )
    is_visitor = staff_of(find_identity(request)) is None
    if entry.number is not None and entry.appointment_id is not None and is_visitor:
        # Whoever may open the entry may open what it became.
        won = Found(outcome="open", appointment_id=entry.appointment_id, number=entry.number)
        shown.set_cookie(access_cookie(keys, town.code, won, secure=secure, now=now))
    return shown


@post(f"{DRAWS}/{{draw_id:str}}/entries/{{number:str}}", opt=PUBLIC)
async def post_entry_page(
    request: Req,
    draw_id: FromPath[str],
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Other wishes, or none any more."""
    wanted, fields = read_draw_id(draw_id), await read_form(request)
    entry = await open_entry(request, wanted, number, db, keys, town, now=now)
    if entry is None:
        return _ask_again(wanted, number, "")
    path = f"{DRAWS}/{wanted}/entries/{entry.ticket}"
    leaves = fields.get("action") == WITHDRAW
    wishes = () if leaves else _read_wishes(fields)
    if not leaves and not wishes:
        return see_other(f"{path}?refused=draw_wishes")
    order = ChangeEntry(
        municipality=town.code,
        entry_id=entry.entry_id,
        preferences=wishes,
        staff=staff_of(find_identity(request)),
    )
    try:
        await rush.run(db, town.code, lambda session: change_entry(session, order, now=now))
    except Refusal as refusal:
        if refusal.code not in CHANGE_REFUSALS:
            raise
        return see_other(f"{path}?refused={refusal.code}")
    return see_other(path if leaves else f"{path}?changed=1")


async def open_entry(
    request: Req, draw_id: UUID, typed: str, db: Database, keys: Keys, town: Town, *, now: datetime
) -> EntryView | None:
    """The entry, if this visitor may open it; None if not, and equally if there is none.

    Raises:
        RenewSession: perhaps it is the guest who entered.
    """
    ticket = read_number(typed, length=TICKET_LENGTH)
    if ticket is None:
        return None
    async with db.begin(town.code) as session:
        found = await find_entry(session, town.code, draw_id, ticket, keys, now=now)
    if found is None:
        return None
    identity = find_identity(request)
    if identity is not None and identity.ref == found.guest_ref:
        return found
    cookie = read_cookie(request, COOKIE_PREFIX + ticket, path=COOKIE_PATH)
    if cookie and keys.has_access(cookie, town.code, found.entry_id, now=now):
        return found
    token = token_of(request)
    if token is not None and token.is_expired(now):
        raise RenewSession
    return None


def _cookie(keys: Keys, town: Town, entry: EntryView, *, secure: bool, now: datetime) -> Any:
    opened = Found(outcome="open", appointment_id=entry.entry_id, number=entry.ticket)
    return access_cookie(keys, town.code, opened, secure=secure, now=now)


def _ask_again(draw_id: UUID, typed: str, refused: str) -> Redirect:
    ticket = read_number(typed, length=TICKET_LENGTH)
    asked = {name: value for name, value in (("refused", refused), ("number", ticket)) if value}
    return see_other(f"{DRAWS}/{draw_id}/entry" + (f"?{urlencode(asked)}" if asked else ""))


def _read_wishes(fields: dict[str, str]) -> tuple[UUID, ...]:
    typed = [fields.get(f"wish{number}", "") for number in range(1, PREFERENCES_MAX + 1)]
    # What is no id is none of the sessions: refused as such, where it is compared.
    return tuple(UUID(text) if is_uuid(text) else UUID(int=0) for text in typed if text)


def _wishes(sessions: Sequence[Session], chosen: Sequence[UUID]) -> list[dict[str, Any]]:
    """A field for each wish, with what can be wished for."""
    options = [{"value": each.session_id, "label": jst_datetime(each.starts_at, year=False)} for each in sessions]
    fields = []
    for number in range(1, min(len(sessions), PREFERENCES_MAX) + 1):
        value = str(chosen[number - 1]) if len(chosen) >= number else ""
        none = [] if number == 1 else [{"value": "", "label": _("選ばない")}]
        label = _("第%(number)s希望", number=number)
        fields.append({"name": f"wish{number}", "label": label, "options": none + options, "value": value})
    return fields
