"""From the pass to the appointment: a visit, the place that it holds, and booking it."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.booking import flow
from services.booking.api import examples
from services.booking.api.bodies import OfVisit
from services.booking.api.examples import ID
from services.booking.api.refused import BOOK, LONG_SLOT, VISIT
from services.booking.commands.appointments import BookAppointment, Booked
from services.booking.commands.holds import Hold, HoldPlace
from services.booking.commands.visits import arrive, release_hold
from services.booking.domain.services import Service
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.queries.one_stop import list_errands
from services.booking.queries.slots import Channel
from services.booking.queries.visits import HeldSlot, get_visit
from shared.db import Database
from shared.passes import open_pass
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.identity import require_visitor, staff_of
from shared.web.town import Town

PASS_ISSUER, PASS_PURPOSE = "routing", "book"
PASS_MAX_LENGTH = 20_000


class PostVisit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pass, as routing's page gave it to this visitor."""

    sealed: Annotated[
        str,
        msgspec.Meta(pattern=f"^[!-~]{{1,{PASS_MAX_LENGTH}}}$", description="The field `pass` of routing's form."),
    ] = msgspec.field(name="pass")


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """One of several procedures of a visit. `minutes` as the town says; `after` are those that come first."""

    procedure: str
    counters: tuple[str, ...]
    minutes: int
    after: tuple[str, ...]


class VisitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A visit: what is to be booked, and how far it is. Nothing of the person.

    `services` are what is done in its one appointment, its procedure first, and `minutes` how long that takes in one
    piece; empty and null: its procedure, once. `held` is what it holds, if it still does; `errands` are there when it
    is for several procedures. `number` is the appointment that it became, and `code` opens that together with the
    number; it is told for an hour.
    """

    visit_id: UUID
    procedure: str
    channel: Channel
    services: tuple[Service, ...]
    minutes: int | None
    expires_at: datetime
    held: HeldSlot | None
    errands: tuple[Errand, ...]
    number: str | None
    code: str | None


VISIT_EXAMPLE = VisitAnswer(
    visit_id=ID,
    procedure=examples.PROCEDURE,
    channel="counter",
    services=examples.SERVICES,
    minutes=examples.SERVICES_MIN,
    expires_at=examples.NOW + timedelta(hours=1),
    held=examples.HELD,
    errands=(),
    number=None,
    code=None,
)


class PostHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold a place of this slot for this visit."""

    slot_id: UUID
    visit_id: UUID


@post(
    "/booking/api/visits",
    guards=[require_visitor],
    tags=["visits"],
    opt=documented(
        body=PostVisit,
        example={"pass": "the-field-of-routings-form"},
        returns=OfVisit(ID),
        refusals={"pass_invalid": 400, "pass_expired": 410, "pass_used": 409, "subject_erased": 410},
    ),
)
async def post_visit(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,  # noqa: ARG001 - a pass makes one visit, however often it is brought
) -> OfVisit:
    """Bring a pass.

    It is opened once, into a visit that lives for an hour; the same visitor bringing it again gets the same visit.
    """
    brought = await read_json(request, PostVisit)
    ticket = open_pass(keys.box, PASS_ISSUER, PASS_PURPOSE, brought.sealed, municipality=town.code, now=now)
    async with db.begin(town.code) as session:
        return OfVisit(await arrive(session, ticket, identity.ref, keys, staff=staff_of(identity), now=now))


@get(
    "/booking/api/visits/{visit_id:str}",
    guards=[require_visitor],
    tags=["visits"],
    opt=documented(returns=VISIT_EXAMPLE, refusals={"visit_unknown": 404}),
)
async def get_visit_answer(
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> VisitAnswer:
    """A visit of one's own, and what it holds."""
    async with db.begin(town.code) as session:
        found = await get_visit(session, town.code, _visit_id(visit_id), identity.ref, keys)
        errands = await list_errands(session, town.code, found.visit_id)
    return VisitAnswer(
        visit_id=found.visit_id,
        procedure=found.procedure,
        channel=found.channel,
        services=found.services,
        minutes=found.minutes,
        expires_at=found.expires_at,
        held=found.held if found.held is not None and found.held.is_live(now) else None,
        errands=tuple(
            Errand(procedure=each.procedure, counters=each.counters, minutes=each.minutes, after=each.after)
            for each in errands
        ),
        number=found.number,
        code=found.code,
    )


@post(
    "/booking/api/holds",
    guards=[require_visitor],
    tags=["holds"],
    opt=documented(
        example={"slot_id": str(ID), "visit_id": str(ID)},
        returns=examples.HOLD,
        refusals=VISIT | LONG_SLOT,
        details=examples.LOST,
    ),
)
async def post_hold(
    data: JSONBody[PostHold],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> Hold:
    """Hold a place.

    It is kept until `held_until`, some minutes, and nobody else can take it. A visit holds one place: another hold
    gives the first one back. Whoever lost the place is told the nearest `alternatives`.
    """
    order = HoldPlace(
        municipality=town.code,
        visit_id=data.visit_id,
        visitor=identity.ref,
        slot_id=data.slot_id,
        key=key or f"hold:{data.slot_id}",
        staff=staff_of(identity),
    )
    return await flow.hold(db, rush, order, now=now)


@delete(
    "/booking/api/visits/{visit_id:str}/hold",
    guards=[require_visitor],
    tags=["holds"],
    opt=documented(refusals={"visit_unknown": 404}),
)
async def delete_hold(
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> None:
    """Give back what a visit holds.

    The place is free for others at once. A visit that holds nothing loses nothing.
    """
    async with db.begin(town.code) as session:
        await release_hold(session, town.code, _visit_id(visit_id), identity.ref, staff=staff_of(identity), now=now)


@post(
    "/booking/api/appointments",
    guards=[require_visitor],
    tags=["appointments"],
    opt=documented(
        example={"visit_id": str(ID)},
        returns=examples.BOOKED,
        refusals=BOOK | {"slot_taken": 409},
        details=examples.LOST,
    ),
)
async def post_appointment(
    data: JSONBody[OfVisit],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> Booked:
    """Book what a visit holds.

    A visit makes one appointment: sent again, it is the same one. Its code stands in the visit for an hour. With a
    helper it may be that nobody can come any more: then the place is lost, with `alternatives`.
    """
    order = BookAppointment(
        municipality=town.code,
        visit_id=data.visit_id,
        visitor=identity.ref,
        key=key or "book",
        staff=staff_of(identity),
    )
    return await flow.book(db, rush, order, keys, now=now)


def _visit_id(text: str) -> UUID:
    return parse_uuid(text, code="visit_unknown")
