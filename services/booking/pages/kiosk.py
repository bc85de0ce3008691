"""`/kiosk`: the ticket machine in the lobby. A ticket for now, or a time later today; nobody says who they are.

Staff sign it in each morning with an account that may do nothing else. After a minute without a touch it is at its
start again, in Japanese, for the next person.
"""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import segno
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.commands.kiosk import BookAtKiosk, book_at_kiosk, take_ticket_at_kiosk
from services.booking.commands.walk_ins import TakeWalkIn, find_counters
from services.booking.domain.kiosk import KANA_ROWS
from services.booking.domain.line import ticket_of
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.appointments import PAPER, QR_BORDER, QR_SCALE
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import counter_label, place_label, where_is
from services.booking.queries.appointments import AppointmentView, find_appointment_by_id, find_town_facts
from services.booking.queries.counter_days import counter_now
from services.booking.queries.kiosk import (
    find_line_ahead,
    list_kiosk_procedures,
    list_kiosk_times,
    usual_procedures,
    was_just_given,
)
from services.booking.queries.rules import get_rules
from services.booking.queries.services import outlasts_slots
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import SOURCE
from shared.web.identity import require_role
from shared.web.language import language_path
from shared.web.pages import page, see_other
from shared.web.town import Town

ROOT = "/kiosk"
GUARDS = [require_role("kiosk")]
# Nobody touched it for so long: whoever was there has gone.
BACK_AFTER = timedelta(seconds=60)
# The times that come next; who wants a later one asks at a counter.
TIMES_SHOWN_MAX = 12
SHOWN_HERE = frozenset({
    "slot_taken", "slot_unknown", "slot_unfit", "slot_too_soon", "slot_too_far", "slot_closed", "kiosk_full",
    "counter_closed_now", "key_reused", "key_unreadable", "procedure_unknown", "tickets_not_yet", "tickets_over",
})  # fmt: skip

Req = Request[Any, Any, Any]


