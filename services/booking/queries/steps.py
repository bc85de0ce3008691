"""What was last done at a counter: of everybody in today's line the step that can be taken back now."""

from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.line import State

RECENT_MAX = 8


class RecentStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step with somebody, and where they stand after it; `version` is the one that an undo shows."""

    appointment_id: UUID
    number: str
    kind: str
    action: str
    state: State
    version: int
    counter_number: str
    ticket_counter: str | None
    ticket_no: int | None
    recorded_at: datetime


# What somebody did with their own phone is theirs to take back. Whoever was sent to another counter is in the list of
# both.
_RECENT = text(f"""
    SELECT a.appointment_id, a.number, a.kind, s.action, a.state, a.version, a.ticket_counter, a.ticket_no,
           coalesce(nullif(c.number, ''), c.name_ja, a.counter) AS counter_number, s.recorded_at
    FROM line_step s
    JOIN appointment a ON (a.municipality, a.appointment_id, a.undo_version)
                          = (s.municipality, s.appointment_id, s.version)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    WHERE s.municipality = :municipality AND s.day = :day AND NOT s.is_undone
      AND s.action <> 'give-back'
      AND (CAST(:office AS text) IS NULL OR a.office = :office
           OR s.action = 'transfer' AND s.before->>'office' = :office)
      AND (CAST(:counter AS text) IS NULL OR :counter IN (s.counter, s.before->>'counter'))
    ORDER BY s.recorded_at DESC, s.appointment_id LIMIT {RECENT_MAX}
""")


async def list_recent_steps(
    session: AsyncSession, municipality: str, day: date, office: str | None, *, counter: str | None = None
) -> list[RecentStep]:
    """The last steps of the day at the counters of an office (None: of all), or at one counter, the newest first."""
    asked = {"municipality": municipality, "day": day, "office": office, "counter": counter}
    rows = (await session.execute(_RECENT, asked)).all()
    return [msgspec.convert(row, RecentStep, from_attributes=True) for row in rows]
