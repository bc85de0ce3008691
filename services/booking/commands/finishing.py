"""The end of somebody's turn at a counter, with what was delivered and paid."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.delivered import record_delivered
from services.booking.commands.line import bring_on, lock_in_line, step_without_record
from services.booking.commands.steps import Moved
from services.booking.domain.cash import DELIVERED_MAX, QUANTITY_MAX, Delivered, Handed, Paid
from shared.errors import Refusal
from shared.tokens import Identity

_UNKNOWN = text("""
    SELECT said FROM unnest(CAST(:codes AS text[])) AS said
    WHERE NOT EXISTS (SELECT FROM procedure p WHERE p.municipality = :municipality AND p.code = said) LIMIT 1
""")
_MEANS = text("SELECT payment FROM counter WHERE (municipality, code) = (:municipality, :counter)")


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """The order to end a turn. Nothing delivered: it was a talk. `version` is the one that the tablet showed."""

    appointment_id: UUID
    version: int
    delivered: tuple[Delivered, ...]
    handed: Handed = "counter"
    paid: Paid | None = None


async def finish(session: AsyncSession, actor: Identity, order: Finish, *, now: datetime) -> Moved:
    """End a turn, and write what was delivered and paid. Taking the step back takes both back.

    Raises:
        Refusal: as `move_along`; `delivered_unfit` (400) what the catalogue does not have, or too many of it;
            `means_not_taken` (409) at this counter; `receipt_known` (409), another payment of the day has it.
    """
    codes = [each.procedure for each in order.delivered]
    if len(codes) > DELIVERED_MAX or len(set(codes)) != len(codes):
        raise Refusal("delivered_unfit", 400)
    if any(not 1 <= each.quantity <= QUANTITY_MAX for each in order.delivered):
        raise Refusal("delivered_unfit", 400)
    town = actor.municipality
    if (await session.execute(_UNKNOWN, {"municipality": town, "codes": codes})).first() is not None:
        raise Refusal("delivered_unfit", 400)
    row = await lock_in_line(session, actor, order.appointment_id, order.version)
    if order.paid is not None:
        means = (await session.execute(_MEANS, {"municipality": town, "counter": row.counter})).scalar_one_or_none()
        # A counter whose means the town has not told takes any.
        if means and order.paid.means not in means:
            raise Refusal("means_not_taken", 409)
    moved = await step_without_record(session, actor, row, "done", now=now)
    try:
        async with session.begin_nested():
            await record_delivered(session, row, order.delivered, order.handed, order.paid)
    except IntegrityError as error:
        if "payment_receipt_idx" not in str(error):
            raise
        raise Refusal("receipt_known", 409) from None
    await bring_on(session, actor, row, now=now)
    return moved
