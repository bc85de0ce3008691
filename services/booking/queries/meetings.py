"""What comes after a meeting with a helper, when the case goes on at a counter. Times only."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.queries.free import After, list_next_free
from services.booking.queries.rules import get_rules
from services.booking.queries.runs import Need
from services.booking.queries.services import outlasts_slots
from services.booking.queries.slots import OpenSlot, find_procedure

_SWITCHED = text("""
    SELECT a.procedure, a.case_id, a.starts_at, a.ends_at, c.channel
    FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    JOIN case_switched c ON (c.municipality, c.case_id) = (a.municipality, a.case_id) AND c.switched_at >= a.starts_at
    WHERE (s.municipality, s.assignment_id) = (:municipality, :assignment_id)
""")
# A time at a counter that was taken for it since it began.
_TAKEN = text("""
    SELECT a.starts_at, coalesce(c.name_ja, a.counter) AS name_ja, coalesce(c.place_ja, '') AS place_ja
    FROM appointment a LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    WHERE a.municipality = :municipality AND a.case_id = :case_id AND a.helper = 'none' AND a.state <> 'cancelled'
      AND a.booked_at >= :since
    ORDER BY a.starts_at LIMIT 1
""")


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """When and where somebody goes on."""

    starts_at: datetime
    name_ja: str
    place_ja: str


class GoesOn(msgspec.Struct, frozen=True, kw_only=True):
    """By which channel the case of a meeting went on since it began; at a counter, the time that was taken for it, or
    the earliest that there is."""

    channel: str
    earliest_at: datetime | None = None
    taken: Taken | None = None


async def find_going_on(
    session: AsyncSession, municipality: str, assignment_id: UUID, *, now: datetime
) -> GoesOn | None:
    """How the case of a meeting goes on; None: as it was."""
    mine = {"municipality": municipality, "assignment_id": assignment_id}
    row = (await session.execute(_SWITCHED, mine)).one_or_none()
    if row is None:
        return None
    if row.channel != "counter":
        return GoesOn(channel=row.channel)
    case = {"municipality": municipality, "case_id": row.case_id, "since": row.starts_at}
    taken = (await session.execute(_TAKEN, case)).one_or_none()
    if taken is not None:
        return GoesOn(channel=row.channel, taken=msgspec.convert(taken, Taken, from_attributes=True))
    earliest = await find_earliest(session, municipality, row.procedure, after=row.ends_at, now=now)
    return GoesOn(channel=row.channel, earliest_at=earliest.starts_at if earliest else None)


async def find_earliest(
    session: AsyncSession, municipality: str, code: str, *, after: datetime, now: datetime
) -> OpenSlot | None:
    """The first free time at a counter for a procedure, done once, when a meeting is over; None: there is none."""
    procedure = await find_procedure(session, municipality, code)
    if procedure is None:
        return None
    need = Need(minutes=procedure.minutes) if await outlasts_slots(session, municipality, code) else None
    policy = procedure.policy((await get_rules(session, municipality)).policy)
    free = await list_next_free(
        session, municipality, procedure.counters, policy, most=1, after=After(after, ""), need=need, now=now
    )
    return free[0] if free else None
