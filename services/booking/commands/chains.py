"""Appointments of one arrival: what becomes of the others when one is moved, and locking all of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.one_stop import Errand, SlotAt, find_fault, make_chain, make_part
from services.booking.queries.one_stop import AHEAD, list_walks
from shared.errors import Refusal
from shared.messaging.due import schedule
from shared.passes import ERRANDS_MAX

WATCH_CHAIN = "watch_chain"

# Before any of its rows is locked: two who change or cancel parts of one chain come one after the other.
_ALONE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('chain/' || municipality || '/' || chain_id, 0)) FROM appointment
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND chain_id IS NOT NULL
""")
_PARTS = text(f"""
    SELECT a.appointment_id, a.procedure, a.counter, a.slot_id, a.starts_at, a.ends_at, a.chain_person,
           CAST(extract(epoch FROM a.chain_until - a.starts_at) / 60 AS integer) AS minutes,
           coalesce(p.after, '{{}}') AS after
    FROM appointment a LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE a.municipality = :municipality AND a.chain_id = :chain_id AND a.state NOT IN ('cancelled', 'no_show')
    ORDER BY a.starts_at LIMIT {ERRANDS_MAX}
""")
_WHOLE = text(f"""
    SELECT a.* FROM appointment me
    JOIN appointment a ON a.municipality = me.municipality
         AND (a.appointment_id = me.appointment_id OR (a.chain_id = me.chain_id AND {AHEAD}))
    WHERE (me.municipality, me.appointment_id) = (:municipality, :appointment_id)
    ORDER BY a.appointment_id LIMIT {ERRANDS_MAX} FOR UPDATE OF a
""")
# After `next`, some appointments with their `chain_id`: these, and all of their arrivals, locked.
WITH_ARRIVALS = """
    SELECT a.* FROM appointment a
    WHERE a.municipality = :municipality AND a.appointment_id = ANY (ARRAY(
        SELECT appointment_id FROM next
        UNION SELECT m.appointment_id FROM appointment m
        WHERE m.municipality = :municipality AND m.chain_id = ANY (ARRAY(SELECT chain_id FROM next))))
    ORDER BY a.appointment_id FOR UPDATE OF a"""
_ARRIVAL = text(f"""
    WITH next AS (
        SELECT appointment_id, chain_id FROM appointment
        WHERE (municipality, appointment_id) = (:municipality, :appointment_id))
    {WITH_ARRIVALS}
""")
# The number in the hand stays with the others.
_LEAVE = text("""
    UPDATE appointment me
    SET chain_id = NULL, chain_person = NULL, chain_until = NULL, ticket_counter = NULL, ticket_no = NULL
    WHERE (me.municipality, me.appointment_id) = (:municipality, :appointment_id) AND me.state = 'no_show'
      AND EXISTS (SELECT FROM appointment a
                  WHERE (a.municipality, a.chain_id, a.chain_person) = (me.municipality, me.chain_id, me.chain_person)
                    AND a.appointment_id <> me.appointment_id AND a.state NOT IN ('cancelled', 'no_show')
                    AND tstzrange(a.starts_at, a.chain_until) && tstzrange(me.starts_at, me.chain_until))
    RETURNING me.appointment_id
""")


def is_ahead(row: Any, now: datetime) -> bool:
    """As `AHEAD`: whether an appointment is still to come."""
    return bool(row.state == "booked" and (row.starts_at > now or row.closure != "none"))


async def lock_chain(session: AsyncSession, municipality: str, appointment_id: UUID) -> None:
    """Until the transaction ends, nobody else changes or cancels anything of the arrival that this belongs to."""
    await session.execute(_ALONE, {"municipality": municipality, "appointment_id": appointment_id})


async def refuse_broken_chain(
    session: AsyncSession, municipality: str, chain_id: UUID | None, moved: Mapping[UUID, tuple[SlotAt, int | None]]
) -> None:
    """Whether appointments of an arrival may move, each (by its id) to a slot and person, and the others stay.

    Another day is possible; to be late elsewhere, or before what comes first, is not. Without a person, the same goes.

    Raises:
        Refusal: `chain_broken` (409).
    """
    if chain_id is None:
        return
    errands, parts = [], []
    asked = {"municipality": municipality, "chain_id": chain_id}
    for row in (await session.execute(_PARTS, asked)).all():
        slot, person = moved.get(row.appointment_id, (row, None))
        errand = Errand(procedure=row.procedure, counters=(slot.counter,), minutes=row.minutes, after=tuple(row.after))
        errands.append(errand)
        parts.append(make_part(errand, slot, person or row.chain_person))
    walks = await list_walks(session, municipality)
    if parts and find_fault(errands, make_chain(parts), walks, one_day=False) is not None:
        raise Refusal("chain_broken", 409)


async def lock_whole(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> Sequence[Any]:
    """An appointment, and whatever else of its arrival is still to come: locked, by their id."""
    asked = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    return (await session.execute(_WHOLE, asked)).all()


async def lock_arrival(session: AsyncSession, municipality: str, appointment_id: UUID) -> Sequence[Any]:
    """The arrival that an appointment belongs to, and all of its appointments, or it alone: locked, by their id."""
    await lock_chain(session, municipality, appointment_id)
    asked = {"municipality": municipality, "appointment_id": appointment_id}
    return (await session.execute(_ARRIVAL, asked)).all()


def by_arrival(rows: Iterable[Any]) -> list[list[Any]]:
    """Appointments in the order of their times, those of one arrival together; the first to come are first."""
    arrivals: dict[UUID, list[Any]] = {}
    for row in sorted(rows, key=lambda row: (row.starts_at, row.number)):
        arrivals.setdefault(row.chain_id or row.appointment_id, []).append(row)
    return list(arrivals.values())


async def leave_chain_if_in_the_way(session: AsyncSession, row: Any) -> bool:
    """Who was missed and comes after all is served apart, if another part of their arrival has moved into its time.

    Returns whether they have left, and have no number any more: they need one of their own.
    """
    if row.chain_id is None:
        return False
    mine = {"municipality": row.municipality, "appointment_id": row.appointment_id}
    return (await session.execute(_LEAVE, mine)).one_or_none() is not None


async def watch_chain(
    session: AsyncSession, municipality: str, chain_id: UUID, *, at: datetime, keep: bool = False
) -> None:
    """Ask for a look at an arrival then: whether somebody is kept so long that they miss what comes next.

    With `keep`, an earlier look that was asked for stays.
    """
    ref = str(chain_id)
    await schedule(session, "booking", municipality=municipality, kind=WATCH_CHAIN, ref=ref, due_at=at, keep=keep)
