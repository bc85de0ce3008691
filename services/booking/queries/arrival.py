"""The parts of an arrival that are in the line, or come into it."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.queries.counter_days import find_open_counter
from shared.passes import ERRANDS_MAX

_PARTS = text(f"""
    SELECT a.*, coalesce(p.after, '{{}}') AS after
    FROM appointment a LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE (a.municipality, a.chain_id, a.day) = (:municipality, :chain_id, :day)
    ORDER BY a.starts_at, a.number LIMIT {ERRANDS_MAX}
""")
_STILL_BOOKED = text(f"""
    SELECT a.*, coalesce(nullif(c.number, ''), c.name_ja, a.counter) AS counter_number
    FROM appointment me
    JOIN appointment a ON (a.municipality, a.chain_id, a.day) = (me.municipality, me.chain_id, me.day)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    WHERE (me.municipality, me.appointment_id) = (:municipality, :appointment_id)
      AND a.state = 'booked' AND a.closure = 'none'
    ORDER BY a.starts_at, a.number LIMIT {ERRANDS_MAX}
""")
_CALLED_ELSEWHERE = text("""
    SELECT counter FROM appointment
    WHERE (municipality, chain_id, chain_person, day) = (:municipality, :chain_id, :person, :day)
      AND appointment_id <> :appointment_id AND state IN ('called', 'serving') LIMIT 1
""")


async def list_parts_of_day(session: AsyncSession, municipality: str, chain_id: UUID, day: date) -> list[Any]:
    """All of an arrival on a day in the order of their times; the caller has locked it."""
    asked = {"municipality": municipality, "chain_id": chain_id, "day": day}
    return list((await session.execute(_PARTS, asked)).all())


async def list_shut_out(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> list[str]:
    """Counters of the same arrival that staff have closed today, with nobody else who does it: what was booked there is
    still booked, and nobody is checked in for it. As they are called."""
    asked = {"municipality": municipality, "appointment_id": appointment_id}
    rows = (await session.execute(_STILL_BOOKED, asked)).all()
    shut = [row.counter_number for row in rows if await find_open_counter(session, row, now=now) is None]
    return list(dict.fromkeys(shut))


async def where_called(session: AsyncSession, row: Any) -> str | None:
    """The other counter to which the person of this appointment is called, or where they are served."""
    mine = {
        "municipality": row.municipality,
        "chain_id": row.chain_id,
        "person": row.chain_person,
        "day": row.day,
        "appointment_id": row.appointment_id,
    }
    counter: str | None = (await session.execute(_CALLED_ELSEWHERE, mine)).scalar_one_or_none()
    return counter
