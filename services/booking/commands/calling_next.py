"""The next please: whoever's turn it is at a counter is called. Two who ask at once call two different people."""

from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import lock_chain
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.line import MoveAlong, move_along
from services.booking.commands.steps import Moved
from services.booking.queries.queue import list_waiting_in_order
from services.booking.queries.slots import list_counters
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity


class CallNext(msgspec.Struct, frozen=True, kw_only=True):
    """The order to call whoever's turn it is at a counter."""

    counter: str
    key: str


# Whoever another tablet has just called is seen once that is done, and passed over.
_VERSION = text("""
    SELECT version FROM appointment
    WHERE (municipality, appointment_id, counter) = (:municipality, :appointment_id, :counter)
      AND state = 'checked_in' AND parked_at IS NULL
    FOR UPDATE
""")


async def call_next(session: AsyncSession, actor: Identity, order: CallNext, *, now: datetime) -> Moved:
    """Call the first who waits at the counter. Ordered again under the same key, it is whom it has called.

    Raises:
        Refusal: `counter_unknown` (404), `other_office` (403), `nobody_waits` (409), `key_reused` (422).
    """
    counter = (await list_counters(session, actor.municipality)).get(order.counter)
    if counter is None:
        raise Refusal("counter_unknown", 404)
    if actor.office is not None and counter.office != actor.office:
        raise Refusal("other_office", 403)

    async def call() -> Moved:
        return await _call_first(session, actor, order.counter, now=now)

    hashed = request_hash("call-next", order.counter)
    owner = f"staff:{actor.ref}"
    return await do_once(session, actor.municipality, owner, order.key, hashed, call, Moved, now=now)


async def _call_first(session: AsyncSession, actor: Identity, counter: str, *, now: datetime) -> Moved:
    town, day = actor.municipality, jst_day(now)
    here = {"municipality": town, "counter": counter}
    lines = await list_waiting_in_order(session, town, day, counters=[counter], now=now)
    for first in lines.get(counter, []):
        await lock_chain(session, town, first.appointment_id)
        key = here | {"appointment_id": first.appointment_id}
        version = (await session.execute(_VERSION, key)).scalar_one_or_none()
        if version is None:
            continue
        step = MoveAlong(appointment_id=first.appointment_id, action="call", version=version)
        try:
            return await move_along(session, actor, step, now=now)
        except Refusal as refusal:
            # They were called to another counter just now.
            if refusal.code != "called_elsewhere":
                raise
    raise Refusal("nobody_waits", 409)
