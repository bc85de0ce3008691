"""`/booking/door`: what the QR code at the town hall's door opens. A ticket on the own phone, and checking in oneself.

The code of the day goes into a cookie and out of the address at once. Nobody says who they are.
"""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import segno
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.phone_tickets import TakePhoneTicket, check_in_at_door, take_phone_ticket
from services.booking.commands.walk_ins import find_counters
from services.booking.domain.kiosk import KANA_ROWS
from services.booking.domain.line import ticket_of
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.appointments import PAPER, QR_BORDER
from services.booking.pages.at_door import DOOR_COOKIE, HOLDER_COOKIE, holder_of, is_at_door, own_cookie
from services.booking.pages.opening import COOKIE_PATH, COOKIE_PREFIX, ask_for_code, open_appointment
from services.booking.pages.tries import CodeTries
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import place_label, where_is
from services.booking.queries.appointments import AppointmentView, find_appointment
from services.booking.queries.board import estimate_public_waits
from services.booking.queries.counter_days import counter_now
from services.booking.queries.kiosk import list_kiosk_procedures, usual_procedures
from services.booking.queries.open_now import list_open_counters
from services.booking.queries.place import list_held_tickets, list_numbers_of_guest
from services.booking.queries.rules import get_rules
from shared.clock import jst_day
from shared.crypto import new_link_token, token_hash
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import read_number, show_number
from shared.web.addresses import network_of_visitor
from shared.web.cookies import cookie_name
from shared.web.forms import read_form
from shared.web.identity import PUBLIC, find_identity, require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

PATH = "/booking/door"
# Of a phone's appointments, so many are looked up.
OWN_MAX = 10
VERSION_DIGITS = 9
# As large as a sheet of paper at the door bears.
POSTER_SCALE = 12
SHOWN_HERE = frozenset({
    "door_code_old", "door_first", "door_busy", "phone_tickets_enough", "counter_closed_now", "procedure_unknown",
    "ticket_unknown", "other_office",
})  # fmt: skip

Req = Request[Any, Any, Any]


@get("/booking/d/{code:str}", opt=PUBLIC)
async def get_door_code(
    request: Req,
    code: FromPath[str],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
) -> Redirect:
    """The QR code at the door: exchanged for a cookie, and gone from the address at once."""
    if not keys.is_door_code(code, town.code, jst_day(now)):
        return see_other(f"{PATH}?refused=door_code_old")
    cookies = [own_cookie(DOOR_COOKIE, code, secure=secure)]
    if holder_of(request) is None:
        cookies.append(own_cookie(HOLDER_COOKIE, new_link_token(), secure=secure))
    return Redirect(PATH, status_code=303, cookies=cookies, headers={"referrer-policy": "no-referrer"})


