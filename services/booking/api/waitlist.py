"""Waiting for an earlier time: what an appointment's owner waits for, waiting for it, and stopping."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from litestar import Request, delete, get, put
from litestar.di import NamedDependency

from services.booking.api import examples
from services.booking.api.bodies import Code
from services.booking.api.opened import OPENED
from services.booking.api.refused import APPOINTMENT, WAIT
from services.booking.commands.waitlist import JoinWaitlist, join_waitlist, leave_waitlist
from services.booking.domain.waitlist import WEEKDAYS, Part, Window
from services.booking.flow import Rush
from services.booking.queries.appointments import AppointmentView
from services.booking.queries.slots import find_procedure
from services.booking.queries.waitlist import find_window
from shared.db import Database
from shared.errors import Refusal
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.town import Town

TAGS = ["waiting for an earlier time"]
PATH = "/booking/api/appointments/{number:str}/waiting"

Req = Request[Any, Any, Any]
Weekday = Annotated[int, msgspec.Meta(ge=min(WEEKDAYS), le=max(WEEKDAYS))]


class PutWaiting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Wait for a time on these days (both ends count, up to the appointment's own), ISO weekdays, and part of the day.

    `counter`: at this counter or venue only; null, wherever the procedure can be done.
    """

    first_day: date
    last_day: date
    weekdays: Annotated[tuple[Weekday, ...], msgspec.Meta(min_length=1, max_length=len(WEEKDAYS))] = WEEKDAYS
    part: Part = "any"
    counter: Code | None = None


class WaitingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner of an appointment waits for; null when they do not, or when its last day is over."""

    window: Window | None


WAITING_EXAMPLE = WaitingAnswer(
    window=Window(first_day=examples.NOW.date(), last_day=examples.DAY, weekdays=WEEKDAYS, part="morning", counter=None)
)


@get(
    PATH,
    tags=TAGS,
    dependencies=OPENED,
    opt=PUBLIC | documented(knows_owner=True, returns=WAITING_EXAMPLE, refusals=APPOINTMENT),
)
async def get_waiting(
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> WaitingAnswer:
    """For which earlier times the owner of an appointment waits."""
    return await _answer(db, town, found, now=now)


@put(
    PATH,
    tags=TAGS,
    dependencies=OPENED,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        body=PutWaiting,
        example={"first_day": "2026-12-01", "last_day": "2026-12-07", "part": "morning"},
        returns=WAITING_EXAMPLE,
        refusals=WAIT,
    ),
)
async def put_waiting(
    request: Req,
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,
) -> WaitingAnswer:
    """Wait for an earlier time, or for another one than before.

    What comes free is kept for the first in line, and told as every notice; `…/offer` shows it. Whoever changes what
    they wait for keeps their place in the line.
    """
    wanted = await read_json(request, PutWaiting)
    async with db.begin(town.code) as session:
        procedure = await find_procedure(session, town.code, found.procedure, found.channel)
    # The page offers no others.
    if wanted.counter not in (None, found.counter, *(procedure.counters if procedure else ())):
        raise Refusal("waiting_window", 400)
    order = JoinWaitlist(
        municipality=town.code,
        appointment_id=found.appointment_id,
        window=Window(
            first_day=wanted.first_day,
            last_day=wanted.last_day,
            weekdays=tuple(sorted(set(wanted.weekdays))),
            part=wanted.part,
            counter=wanted.counter,
        ),
        # The same wish after another one, or after stopping, is meant again.
        key=key or f"wait:{uuid4()}",
        staff=staff_of(find_identity(request)),
    )
    await rush.run(db, town.code, lambda session: join_waitlist(session, order, now=now))
    return await _answer(db, town, found, now=now)


@delete(PATH, tags=TAGS, dependencies=OPENED, opt=PUBLIC | documented(knows_owner=True, refusals=APPOINTMENT))
async def delete_waiting(
    request: Req,
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> None:
    """Wait no more.

    The appointment stays; an earlier time that is kept for it is the next person's. Sent again, nothing happens.
    """
    mine, staff = found.appointment_id, staff_of(find_identity(request))
    await rush.run(db, town.code, lambda session: leave_waitlist(session, town.code, mine, staff=staff, now=now))


async def _answer(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> WaitingAnswer:
    async with db.begin(town.code) as session:
        return WaitingAnswer(window=await find_window(session, town.code, found.appointment_id, now=now))
