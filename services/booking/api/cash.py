"""For staff: ending a turn with what was delivered and paid, and a day's payments. Never anything of a card."""

from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.api import examples
from services.booking.api.bodies import Code, Version
from services.booking.api.line_staff import GUARDS, ROOT, STANDS_EXAMPLE, TAGS, Stands, show_stands
from services.booking.api.refused import FINISH
from services.booking.commands.finishing import Finish, finish
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.steps import Moved
from services.booking.domain.cash import (
    AMOUNT_MAX_YEN,
    DELIVERED_MAX,
    QUANTITY_MAX,
    RECEIPT_MAX_LENGTH,
    Delivered,
    Handed,
    Means,
    Paid,
    read_paid,
)
from services.booking.flow import Rush
from services.booking.queries.cash import list_taken
from shared.db import Database
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.town import Town

Req = Request[Any, Any, Any]


class DeliveredBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A procedure that was done, and how many of it."""

    procedure: Code
    quantity: Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)] = 1


class PaidBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was paid. `receipt_no` is the till's; never a number of a card."""

    amount_yen: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX_YEN)]
    means: Means
    receipt_no: Annotated[str, msgspec.Meta(max_length=RECEIPT_MAX_LENGTH)] = ""


class PostFinish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a turn. Nothing delivered: it was a talk."""

    version: Version
    delivered: Annotated[tuple[DeliveredBody, ...], msgspec.Meta(max_length=DELIVERED_MAX)] = ()
    handed: Handed = "counter"
    paid: PaidBody | None = None


class TakenToday(msgspec.Struct, frozen=True, kw_only=True):
    """A payment; whose it was is said by the appointment's number only."""

    number: str
    counter: str
    amount_yen: int
    means: Means
    receipt_no: str
    taken_at: datetime


@post(
    f"{ROOT}/{{appointment_id:str}}/finish",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(
        body=PostFinish,
        example={"version": 4, "delivered": [{"procedure": examples.PROCEDURE, "quantity": 1}], "handed": "counter"},
        returns=STANDS_EXAMPLE,
        refusals=FINISH,
        details={"line_moved": {"state": "called"}},
    ),
)
async def post_line_finish(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> Stands:
    """End somebody's turn with what was delivered and paid; the step `undo` takes both back."""
    wanted = await read_json(request, PostFinish)
    paid = wanted.paid
    order = Finish(
        appointment_id=parse_uuid(appointment_id, code="appointment_unknown"),
        version=wanted.version,
        delivered=tuple(Delivered(procedure=each.procedure, quantity=each.quantity) for each in wanted.delivered),
        handed=wanted.handed,
        paid=_read(paid) if paid is not None else None,
    )

    async def once(session: AsyncSession) -> Moved:
        async def end() -> Moved:
            return await finish(session, identity, order, now=now)

        hashed = request_hash("finish", order)
        return await do_once(session, town.code, f"staff:{identity.ref}", key, hashed, end, Moved, now=now)

    return show_stands(await rush.run(db, town.code, once))


@get(
    f"{ROOT}/payments",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        returns=[
            TakenToday(
                number=examples.NUMBER,
                counter=examples.COUNTER,
                amount_yen=300,
                means="cash",
                receipt_no="R-12",
                taken_at=examples.STARTS_AT,
            )
        ]
    ),
)
async def get_line_payments(
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    day: FromQuery[date],
) -> list[TakenToday]:
    """A day's payments of one's office, or of all."""
    async with db.begin(town.code) as session:
        taken = await list_taken(session, town.code, day, identity.office)
    return [msgspec.convert(each, TakenToday, from_attributes=True) for each in taken]


def _read(paid: PaidBody) -> Paid | None:
    return read_paid(paid.means, str(paid.amount_yen), paid.receipt_no)
