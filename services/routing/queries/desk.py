"""What stands side by side in a case of a counter: what was booked, and what was confirmed. No values."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.queries.mine import CLOSED_STATES
from services.routing.tables import appointment, desk_confirmation


async def find_confirmation(session: AsyncSession, municipality: str, case_id: UUID) -> Row[Any] | None:
    """The person's word for what lies on the desk, while it stands."""
    query = select(desk_confirmation).where(
        desk_confirmation.c.municipality == municipality,
        desk_confirmation.c.case_id == case_id,
        desk_confirmation.c.replaced_at.is_(None),
    )
    return (await session.execute(query)).one_or_none()


async def find_booked(session: AsyncSession, municipality: str, case_id: UUID) -> Row[Any] | None:
    """The appointment that a case has ahead of it (number, starts_at, counter), as booking last told it."""
    query = (
        select(appointment.c.number, appointment.c.starts_at, appointment.c.counter)
        .where(
            appointment.c.municipality == municipality,
            appointment.c.case_id == case_id,
            appointment.c.state.not_in(CLOSED_STATES),
        )
        .order_by(appointment.c.starts_at)
        .limit(1)
    )
    booked: Row[Any] | None = (await session.execute(query)).one_or_none()  # type: ignore[assignment]  # a row all the same
    return booked
