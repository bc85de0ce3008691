"""Somebody's own place in the line, and the tickets that a browser holds."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.line import State
from services.booking.queries.untold import UNTOLD
from services.booking.queries.waits import count_before, estimate_own_wait
from shared.clock import jst_day

TICKETS_MAX = 10

_HELD = """
    SELECT a.appointment_id, a.state, a.ticket_counter, a.ticket_no, a.parked_at, t.stepped_out_at, t.back_at
    FROM phone_ticket t JOIN appointment a USING (municipality, appointment_id)
    WHERE t.municipality = :municipality AND t.holder_hash = :holder_hash AND a.day = :day
"""
_ONE = text(f"{_HELD} AND a.appointment_id = :appointment_id")
_ALL = text(f"""{_HELD} AND t.is_open AND a.state IN ('checked_in', 'called', 'serving')
                ORDER BY t.taken_at LIMIT {TICKETS_MAX}""")

_OF_GUEST = text(f"""
    SELECT number FROM appointment
    WHERE municipality = :municipality AND guest_ref = :guest_ref AND day = :day AND state = 'booked'
      AND NOT {UNTOLD.format(row="appointment")}
    ORDER BY starts_at LIMIT {TICKETS_MAX}
""")


class OwnPlace(msgspec.Struct, frozen=True, kw_only=True):
    """How many are called before somebody who waits, and about how long that takes; None: nobody can say."""

    before: int
    wait_min: int | None


class HeldTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket of today that a browser holds."""

    appointment_id: UUID
    state: State
    ticket_counter: str
    ticket_no: int
    parked_at: datetime | None
    stepped_out_at: datetime | None
    back_at: datetime | None

    @property
    def is_out(self) -> bool:
        """Whether its holder has said that they are back in a moment."""
        return self.parked_at is not None and self.parked_at == self.stepped_out_at


async def find_place(
    session: AsyncSession, municipality: str, appointment_id: UUID, counter: str, *, now: datetime
) -> OwnPlace | None:
    """The place of somebody who waits at a counter; None when they wait for no call, or not there."""
    before = await count_before(session, municipality, counter, appointment_id, now=now)
    if before is None:
        return None
    wait_min = await estimate_own_wait(session, municipality, counter, appointment_id, now=now)
    return OwnPlace(before=before, wait_min=wait_min)


async def find_held_ticket(
    session: AsyncSession, municipality: str, appointment_id: UUID, holder_hash: bytes, *, now: datetime
) -> HeldTicket | None:
    """A ticket of today, if this browser holds it."""
    asked = {"municipality": municipality, "holder_hash": holder_hash, "day": jst_day(now)}
    row = (await session.execute(_ONE, asked | {"appointment_id": appointment_id})).one_or_none()
    return msgspec.convert(row, HeldTicket, from_attributes=True) if row else None


async def list_held_tickets(
    session: AsyncSession, municipality: str, holder_hash: bytes, *, now: datetime
) -> list[HeldTicket]:
    """The live tickets of this browser."""
    asked = {"municipality": municipality, "holder_hash": holder_hash, "day": jst_day(now)}
    rows = (await session.execute(_ALL, asked)).all()
    return [msgspec.convert(row, HeldTicket, from_attributes=True) for row in rows]


async def list_numbers_of_guest(
    session: AsyncSession, municipality: str, guest_ref: str, *, now: datetime
) -> list[str]:
    """What somebody has booked for today and not come to yet."""
    asked = {"municipality": municipality, "guest_ref": guest_ref, "day": jst_day(now)}
    return list((await session.execute(_OF_GUEST, asked)).scalars().all())
