"""In which order rows are locked, so that nobody waits in a circle.

1. A visit's row, or an arrival as a whole (`commands/chains.py: lock_chain`).
2. Appointments, by their id; then the request for help that one is for (`commands/help_requests.py`).
3. The slot that a helper is asked for (`commands/asking.py`); places, by slot and number: those that one has (booked,
   held or kept). A place that is only wanted is never waited for (`SKIP LOCKED`), so it may be taken later.
4. A class (`commands/class_rows.py`); then helpers: whoever is asked, suspended, or closed. What they were asked for
   meanwhile, while one waited for them, is locked last (`commands/roster.py: pass_on`).
5. What is offered; then a counter's line, by whoever comes into it; then the marks of `commands/marks.py`.

Whoever needs several of a kind asks for all of them at once, before any of the next kind. A closing has places only: it
locks all of its time and of the holds that reach into it, in the same order, and leaves what concerns appointments to
transactions of their own.
"""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.queries.day_changes import list_closed_counters
from shared.errors import Refusal

# A batch of a closing, each with an arrival of as many errands as there may be.
APPOINTMENTS_MAX = 500

_APPOINTMENTS = text(f"""
    SELECT * FROM appointment
    WHERE municipality = :municipality AND appointment_id = ANY (CAST(:appointments AS uuid[]))
    ORDER BY appointment_id LIMIT {APPOINTMENTS_MAX} FOR UPDATE
""")
# An offered place is held in the offer's name. What is offered together is one offer, whichever part of it is meant.
_PLACES = text("""
    WITH live AS (
        SELECT o.offer_id, o.appointment_id, o.together_id FROM offered_place o
        WHERE o.municipality = :municipality AND o.state = 'open'),
    offered AS (
        SELECT o.offer_id FROM live o JOIN live m ON o.offer_id = m.offer_id OR o.together_id = m.together_id
        WHERE m.appointment_id = ANY (CAST(:appointments AS uuid[]))),
    mine AS (
        SELECT slot_id, place_no FROM place
        WHERE municipality = :municipality AND appointment_id = ANY (CAST(:appointments AS uuid[]))
        UNION
        SELECT slot_id, place_no FROM place
        WHERE municipality = :municipality AND hold_id IS NOT NULL
          AND visit_id = ANY (ARRAY(
              SELECT offer_id FROM offered UNION SELECT unnest(CAST(:visits AS uuid[]))
              UNION SELECT e.errand_id FROM visit_errand e
              WHERE e.municipality = :municipality AND e.visit_id = ANY (CAST(:visits AS uuid[])))))
    SELECT 1 FROM place p JOIN mine USING (slot_id, place_no)
    WHERE p.municipality = :municipality
    ORDER BY p.slot_id, p.place_no FOR UPDATE OF p
""")
# Of those who come into a counter's line any number at once; whoever closes it (a trigger, 0033) waits for them, and
# they for it.
_ENTER = text("""
    SELECT pg_advisory_xact_lock_shared(
        hashtextextended('counter_day/' || CAST(:municipality AS text) || '/' || CAST(:counter AS text), 0))
""")


async def enter_counters(session: AsyncSession, municipality: str, counters: Collection[str], day: date) -> set[str]:
    """Before anybody comes into the lines of these counters: none of them is being closed until they are there.

    Returns those that are closed.
    """
    for counter in sorted(set(counters)):
        await session.execute(_ENTER, {"municipality": municipality, "counter": counter})
    return set(counters) & await list_closed_counters(session, municipality, day)


async def refuse_closed_counter(session: AsyncSession, municipality: str, counter: str, day: date) -> None:
    """Whoever comes into a counter's line, before they do: it is not being closed until they are there.

    Raises:
        Refusal: `counter_closed_now` (409).
    """
    if await enter_counters(session, municipality, [counter], day):
        raise Refusal("counter_closed_now", 409)


async def lock_appointments(session: AsyncSession, municipality: str, appointments: Collection[UUID]) -> Sequence[Any]:
    """These appointments as they are once nobody else is changing them, by their id."""
    asked = {"municipality": municipality, "appointments": list(appointments)}
    return (await session.execute(_APPOINTMENTS, asked)).all()


async def lock_places(
    session: AsyncSession, municipality: str, *, appointments: Collection[UUID] = (), visits: Collection[UUID] = ()
) -> None:
    """The places that these appointments have, those that are kept for their owners, and those that visits hold."""
    asked = {"municipality": municipality, "appointments": list(appointments), "visits": list(visits)}
    await session.execute(_PLACES, asked)
