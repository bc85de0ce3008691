"""The next please: whoever's turn it is at a counter is called. Two who ask at once call two different people."""

from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import lock_arrival
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.line import MoveAlong, move_along
from services.booking.commands.steps import Moved
from services.booking.queries.queue import list_waiting_in_order
from services.booking.queries.slots import CounterView, list_counters
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity


class CallNext(msgspec.Struct, frozen=True, kw_only=True):
    """The order to call whoever's turn it is at a counter."""

    counter: str
    key: str


# A counter may have come to another office after somebody booked there.
_ADOPT = text("""
    UPDATE appointment SET office = :office
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND office <> :office
""")
# They were called to another counter just now, or cannot be called: whoever is behind them does not wait for that.
PASSED_OVER = frozenset({"called_elsewhere", "other_office", "step_impossible"})


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
        return await _call_first(session, actor, counter, now=now)

    hashed = request_hash("call-next", order.counter)
    owner = f"staff:{actor.ref}"
    return await do_once(session, actor.municipality, owner, order.key, hashed, call, Moved, now=now)


async def _call_first(session: AsyncSession, actor: Identity, counter: CounterView, *, now: datetime) -> Moved:
    town, day = actor.municipality, jst_day(now)
    lines = await list_waiting_in_order(session, town, day, counters=[counter.code], now=now)
    for first in lines.get(counter.code, []):
        arrival = await lock_arrival(session, town, first.appointment_id)
        row = next((each for each in arrival if each.appointment_id == first.appointment_id), None)
        # Whoever another tablet has just called is seen once that is done, and passed over.
        if row is None or (row.counter, row.state, row.parked_at) != (counter.code, "checked_in", None):
            continue
        adopted = {"municipality": town, "appointment_id": first.appointment_id, "office": counter.office}
        await session.execute(_ADOPT, adopted)
        step = MoveAlong(appointment_id=first.appointment_id, action="call", version=row.version)
        try:
            return await move_along(session, actor, step, now=now)
        except Refusal as refusal:
            if refusal.code not in PASSED_OVER:
                raise
    raise Refusal("nobody_waits", 409)
