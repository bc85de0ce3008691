"""The place that is kept for an appointment's owner: what it is, and taking it."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.booking import flow
from services.booking.api import examples
from services.booking.api.appointments import open_for
from services.booking.api.bodies import Version
from services.booking.api.refused import APPOINTMENT, CHANGE, SLOT
from services.booking.commands.changes import ChangeAppointment, Changed
from services.booking.commands.offers import Offer, find_offer
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.queries.appointments import AppointmentView
from shared.db import Database
from shared.errors import Refusal
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.town import Town

Req = Request[Any, Any, Any]


class TakeOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move to the place that is kept."""

    version: Version


@get(
    "/booking/api/appointments/{number:str}/offer",
    tags=["offered places"],
    opt=PUBLIC | documented(knows_owner=True, returns=examples.OFFER, refusals=APPOINTMENT | {"offer_unknown": 404}),
)
async def get_offer(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Offer:
    """The place that is kept for an appointment's owner.

    After a closing, for some time: nobody else can take it until then.
    """
    found = await open_for(request, number, db, keys, town, now=now)
    return await _offer(db, town, found, now=now)


@post(
    "/booking/api/appointments/{number:str}/offer",
    tags=["offered places"],
    status_code=200,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        body=TakeOffer,
        example={"version": 2},
        returns=examples.CHANGED,
        refusals=CHANGE | SLOT | {"offer_unknown": 404},
        details=examples.LOST,
    ),
)
async def post_offer(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,
) -> Changed:
    """Take the place that is kept.

    Whoever wants another one changes the appointment as always; whoever wants none cancels it.
    """
    found = await open_for(request, number, db, keys, town, now=now)
    wanted = await read_json(request, TakeOffer)
    offer = await _offer(db, town, found, now=now)
    order = ChangeAppointment(
        municipality=town.code,
        appointment_id=found.appointment_id,
        slot_id=offer.slot_id,
        version=wanted.version,
        key=key or f"change:{offer.slot_id}:{wanted.version}",
        staff=staff_of(find_identity(request)),
    )
    return await flow.change(db, rush, order, now=now)


async def _offer(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> Offer:
    async with db.begin(town.code) as session:
        offer = await find_offer(session, town.code, found.appointment_id, now=now)
    if offer is None:
        raise Refusal("offer_unknown", 404)
    return offer