@get(PATH, opt=PUBLIC)
async def get_door(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    row: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template:
    """The start: what this phone has today already, what people come for most, and the kana table."""
    async with db.begin(town.code) as session:
        procedures = await list_kiosk_procedures(session, town.code, now=now)
        holder = holder_of(request)
        held = await list_held_tickets(session, town.code, token_hash(holder), now=now) if holder else []
    known = {procedure.row for procedure in procedures}
    chosen = row if row in KANA_ROWS else ""
    shown = [each for each in procedures if each.row == chosen] if chosen else usual_procedures(procedures)
    return page(
        request,
        "door.html",
        at_door=is_at_door(request, keys, town, now=now),
        held=[{"ticket": ticket_of(each), "href": f"/booking/tickets/{each.appointment_id}"} for each in held],
        own=[_draw_own(each) for each in await _list_own(request, db, keys, town, now=now)],
        procedures=shown,
        rows=[{"name": name, "href": f"{PATH}?{urlencode({'row': name})}#found", "is_known": name in known}
              for name in KANA_ROWS],
        chosen=chosen,
        signs="・".join(KANA_ROWS.get(chosen, "")),
        **refusal_words(refused, SHOWN_HERE),
    )  # fmt: skip


@get(f"{PATH}/{{code:str}}", opt=PUBLIC)
async def get_door_procedure(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """A procedure: where it is done, how long people wait there, and the button."""
    try:
        async with db.begin(town.code) as session:
            procedure, counters = await find_counters(session, town.code, code)
            counter = counters[await counter_now(session, town.code, counters, None, now=now)]
            is_open = (await list_open_counters(session, town.code, now=now)).get(counter.code)
            waits = await estimate_public_waits(session, town.code, jst_day(now), now=now)
            queue = (await get_rules(session, town.code)).queue
    except Refusal as refusal:
        return see_other(f"{PATH}?refused={refusal.code}")
    return page(
        request,
        "door_procedure.html",
        at_door=is_at_door(request, keys, town, now=now),
        procedure=procedure,
        where=place_label(counter.place_ja, counter.number, counter.name_ja),
        wait=None if procedure.discreet else waits.get(counter.code),
        is_open=is_open is not None and is_open.now.gives_tickets(last_ticket_min=queue.last_ticket_min, now=now),
    )


@post("/booking/tickets", opt=PUBLIC)
async def post_phone_ticket(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    tries: NamedDependency[CodeTries],
) -> Redirect:
    """A ticket for now. However often it is sent, a phone has one at a counter."""
    fields = await read_form(request)
    holder = holder_of(request)
    if holder is None or not is_at_door(request, keys, town, now=now):
        return see_other(f"{PATH}?refused=door_first")
    if not tries.count_ticket(town.code, network_of_visitor(request)):
        return see_other(f"{PATH}?refused=door_busy")
    order = TakePhoneTicket(municipality=town.code, procedure=fields.get("procedure", ""), holder=holder)
    try:
        moved = await rush.run(db, town.code, lambda session: take_phone_ticket(session, order, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{PATH}?refused={refusal.code}")
    return see_other(f"/booking/tickets/{moved.appointment_id}")


@post("/booking/appointments/{number:str}/check-in", opt=PUBLIC)
async def post_own_check_in(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Whoever stands at the door with an appointment of today is here."""
    fields = await read_form(request)
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    if not is_at_door(request, keys, town, now=now):
        return see_other(f"{PATH}?refused=door_first")
    version = fields.get("version", "")
    if not (version.isascii() and version.isdigit()):
        raise Refusal("form_unreadable", 400)
    # Sent twice, they are here already; or it is not at a counter at all: their page says so.
    if found.channel == "counter" and found.state in ("booked", "no_show"):
        seen = int(version[:VERSION_DIGITS])
        try:
            await rush.run(
                db, town.code, lambda session: check_in_at_door(session, town.code, found.appointment_id, seen, now=now)
            )
        except Refusal as refusal:
            if refusal.code in ("counter_closed_now", "other_office"):
                return see_other(f"{PATH}?refused={refusal.code}")
            # Staff were quicker, or it is another day: its page says so.
            if refusal.code not in ("line_moved", "step_impossible", "not_today"):
                raise
    return see_other(f"/booking/appointments/{found.number}")


@get("/counter/door", guards=[require_role("counter", "manager")])
async def get_poster(
    request: Req, keys: NamedDependency[Keys], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """Today's QR code for the door: to print, or to leave open on a screen there."""
    code = keys.door_code(town.code, jst_day(now))
    address = f"{str(request.base_url).rstrip('/')}/booking/d/{code}"
    qr = segno.make(address, error="m", micro=False).svg_data_uri(scale=POSTER_SCALE, border=QR_BORDER, light=PAPER)
    return page(request, "poster.html", day=jst_day(now), qr=qr)


async def _list_own(request: Req, db: Database, keys: Keys, town: Town, *, now: datetime) -> list[AppointmentView]:
    """The appointments of today that this phone may open, and that wait for nothing but their person."""
    prefix = cookie_name(COOKIE_PREFIX, secure=request.scope["state"]["secure"], path=COOKIE_PATH)
    numbers = {read_number(name.removeprefix(prefix)): value for name, value in request.cookies.items()
               if name.startswith(prefix)}  # fmt: skip
    identity = find_identity(request)
    found: dict[str, AppointmentView] = {}
    async with db.begin(town.code) as session:
        mine = await list_numbers_of_guest(session, town.code, identity.ref, now=now) if identity else []
        for number in list(dict.fromkeys([*mine, *filter(None, numbers)]))[:OWN_MAX]:
            one = await find_appointment(session, town.code, number)
            if one is None or one.kind != "booked" or one.state != "booked" or one.channel != "counter":
                continue
            may_open = number in mine or keys.has_access(numbers[number], town.code, one.appointment_id, now=now)
            if may_open and jst_day(one.starts_at) == jst_day(now):
                found[number] = one
    return sorted(found.values(), key=lambda each: each.starts_at)


def _draw_own(found: AppointmentView) -> dict[str, Any]:
    return {
        "number": found.number,
        "shown": show_number(found.number),
        "starts_at": found.starts_at,
        "where": where_is(found),
        "version": found.version,
    }
