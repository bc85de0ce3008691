"""Who waits for an earlier time: one person's own wish, and how many there are."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.waitlist import Window
from shared.clock import jst_day

# What is over by itself is not there any more, whether or not anybody has removed it.
_WAITS = """
    FROM waiting w JOIN appointment a ON (a.municipality, a.appointment_id) = (w.municipality, w.appointment_id)
    WHERE w.municipality = :municipality AND a.state = 'booked' AND a.starts_at > :now AND w.last_day >= :today
"""
_FIND = text(f"""
    SELECT w.first_day, w.last_day, w.weekdays, w.part, w.counter {_WAITS} AND w.appointment_id = :appointment_id
""")
_COUNT = text(f"SELECT count(*) {_WAITS} AND a.counter = ANY (CAST(:counters AS text[]))")


async def find_window(
    session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime
) -> Window | None:
    """What the owner of an appointment waits for, if they do."""
    asked = {"municipality": municipality, "appointment_id": appointment_id, "now": now, "today": jst_day(now)}
    row = (await session.execute(_FIND, asked)).one_or_none()
    return msgspec.convert(row, Window, from_attributes=True) if row else None


async def count_waiting(session: AsyncSession, municipality: str, counters: list[str], *, now: datetime) -> int:
    """How many people with an appointment at these counters wait for an earlier time."""
    asked = {"municipality": municipality, "counters": counters, "now": now, "today": jst_day(now)}
    return int((await session.execute(_COUNT, asked)).scalar_one())
