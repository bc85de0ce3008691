"""An appointment, for whoever may open it: what it is, another time, no time, a file for a calendar."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from services.booking import flow
from services.booking.api import examples
from services.booking.api.bodies import Numbered, Version
from services.booking.api.examples import ID
from services.booking.api.opened import OPENED
from services.booking.api.refused import APPOINTMENT, CHANGE, CODE, LONG_SLOT
from services.booking.commands.access import try_code
from services.booking.commands.changes import CancelAppointment, ChangeAppointment, Changed, cancel_appointment
from services.booking.domain.services import Service
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.calendar_file import calendar_answer
from services.booking.pages.opening import access_cookie
from services.booking.pages.tries import CodeTries
from services.booking.queries.appointments import AppointmentView
from services.booking.queries.one_stop import list_linked
from services.booking.queries.slots import Channel
from shared.db import Database
from shared.errors import Refusal
from shared.events.booking import ClosureState, State
from shared.web.addresses import network_of_visitor
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.town import Town

TAGS = ["appointments"]

Req = Request[Any, Any, Any]


class AppointmentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment: nothing of the person.

    `services` are what is done in it, its procedure first; empty: that, once. It takes so many `minutes`. `closure` is
    `asked` when it is closed then and another time is to be chosen, and `staff` when staff see to it. `together` are
    the numbers of all appointments of the same arrival, of whose people (1 …) `person` goes to this one.
    """

    number: str
    state: State
    version: int
    procedure: str
    services: tuple[Service, ...]
    channel: Channel
    counter: str
    starts_at: datetime
    ends_at: datetime
    minutes: int
    fee_yen: int
    bring: tuple[str, ...]
    closure: ClosureState
    together: tuple[str, ...]
    person: int


APPOINTMENT_EXAMPLE = AppointmentAnswer(
    number=examples.NUMBER,
    state="booked",
    version=1,
    procedure=examples.PROCEDURE,
    services=examples.SERVICES,
    channel="counter",
    counter=examples.COUNTER,
    starts_at=examples.STARTS_AT,
    ends_at=examples.ENDS_AT,
    minutes=examples.SERVICES_MIN,
    fee_yen=0,
    bring=("預金通帳",),
    closure="none",
    together=(),
    person=1,
)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The number whose appointment the cookie opens now."""

    number: str


class PostChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move the appointment to this slot."""

    slot_id: UUID
    version: Version


class PostCancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cancel it; with `whole`, all of the arrival that is still to come."""

    version: Version
    whole: bool = False


@post(
    "/booking/api/access",
    tags=TAGS,
    status_code=200,
    opt=PUBLIC
    | documented(
        body=Numbered,
        example={"number": "K4M-7RXA", "code": examples.CODE},
        returns=Opened(number=examples.NUMBER),
        refusals=CODE,
        headers={"Set-Cookie": "Opens this appointment and no other, for twelve hours."},
    ),
)
async def post_access(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
    tries: NamedDependency[CodeTries],
    key: IdempotencyKey = None,  # noqa: ARG001 - it opens what it opened
) -> Response[Opened]:
    """Open an appointment by its number and code.

    Five wrong codes lock the code for 15 minutes; one address has 30 tries in 15 minutes.
    """
    typed = await read_json(request, Numbered)
    if not tries.count(town.code, network_of_visitor(request)):
        raise Refusal("too_many_tries", 429)
    # What a wrong code costs is committed before it is refused.
    async with db.begin(town.code) as session:
        found = await try_code(session, town.code, typed.number, typed.code, keys, now=now)
    if found.outcome == "open" and found.number is not None:
        cookie = access_cookie(keys, town.code, found, secure=secure, now=now)
        return Response(Opened(number=found.number), cookies=[cookie])
    locked_until = found.locked_until
    if found.nobodys is not None:
        locked_until = tries.fail_nobodys(town.code, found.nobodys, now=now)
    if locked_until is not None:
        raise Refusal("code_locked", 429, until=locked_until.isoformat())
    raise Refusal("code_wrong", 403)


@get(
    "/booking/api/appointments/{number:str}",
    tags=TAGS,
    dependencies=OPENED,
    opt=PUBLIC | documented(knows_owner=True, returns=APPOINTMENT_EXAMPLE, refusals=APPOINTMENT),
)
async def get_appointment(
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
) -> AppointmentAnswer:
    """An appointment.

    For whoever has its cookie (`POST /booking/api/access`), and for the visitor who booked it; 404 for all others.
    """
    async with db.begin(town.code) as session:
        linked = await list_linked(session, town.code, found.appointment_id) if found.chain_id is not None else []
    return AppointmentAnswer(
        number=found.number,
        state=found.state,
        version=found.version,
        procedure=found.procedure,
        services=tuple(Service(each.procedure, each.quantity) for each in found.services),
        channel=found.channel,
        counter=found.counter,
        starts_at=found.starts_at,
        ends_at=found.ends_at,
        minutes=found.minutes,
        fee_yen=found.fee_yen,
        bring=found.bring,
        closure=found.closure,
        together=tuple(each.number for each in linked),
        person=next((each.person for each in linked if each.number == found.number), 1),
    )


@post(
    "/booking/api/appointments/{number:str}/change",
    tags=TAGS,
    dependencies=OPENED,
    status_code=200,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        body=PostChange,
        returns=examples.CHANGED,
        example={"slot_id": str(ID), "version": 1},
        refusals=CHANGE | LONG_SLOT | {"same_slot": 409, "chain_broken": 409},
        details=examples.LOST,
    ),
)
async def post_change(
    request: Req,
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,
) -> Changed:
    """Move an appointment to another slot.

    The old place is theirs until the new one is certain. Number and code stay; who was faster leaves `alternatives`.
    """
    wanted = await read_json(request, PostChange)
    order = ChangeAppointment(
        municipality=town.code,
        appointment_id=found.appointment_id,
        slot_id=wanted.slot_id,
        version=wanted.version,
        key=key or f"change:{wanted.slot_id}:{wanted.version}",
        staff=staff_of(find_identity(request)),
    )
    return await flow.change(db, rush, order, now=now)


@post(
    "/booking/api/appointments/{number:str}/cancel",
    tags=TAGS,
    dependencies=OPENED,
    status_code=200,
    opt=PUBLIC
    | documented(knows_owner=True, body=PostCancel, example={"version": 1}, returns=examples.CHANGED, refusals=CHANGE),
)
async def post_cancel(
    request: Req,
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,
) -> Changed:
    """Cancel an appointment.

    Its place is free at once.
    """
    wanted = await read_json(request, PostCancel)
    order = CancelAppointment(
        municipality=town.code,
        appointment_id=found.appointment_id,
        version=wanted.version,
        key=key or f"cancel:{wanted.version}:{wanted.whole}",
        staff=staff_of(find_identity(request)),
        whole=wanted.whole,
    )
    return await rush.run(db, town.code, lambda session: cancel_appointment(session, order, now=now))


@get(
    "/booking/api/appointments/{number:str}/calendar.ics",
    tags=TAGS,
    dependencies=OPENED,
    opt=PUBLIC | documented(knows_owner=True, refusals=APPOINTMENT, answer="text/calendar"),
)
async def get_calendar(
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
) -> Response[bytes]:
    """The appointment for a calendar (RFC 5545).

    The same UID for ever, and a SEQUENCE that rises with every change.
    """
    return await calendar_answer(db, town, found)
