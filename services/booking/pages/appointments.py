"""The appointment's own page: number and code, QR, and the slip to print."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import segno
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.chain_offers import find_chain_offer
from services.booking.commands.offers import find_offer
from services.booking.domain.line import ticket_of
from services.booking.keys import Keys
from services.booking.pages.at_door import call_mark, is_at_door
from services.booking.pages.changes import REFUSED_HERE, check_not_too_late, read_linked
from services.booking.pages.one_stop import draw_chain
from services.booking.pages.opening import ask_for_code, open_appointment
from services.booking.pages.visits import refusal_words
from services.booking.pages.waitlist import say_window
from services.booking.pages.wording import closing_reason, place_label, short_counter_label, where_is
from services.booking.queries.appointments import AppointmentView, find_town_facts
from services.booking.queries.closings import find_own_closure
from services.booking.queries.one_stop import list_movable
from services.booking.queries.place import find_place
from services.booking.queries.slots import list_counters
from services.booking.queries.visits import VisitView, get_visit
from services.booking.queries.waitlist import find_window
from services.booking.tables import outbox
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.passes import (
    CASE_OPENING_LIFETIME,
    PASS_LIFETIME,
    CaseOpening,
    ContactOpening,
    seal_case_opening,
    seal_contact_opening,
)
from shared.reference_number import show_number
from shared.web.identity import PUBLIC, RenewSession, find_identity, staff_of, token_of
from shared.web.pages import page
from shared.web.town import Town

QR_BORDER = 2
QR_SCALE = 8
# While the line may move somebody, on the day itself.
LIVE = frozenset({"booked", "checked_in", "called", "serving"})
# Its own paper: with forced colours the page behind it may be black.
PAPER = "#fff"

Req = Request[Any, Any, Any]


@get("/booking/appointments/{number:str}", opt=PUBLIC)
async def get_appointment_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    changed: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """Number, QR, when and where, and what can be done. The code, too, while the visit that booked still lives."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    return page(
        request,
        "appointment.html",
        **await _details(request, found, db, keys, town, now=now),
        notices_late=await _are_notices_late(db, town, found, now=now),
        ticket=ticket_of(found),
        counter=short_counter_label(found.counter_number or found.counter_name),
        changed=bool(changed),
        **refusal_words(refused, REFUSED_HERE),
        can_change=await _can_change(db, town, found, now=now),
        **await _offered(db, town, found, now=now),
        is_past=jst_day(found.starts_at) < jst_day(now),
        is_live=found.state in LIVE and jst_day(found.starts_at) == jst_day(now),
        **await _arrived(request, found, db, keys, town, now=now),
    )


@get("/booking/appointments/{number:str}/slip", opt=PUBLIC)
async def get_slip_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """The slip to print. Its QR code holds the number, not the code. A booking that is over has none."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    return page(request, "slip.html", **await _details(request, found, db, keys, town, now=now))


@get("/booking/appointments/{number:str}/qr.svg", opt=PUBLIC)
async def get_qr(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Response[bytes] | Redirect:
    """The number as a QR code."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    svg = segno.make(found.number, error="m", micro=False).svg_inline(scale=QR_SCALE, border=QR_BORDER, light=PAPER)
    body = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return Response(body.encode(), media_type="image/svg+xml")


async def _details(
    request: Req, found: AppointmentView, db: Database, keys: Keys, town: Town, *, now: datetime
) -> dict[str, Any]:
    identity, token = find_identity(request), token_of(request)
    visit = None
    async with db.begin(town.code) as session:
        facts = await find_town_facts(session, town.code)
        if found.visit_id is not None and identity is not None and identity.ref == found.guest_ref:
            visit = await _find_visit(session, town, found.visit_id, identity.ref, keys)
        elif found.visit_id is not None and token and token.is_expired(now) and token.identity.ref == found.guest_ref:
            # Their cookie opens the page, but the code is shown to themselves only: perhaps they are about to print it.
            own = await _find_visit(session, town, found.visit_id, found.guest_ref, keys)
            if own is not None and own.code is not None:
                raise RenewSession
    linked = await read_linked(db, town, found)
    is_owner = identity is not None and identity.ref == found.guest_ref
    qr = segno.make(found.number, error="m", micro=False).svg_data_uri(scale=QR_SCALE, border=QR_BORDER, light=PAPER)
    return {
        "appointment": found,
        "number": show_number(found.number),
        "where": where_is(found),
        "is_owner": is_owner,
        "code": visit.code if visit else None,
        # Whoever began the case can write its form before coming, on a page of routing's.
        "own_case": found.case_id if is_owner else None,
        # Staff booked it for somebody, to whom they say or give this now.
        "given_to_staff": visit.behalf if visit else None,
        "find_at": f"{request.base_url.netloc}/booking/find",
        "facts": facts,
        "qr": qr,
        "linked": linked,
        "opening": _open_case(found, keys, town, now=now),
        "notices_opening": _open_notices(found, keys, town, now=now)
        if is_owner and staff_of(identity) is None
        else None,
    }


