"""「あと3人」: whoever left a contact is told once when only so many are before them as the town says."""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.line import ticket_of
from services.booking.queries.queue import list_waiting_in_order
from services.booking.queries.rules import get_rules
from services.booking.tables import outbox
from shared.events.booking import TurnNear

UNTOLD_MAX = 500

_UNTOLD = text(f"""
    SELECT appointment_id FROM appointment
    WHERE municipality = :municipality AND day = :day AND counter = :counter AND state = 'checked_in'
      AND contact_ref IS NOT NULL AND reach <> 'none' AND near_turn_at IS NULL
    ORDER BY appointment_id LIMIT {UNTOLD_MAX}
""")
# Whoever is just being called by somebody else need not be told, and nobody waits for that.
_TELL = text(f"""
    WITH picked AS (
        SELECT municipality, appointment_id FROM appointment
        WHERE municipality = :municipality AND appointment_id = ANY (CAST(:near AS uuid[]))
          AND state = 'checked_in' AND near_turn_at IS NULL
        ORDER BY appointment_id LIMIT {UNTOLD_MAX} FOR UPDATE SKIP LOCKED)
    UPDATE appointment a SET near_turn_at = :now FROM picked
    WHERE (a.municipality, a.appointment_id) = (picked.municipality, picked.appointment_id)
    RETURNING a.appointment_id, a.version, a.counter, a.ticket_counter, a.ticket_no
""")


async def tell_near_turns(
    session: AsyncSession,
    municipality: str,
    counter: str,
    day: date,
    *,
    at_the_desk: Collection[UUID] = (),
    now: datetime,
) -> None:
    """Tell those whose turn is near at a counter whose line has just moved.

    Who is `at_the_desk` has just been told there how long it takes: they are not told again.
    """
    here = {"municipality": municipality, "day": day, "counter": counter}
    untold = set((await session.execute(_UNTOLD, here)).scalars())
    if not untold:
        return
    near_turn = (await get_rules(session, municipality)).queue.near_turn
    if near_turn == 0:
        return
    lines = await list_waiting_in_order(session, municipality, day, counters=[counter], now=now)
    line = [each.appointment_id for each in lines.get(counter, []) if not each.is_parked]
    before = {appointment_id: place for place, appointment_id in enumerate(line[: near_turn + 1])}
    near = sorted(untold & before.keys())
    if not near:
        return
    told = await session.execute(_TELL, {"municipality": municipality, "near": near, "now": now})
    facts = [
        TurnNear(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(row.appointment_id),
            aggregate_version=row.version,
            occurred_at=now,
            appointment_id=row.appointment_id,
            counter=row.counter,
            ticket=ticket_of(row) or "",
            before=before[row.appointment_id],
        )
        for row in told
        if row.appointment_id not in at_the_desk
    ]
    if facts:
        await outbox.publish(session, *facts)
