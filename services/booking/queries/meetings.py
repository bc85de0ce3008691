"""What comes after a meeting with a helper, when the case goes on at a counter. Times only."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.queries.free import list_next_free
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import find_procedure

_SWITCHED = text("""
    SELECT a.procedure, c.channel
    FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    JOIN case_switched c ON (c.municipality, c.case_id) = (a.municipality, a.case_id) AND c.switched_at >= a.starts_at
    WHERE (s.municipality, s.assignment_id) = (:municipality, :assignment_id)
""")


class GoesOn(msgspec.Struct, frozen=True, kw_only=True):
    """By which channel the case of a meeting went on since it began, and the earliest time at a counter."""

    channel: str
    earliest_at: datetime | None


async def find_going_on(
    session: AsyncSession, municipality: str, assignment_id: UUID, *, now: datetime
) -> GoesOn | None:
    """How the case of a meeting goes on; None: as it was."""
    mine = {"municipality": municipality, "assignment_id": assignment_id}
    row = (await session.execute(_SWITCHED, mine)).one_or_none()
    if row is None:
        return None
    earliest_at = None
    procedure = await find_procedure(session, municipality, row.procedure) if row.channel == "counter" else None
    if procedure is not None:
        policy = procedure.policy((await get_rules(session, municipality)).policy)
        free = await list_next_free(session, municipality, procedure.counters, policy, most=1, now=now)
        earliest_at = free[0].starts_at if free else None
    return GoesOn(channel=row.channel, earliest_at=earliest_at)