async def _arrived(
    request: Req, found: AppointmentView, db: Database, keys: Keys, town: Town, *, now: datetime
) -> dict[str, Any]:
    """For who is here: their place in the line; or, at the door, that they may say so themselves."""
    is_today = jst_day(found.starts_at) == jst_day(now) and found.channel == "counter"
    place = None
    if is_today and found.state == "checked_in":
        async with db.begin(town.code) as session:
            place = await find_place(session, town.code, found.appointment_id, found.counter, now=now)
    at_door = is_today and found.state == "booked" and is_at_door(request, keys, town, now=now)
    called = call_mark(found.called_at) if is_today and found.state == "called" else ""
    return {"place": place, "can_check_in": at_door, "called": called}


def _open_case(found: AppointmentView, keys: Keys, town: Town, *, now: datetime) -> str | None:
    """What opens the thread of its case at routing, for whoever may see this page."""
    if found.case_id is None:
        return None
    opening = CaseOpening(municipality=town.code, case_id=found.case_id, expires_at=now + CASE_OPENING_LIFETIME)
    return seal_case_opening(keys.box, opening)


def _open_notices(found: AppointmentView, keys: Keys, town: Town, *, now: datetime) -> str | None:
    """What opens how its notices come at notifications: for whoever booked it themselves. A link or a code does not,
    relays have them too."""
    if found.contact_ref is None:
        return None
    opening = ContactOpening(
        municipality=town.code,
        contact_ref=found.contact_ref,
        back=f"/booking/appointments/{found.number}",
        expires_at=now + PASS_LIFETIME,
    )
    return seal_contact_opening(keys.box, opening)


async def _are_notices_late(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> bool:
    """Whether somebody who is to be written to waits longer than they should."""
    if found.reach == "none":
        return False
    async with db.begin(town.code) as session:
        return await outbox.is_late(session, town.code, "notifications", now=now)


async def _find_visit(session: Any, town: Town, visit_id: UUID, visitor: str, keys: Keys) -> VisitView | None:
    try:
        return await get_visit(session, town.code, visit_id, visitor, keys)
    except Refusal:
        return None


async def _can_change(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> bool:
    try:
        await check_not_too_late(db, town, found, now=now)
    except Refusal:
        return False
    return True


async def _offered(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> dict[str, Any]:
    """Why a closing covers it or another of its arrival, and what is kept instead; or the earlier time they want."""
    if found.state != "booked":
        return {"closed": None, "offer": None, "chain_offer": None, "earlier": None, "waits_for": ""}
    async with db.begin(town.code) as session:
        closed = await find_own_closure(session, town.code, found.appointment_id)
        offer, together, errands = None, None, []
        if found.chain_id is None:
            offer = await find_offer(session, town.code, found.appointment_id, now=now)
        else:
            together = await find_chain_offer(session, town.code, found.chain_id, now=now)
        window = await find_window(session, town.code, found.appointment_id, now=now)
        counters = await list_counters(session, town.code) if offer or together else {}
        if together:
            errands = await list_movable(session, town.code, found.appointment_id, now=now)
    place = counters.get(offer.counter) if offer else None
    return {
        "closed": {"reason": closing_reason(closed.reason), "note": closed.note_ja} if closed else None,
        "offer": offer if offer and offer.cause == "closing" else None,
        "offer_where": place_label(place.place_ja, place.number, place.name_ja) if place else "",
        "earlier": offer if offer and offer.cause == "waiting" else None,
        "waits_for": say_window(window),
        "chain_offer": draw_chain(together.chain, errands, counters) | {"until": together.until} if together else None,
        "key": str(uuid4()),
    }
