"""`/booking/tickets/{id}`: a ticket on the own phone. The place in the line, live; and what can be done with it."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.phone_tickets import STEP_OUT, come_back, give_back_ticket, step_out
from services.booking.domain.line import ticket_of
from services.booking.flow import Rush
from services.booking.pages.at_door import call_mark, holder_of
from services.booking.pages.door import PATH as DOOR
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import short_counter_label, where_is
from services.booking.queries.appointments import find_appointment_by_id
from services.booking.queries.place import find_held_ticket, find_place
from shared.crypto import token_hash
from shared.db import Database
from shared.errors import Refusal
from shared.web.forms import parse_uuid
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town

DO = {"give-back": give_back_ticket, "step-out": step_out, "back": come_back}
SHOWN_HERE = frozenset({"ticket_moved_on", "stepped_out_already"})

Req = Request[Any, Any, Any]


@get("/booking/tickets/{appointment_id:str}", opt=PUBLIC)
async def get_phone_ticket(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """Number, place, about how long; or where to go now. For the phone that took it, on its day."""
    wanted, holder = parse_uuid(appointment_id, code="ticket_unknown"), holder_of(request)
    if holder is None:
        return see_other(f"{DOOR}?refused=ticket_unknown")
    async with db.begin(town.code) as session:
        held = await find_held_ticket(session, town.code, wanted, token_hash(holder), now=now)
        found = await find_appointment_by_id(session, town.code, wanted) if held else None
        place = await find_place(session, town.code, wanted, found.counter, now=now) if found else None
    if held is None or found is None:
        return see_other(f"{DOOR}?refused=ticket_unknown")
    return page(
        request,
        "phone_ticket.html",
        base=f"/booking/tickets/{wanted}",
        ticket=ticket_of(held),
        state=held.state,
        is_out=held.is_out,
        is_aside=held.parked_at is not None and not held.is_out,
        can_step_out=held.stepped_out_at is None,
        back_at=held.back_at,
        out_min=int(STEP_OUT.total_seconds()) // 60,
        place=place,
        called=call_mark(found.called_at) if held.state == "called" else "",
        discreet=found.discreet,
        counter=short_counter_label(found.counter_number or found.counter_name),
        where=where_is(found),
        taken_at=found.starts_at,
        **refusal_words(refused, SHOWN_HERE),
    )


@post("/booking/tickets/{appointment_id:str}/{action:str}", opt=PUBLIC)
async def post_phone_ticket_action(
    request: Req,
    appointment_id: FromPath[str],
    action: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Give it back, step out for a moment, or be back sooner."""
    wanted, holder, do = parse_uuid(appointment_id, code="ticket_unknown"), holder_of(request), DO.get(action)
    if do is None:
        raise Refusal("not_found", 404)
    if holder is None:
        raise Refusal("ticket_unknown", 404)
    path = f"/booking/tickets/{wanted}"
    try:
        await rush.run(db, town.code, lambda session: do(session, town.code, wanted, holder, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{path}?refused={refusal.code}")
    return see_other(path)