@get(ROOT, guards=GUARDS)
async def get_kiosk(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    row: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template:
    """The start: what people come for most, and the rows of the kana table; with `row`, what begins with one."""
    async with db.begin(town.code) as session:
        procedures = await list_kiosk_procedures(session, town.code, now=now)
    known = {procedure.row for procedure in procedures}
    chosen = row if row in KANA_ROWS else ""
    shown = [each for each in procedures if each.row == chosen] if chosen else usual_procedures(procedures)
    return page(
        request,
        "kiosk.html",
        procedures=shown,
        rows=[{"name": name, "href": f"{ROOT}?{urlencode({'row': name})}", "is_known": name in known}
              for name in KANA_ROWS],
        chosen=chosen,
        signs="・".join(KANA_ROWS.get(chosen, "")),
        **_frame(),
        **refusal_words(refused, SHOWN_HERE),
    )  # fmt: skip


@get(f"{ROOT}/procedures/{{code:str}}", guards=GUARDS)
async def get_kiosk_procedure(
    request: Req,
    code: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """A procedure: a ticket for now, with how long it takes, or one of today's times."""
    try:
        async with db.begin(town.code) as session:
            procedure, counters = await find_counters(session, town.code, code)
            counter = counters[await counter_now(session, town.code, counters, identity.office, now=now)]
            ahead = await find_line_ahead(session, town.code, procedure, counter.code, now=now)
            policy = (await get_rules(session, town.code)).policy
            # What takes longer than a slot is booked at the desk.
            in_one = [] if await outlasts_slots(session, town.code, code) else list(counters)
            times = await list_kiosk_times(session, town.code, in_one, policy, now=now)
    except Refusal as refusal:
        return see_other(f"{ROOT}?refused={refusal.code}")
    return page(
        request,
        "kiosk_procedure.html",
        procedure=procedure,
        where=place_label(counter.place_ja, counter.number, counter.name_ja),
        ahead=ahead,
        times=[
            {
                "slot_id": slot.slot_id,
                "starts_at": slot.starts_at,
                "where": counter_label(counters[slot.counter].number, counters[slot.counter].name_ja)
                if len(counters) > 1
                else None,
            }
            for slot in times[:TIMES_SHOWN_MAX]
        ],
        key=str(uuid4()),
        **_frame(),
        **refusal_words(refused, SHOWN_HERE),
    )


@get([f"{ROOT}/tickets", f"{ROOT}/appointments"], guards=GUARDS)
async def get_kiosk_address() -> Redirect:
    """Where forms are sent, opened as a page: by the way back from signing in."""
    return see_other(ROOT)


@post(f"{ROOT}/tickets", guards=GUARDS)
async def post_kiosk_ticket(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """A ticket for now."""
    fields = await read_form(request)
    order = TakeWalkIn(procedure=fields.get("procedure", ""), key=_key(fields))
    try:
        moved = await rush.run(
            db, town.code, lambda session: take_ticket_at_kiosk(session, identity, order, now=now)
        )  # fmt: skip
    except Refusal as refusal:
        return _refused(refusal, order.procedure)
    return see_other(f"{ROOT}/tickets/{moved.appointment_id}")


@post(f"{ROOT}/appointments", guards=GUARDS)
async def post_kiosk_appointment(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """A time later today."""
    fields = await read_form(request)
    procedure = fields.get("procedure", "")
    try:
        order = BookAtKiosk(
            procedure=procedure, slot_id=parse_uuid(fields.get("slot", ""), code="slot_unknown"), key=_key(fields)
        )
        booked = await rush.run(
            db, town.code, lambda session: book_at_kiosk(session, identity, order, keys, now=now)
        )  # fmt: skip
    except Refusal as refusal:
        return _refused(refusal, procedure)
    return see_other(f"{ROOT}/appointments/{booked.appointment_id}")


@get(f"{ROOT}/tickets/{{appointment_id:str}}", guards=GUARDS)
async def get_kiosk_ticket(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """The ticket to print: for a moment, on the machine that gave it."""
    async with db.begin(town.code) as session:
        found = await _find_given(session, town, identity, appointment_id, "walk_in", now=now)
    ticket = ticket_of(found) if found is not None else None
    if found is None or ticket is None:
        return see_other(ROOT)
    return page(
        request,
        "kiosk_ticket.html",
        ticket=ticket,
        appointment=found,
        where=where_is(found),
        **_frame(),
    )


@get(f"{ROOT}/appointments/{{appointment_id:str}}", guards=GUARDS)
async def get_kiosk_slip(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """The slip to print, with number and code: for a moment, on the machine that gave it."""
    async with db.begin(town.code) as session:
        found = await _find_given(session, town, identity, appointment_id, "booked", now=now)
        facts = await find_town_facts(session, town.code)
    if found is None or found.state != "booked":
        return see_other(ROOT)
    return page(
        request,
        "kiosk_slip.html",
        appointment=found,
        number=show_number(found.number),
        where=where_is(found),
        code=keys.kiosk_code(found.appointment_id),
        find_at=f"{request.base_url.netloc}/booking/find",
        facts=facts,
        qr=segno.make(found.number, error="m", micro=False).svg_data_uri(
            scale=QR_SCALE, border=QR_BORDER, light=PAPER
        ),
        linked=[],
        **_frame(),
    )  # fmt: skip


async def _find_given(
    session: Any, town: Town, identity: Identity, typed: str, kind: str, *, now: datetime
) -> AppointmentView | None:
    wanted = parse_uuid(typed, code="appointment_unknown")
    if not await was_just_given(session, town.code, identity.ref, wanted, kind, now=now):
        return None
    return await find_appointment_by_id(session, town.code, wanted)


def _frame() -> dict[str, Any]:
    """What every page of the machine has: the way back to its start, in Japanese again, and when it is taken."""
    start = f"{language_path('booking')}?{urlencode({'to': SOURCE.code, 'next': ROOT})}"
    return {"start_href": start, "back_after_s": int(BACK_AFTER.total_seconds())}


def _refused(refusal: Refusal, procedure: str) -> Redirect:
    if refusal.code not in SHOWN_HERE:
        raise refusal
    if not (procedure.isascii() and procedure.replace("_", "").replace("-", "").isalnum()):
        return see_other(f"{ROOT}?refused={refusal.code}")
    return see_other(f"{ROOT}/procedures/{procedure}?refused={refusal.code}")


def _key(fields: dict[str, str]) -> str:
    return fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or str(uuid4())
