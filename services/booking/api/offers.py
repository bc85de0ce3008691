"""The place that is kept for an appointment's owner: what it is, taking it, and saying no to it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.booking import flow
from services.booking.api import examples
from services.booking.api.bodies import Version
from services.booking.api.one_stop import CHAIN_EXAMPLE, ChainAnswer, chain_answer
from services.booking.api.opened import OPENED
from services.booking.api.refused import APPOINTMENT, CHANGE, LONG_SLOT
from services.booking.commands.chain_offers import find_chain_offer
from services.booking.commands.changes import ChangeAppointment, Changed
from services.booking.commands.offers import Offer, find_offer
from services.booking.commands.waitlist import decline_earlier
from services.booking.flow import Rush
from services.booking.queries.appointments import AppointmentView
from shared.db import Database
from shared.errors import Refusal
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.town import Town

TAGS = ["offered places"]
PATH = "/booking/api/appointments/{number:str}/offer"

Req = Request[Any, Any, Any]


class TakeOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move to the place that is kept."""

    version: Version


class ChainOfferAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Other times for all that is still to come of an arrival: kept `until` then, but for what stays where it is."""

    chain: ChainAnswer
    until: datetime


@get(
    PATH,
    tags=TAGS,
    dependencies=OPENED,
    opt=PUBLIC | documented(knows_owner=True, returns=examples.OFFER, refusals=APPOINTMENT | {"offer_unknown": 404}),
)
async def get_offer(
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Offer:
    """The place that is kept for an appointment's owner.

    Nobody else can take it until then. Its `cause` is a `closing`, or that they were `waiting` for an earlier time.
    What is kept for all of an arrival is its `…/chain-offer`.
    """
    offer = await _find(db, town, found, now=now)
    if offer is None:
        raise Refusal("offer_unknown", 404)
    return offer


@post(
    PATH,
    tags=TAGS,
    dependencies=OPENED,
    status_code=200,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        body=TakeOffer,
        example={"version": 2},
        returns=examples.CHANGED,
        refusals=CHANGE | LONG_SLOT | {"offer_unknown": 404},
        details=examples.LOST,
    ),
)
async def post_offer(
    request: Req,
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,
) -> Changed:
    """Take the place that is kept.

    Whoever wants another one changes the appointment as always; whoever wants none cancels it.
    """
    wanted = await read_json(request, TakeOffer)
    offer = await _find(db, town, found, now=now)
    # Who has taken it, and has not heard so, asks for what is their own time by now.
    slot_id = offer.slot_id if offer is not None else found.slot_id
    if slot_id is None:
        raise Refusal("offer_unknown", 404)
    order = ChangeAppointment(
        municipality=town.code,
        appointment_id=found.appointment_id,
        slot_id=slot_id,
        version=wanted.version,
        key=key or f"change:{slot_id}:{wanted.version}",
        staff=staff_of(find_identity(request)),
    )
    try:
        return await flow.change(db, rush, order, now=now)
    except Refusal as refusal:
        if offer is None and refusal.code != "key_reused":
            raise Refusal("offer_unknown", 404) from refusal
        raise


@delete(
    PATH,
    tags=TAGS,
    dependencies=OPENED,
    opt=PUBLIC | documented(knows_owner=True, refusals=APPOINTMENT | {"offer_of_closing": 409}),
)
async def delete_offer(
    request: Req,
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    offer_id: Annotated[UUID, QueryParameter(description="Which one, as GET said it.")],
) -> None:
    """Say no to an earlier time.

    It is the next person's, and its owner goes on waiting. An offer that is over is over. What is kept because of a
    closing ends by taking it, by another time or by cancelling: the appointment cannot stay where it is.
    """
    mine, staff = found.appointment_id, staff_of(find_identity(request))
    async with db.begin(town.code) as session:
        offer = await find_offer(session, town.code, mine, now=now)
    if offer is not None and offer.offer_id == offer_id and offer.cause == "closing":
        raise Refusal("offer_of_closing", 409)
    await rush.run(
        db, town.code, lambda session: decline_earlier(session, town.code, mine, offer_id, staff=staff, now=now)
    )


@get(
    "/booking/api/appointments/{number:str}/chain-offer",
    tags=TAGS,
    dependencies=OPENED,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        returns=ChainOfferAnswer(chain=CHAIN_EXAMPLE, until=examples.OFFER.until),
        refusals=APPOINTMENT | {"offer_unknown": 404},
    ),
)
async def get_chain_offer(
    found: NamedDependency[AppointmentView],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> ChainOfferAnswer:
    """The way through all of an arrival that is kept for its owner.

    After a closing of any part of it. It is taken by `POST …/move` with its parts as wishes, all of it or nothing.
    """
    offer = None
    if found.chain_id is not None:
        async with db.begin(town.code) as session:
            offer = await find_chain_offer(session, town.code, found.chain_id, now=now)
    if offer is None:
        raise Refusal("offer_unknown", 404)
    return ChainOfferAnswer(chain=chain_answer(offer.chain), until=offer.until)


async def _find(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> Offer | None:
    if found.chain_id is not None:
        return None
    async with db.begin(town.code) as session:
        return await find_offer(session, town.code, found.appointment_id, now=now)
