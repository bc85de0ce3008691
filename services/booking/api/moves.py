"""Another day for all of an arrival: the best chains that it could move to, and moving it."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency

from services.booking.api import examples
from services.booking.api.bodies import Version
from services.booking.api.examples import ID
from services.booking.api.one_stop import CHAIN_EXAMPLE, ChainAnswer, WishBody, chain_answer, wishes_of
from services.booking.api.opened import OPENED
from services.booking.api.refused import APPOINTMENT, CHAIN, CHANGE
from services.booking.commands.keyed import request_hash
from services.booking.commands.moving import MoveChain, Moved, move_chain
from services.booking.flow import Rush
from services.booking.queries.appointments import AppointmentView
from services.booking.queries.one_stop import list_moves
from services.booking.queries.rules import get_rules
from shared.db import Database
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.town import Town

TAGS = ["one visit for everything"]

Req = Request[Any, Any, Any]


class PostMove(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move all of the arrival that is still to come: a slot for each procedure."""

    wishes: WishBody
    version: Version


@get(
    "/booking/api/appointments/{number:str}/moves",
    tags=TAGS,
    dependencies=OPENED,
    opt=PUBLIC | documented(knows_owner=True, returns=[CHAIN_EXAMPLE], refusals=APPOINTMENT),
)
async def get_moves(
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> list[ChainAnswer]:
    """The best chains that all of an arrival could move to.

    None for an appointment that is by itself.
    """
    if found.chain_id is None:
        return []
    async with db.begin(town.code) as session:
        policy = (await get_rules(session, town.code)).policy
        _errands, chains = await list_moves(session, town.code, found.appointment_id, policy, now=now)
    return [chain_answer(chain) for chain in chains]


@post(
    "/booking/api/appointments/{number:str}/move",
    tags=TAGS,
    dependencies=OPENED,
    status_code=200,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        body=PostMove,
        returns=examples.MOVED,
        example={"wishes": [{"procedure": "RES02", "slot_id": str(ID), "person": 1}], "version": 1},
        refusals=CHANGE | CHAIN | {"chain_broken": 409, "same_slot": 409},
    ),
)
async def post_move(
    request: Req,
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,
) -> Moved:
    """Move all of an arrival that is still to come, or nothing."""
    wanted = await read_json(request, PostMove)
    wishes = wishes_of(wanted.wishes)
    order = MoveChain(
        municipality=town.code,
        appointment_id=found.appointment_id,
        wishes=wishes,
        version=wanted.version,
        key=key or f"move:{request_hash(wishes, wanted.version).hex()}",
        staff=staff_of(find_identity(request)),
    )
    return await rush.run(db, town.code, lambda session: move_chain(session, order, now=now))
