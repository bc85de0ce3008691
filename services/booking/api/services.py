"""What is done in the one appointment of a visit: what can be chosen, and choosing it."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.booking.api import examples
from services.booking.api.bodies import Code
from services.booking.api.refused import SERVICES, VISIT
from services.booking.commands.services import ChooseServices, choose_services
from services.booking.domain.services import MINUTES_MAX, SERVICES_MAX, Service
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.queries.one_stop import list_errands
from services.booking.queries.services import list_choices, list_offered
from services.booking.queries.visits import get_visit
from shared.db import Database
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.identity import require_visitor, staff_of
from shared.web.town import Town

TAGS = ["several in one appointment"]
PATH = "/booking/api/visits/{visit_id:str}/services"

Req = Request[Any, Any, Any]


class ServiceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A procedure, and how many of it."""

    procedure: Code
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MINUTES_MAX)] = 1


class PutServices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is to be done in the one appointment; the visit's own procedure comes first."""

    services: Annotated[list[ServiceBody], msgspec.Meta(min_length=1, max_length=SERVICES_MAX)]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure that can be done in the appointment.

    Up to `quantity_max` of it, counted by `unit`; the first takes so many `minutes`, each more `more_min`. `chosen` of
    it so far.
    """

    procedure: str
    counters: tuple[str, ...]
    minutes: int
    more_min: int
    quantity_max: int
    unit: str
    chosen: int


class ServicesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What can be chosen, the visit's own procedure first, and what is (`services`; empty: that procedure, once).

    `minutes` is the time that is needed in one piece; null: one slot as it is. Without `choices` there is no choice.
    """

    choices: list[Choice]
    services: tuple[Service, ...]
    minutes: int | None


SERVICES_EXAMPLE = ServicesAnswer(
    choices=[
        Choice(
            procedure=examples.PROCEDURE,
            counters=(examples.COUNTER,),
            minutes=30,
            more_min=20,
            quantity_max=4,
            unit="人分",
            chosen=2,
        )
    ],
    services=examples.SERVICES,
    minutes=examples.SERVICES_MIN,
)


@get(
    PATH,
    guards=[require_visitor],
    tags=TAGS,
    opt=documented(returns=SERVICES_EXAMPLE, refusals={"visit_unknown": 404}),
)
async def get_services(
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> ServicesAnswer:
    """What can be done in the one appointment of a visit.

    Nothing can be chosen with a helper, or for several procedures of one arrival.
    """
    return await _answer(db, town, visit_id, identity, keys)


@put(
    PATH,
    guards=[require_visitor],
    tags=TAGS,
    opt=documented(
        body=PutServices,
        example={"services": [{"procedure": examples.PROCEDURE, "quantity": 2}]},
        returns=SERVICES_EXAMPLE,
        refusals=VISIT | SERVICES | {"services_of_chain": 409, "services_no_room": 409, "slot_closed": 409},
    ),
)
async def put_services(
    request: Req,
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,  # noqa: ARG001 - the same choice is the same choice
) -> ServicesAnswer:
    """Choose what is done in the one appointment of a visit.

    From here on the free times of the visit (`visit_id`) are long enough for it, and so is what it holds: a time that
    it holds already stays, as long as it is needed now, or nothing changes.
    """
    wanted = await read_json(request, PutServices)
    order = ChooseServices(
        municipality=town.code,
        visit_id=parse_uuid(visit_id, code="visit_unknown"),
        visitor=identity.ref,
        services=tuple(Service(each.procedure, each.quantity) for each in wanted.services),
        staff=staff_of(identity),
    )
    await rush.run(db, town.code, lambda session: choose_services(session, order, now=now))
    return await _answer(db, town, visit_id, identity, keys)


async def _answer(db: Database, town: Town, visit_id: str, identity: Identity, keys: Keys) -> ServicesAnswer:
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, parse_uuid(visit_id, code="visit_unknown"), identity.ref, keys)
        is_chain = bool(await list_errands(session, town.code, visit.visit_id))
        can_choose = visit.channel == "counter" and not is_chain
        offered = await list_offered(session, town.code, visit.procedure) if can_choose else []
    return ServicesAnswer(
        choices=[
            Choice(
                procedure=each.kind.code,
                counters=each.kind.counters,
                minutes=each.kind.minutes,
                more_min=each.kind.more_min,
                quantity_max=each.kind.quantity_max,
                unit=each.kind.unit,
                chosen=each.chosen,
            )
            for each in list_choices(offered, visit.procedure, visit.services)
        ],
        services=visit.services,
        minutes=visit.minutes,
    )
