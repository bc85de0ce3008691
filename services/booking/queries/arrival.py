"""The parts of an arrival that are in the line, or come into it."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.passes import ERRANDS_MAX

_PARTS = text(f"""
    SELECT a.*, coalesce(p.after, '{{}}') AS after
    FROM appointment a LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE (a.municipality, a.chain_id, a.day) = (:municipality, :chain_id, :day)
    ORDER BY a.starts_at, a.number LIMIT {ERRANDS_MAX} FOR UPDATE OF a
""")
_CALLED_ELSEWHERE = text("""
    SELECT counter FROM appointment
    WHERE (municipality, chain_id, chain_person, day) = (:municipality, :chain_id, :person, :day)
      AND appointment_id <> :appointment_id AND state IN ('called', 'serving') LIMIT 1
""")


async def lock_parts_of_day(session: AsyncSession, municipality: str, chain_id: UUID, day: date) -> list[Any]:
    """All of an arrival on a day in the order of their times, locked; the caller has locked the arrival."""
    asked = {"municipality": municipality, "chain_id": chain_id, "day": day}
    return list((await session.execute(_PARTS, asked)).all())


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
