"""JSON under `/booking/api`: the same commands as the pages."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from services.booking import flow
from services.booking.commands.appointments import BookAppointment, Booked
from services.booking.commands.holds import Hold, HoldPlace
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.opening import find_open_appointment
from services.booking.queries.free import DAYS_MAX
from services.booking.queries.rules import get_rules
from services.booking.queries.runs import Need
from services.booking.queries.services import outlasts_slots
from services.booking.queries.slots import Channel, OpenSlot, find_procedure, list_slots
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.events.booking import State
from shared.tokens import Identity
from shared.web.identity import PUBLIC, require_visitor, staff_of
from shared.web.town import Town

CODE_MAX_LENGTH = 20


class PostHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold a place of this slot for this visit."""

    slot_id: UUID
    visit_id: UUID


class PostAppointment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Book what this visit holds."""

    visit_id: UUID


class AppointmentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment: nothing of the person."""

    number: str
    state: State
    version: int
    procedure: str
    counter: str
    starts_at: datetime
    ends_at: datetime


@post("/booking/api/holds", guards=[require_visitor])
async def post_hold(
    request: Request[Any, Any, Any],
    data: JSONBody[PostHold],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Hold:
    """201 with the hold; 409 with alternatives for who lost the place."""
    order = HoldPlace(
        municipality=town.code,
        visit_id=data.visit_id,
        visitor=identity.ref,
        slot_id=data.slot_id,
        key=_key(request, f"hold:{data.slot_id}"),
        staff=staff_of(identity),
    )
    return await flow.hold(db, rush, order, now=now)


@post("/booking/api/appointments", guards=[require_visitor])
async def post_appointment(
    request: Request[Any, Any, Any],
    data: JSONBody[PostAppointment],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Booked:
    """201 with the appointment, the same one however often it is sent."""
    order = BookAppointment(
        municipality=town.code,
        visit_id=data.visit_id,
        visitor=identity.ref,
        key=_key(request, "book"),
        staff=staff_of(identity),
    )
    return await flow.book(db, rush, order, keys, now=now)


@get("/booking/api/slots", opt=PUBLIC)
async def get_slots(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    procedure: Annotated[str, QueryParameter(name="procedure", max_length=CODE_MAX_LENGTH)],
    first: Annotated[date | None, QueryParameter(name="from")] = None,
    days: Annotated[int, QueryParameter(name="days", ge=1, le=DAYS_MAX)] = 31,
    channel: Annotated[Channel, QueryParameter(name="channel")] = "counter",
    counter: Annotated[str, QueryParameter(name="counter", max_length=CODE_MAX_LENGTH)] = "",
) -> list[OpenSlot]:
    """The bookable slots of a procedure, free or full: at all its counters (or venues, with a helper), or at one."""
    async with db.begin(town.code) as session:
        known = await find_procedure(session, town.code, procedure, channel)
        if known is None:
            raise Refusal("procedure_unknown", 404)
        counters = [code for code in known.counters if counter in ("", code)]
        policy = known.policy((await get_rules(session, town.code)).policy)
        start = max(first or jst_day(now), jst_day(now))
        last = min(start, date.max - timedelta(days=DAYS_MAX)) + timedelta(days=days - 1)
        outlasts = channel == "counter" and await outlasts_slots(session, town.code, procedure)
        need = Need(minutes=known.minutes) if outlasts else None
        return await list_slots(session, town.code, counters, policy, first=start, last=last, need=need, now=now)


@get("/booking/api/appointments/{number:str}", opt=PUBLIC)
async def get_appointment(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Response[AppointmentAnswer]:
    """The appointment that the access cookie opens; 404 for every other."""
    found = await find_open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        raise Refusal("appointment_unknown", 404)
    answer = AppointmentAnswer(**{name: getattr(found, name) for name in AppointmentAnswer.__struct_fields__})
    return Response(answer)


def _key(request: Request[Any, Any, Any], otherwise: str) -> str:
    """The client's idempotency key. Safe without one, too: a visit makes one appointment and one hold of a slot."""
    return request.headers.get("idempotency-key", otherwise)
