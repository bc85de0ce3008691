"""Opening an appointment without an account: by its link, or by number and code with few tries."""

from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.keys import Keys
from shared.clock import jst_day
from shared.crypto import token_hash
from shared.reference_number import read_code, read_number

FAILURES_MAX = 5
LOCKED_FOR = timedelta(minutes=15)
LINK_MAX_LENGTH = 100
# Links and codes open an appointment until so long after its day.
ACCESS_KEPT = timedelta(days=30)

_BY_NUMBER = text("""
    SELECT appointment_id, number, code_failures, locked_until FROM appointment
    WHERE municipality = :municipality AND number = :number AND kind = 'booked' AND day >= :oldest FOR UPDATE
""")
# An appointment keeps the code it was booked with; only a renewal would put another in its place.
_CODE = text("""
    SELECT code_hash FROM access WHERE municipality = :municipality AND appointment_id = :appointment_id
    ORDER BY issued_at DESC LIMIT 1
""")
_COUNT = text("""
    UPDATE appointment SET code_failures = :failures, locked_until = :locked_until
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
_BY_LINK = text("""
    SELECT a.appointment_id, a.number FROM access x
    JOIN appointment a ON (a.municipality, a.appointment_id) = (x.municipality, x.appointment_id)
    WHERE (x.municipality, x.link_hash) = (:municipality, :link_hash) AND a.day >= :oldest
""")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a try. It is not raised, because the count of failures must be committed."""

    outcome: Literal["open", "wrong", "locked"]
    appointment_id: UUID | None = None
    number: str | None = None
    locked_until: datetime | None = None
    # A number that nobody has: its tries are counted elsewhere (pages/tries.py), so that it looks like any other.
    nobodys: str | None = None
    # It is a request for help (`commands/help_access.py`): the id is its own.
    is_request: bool = False


def oldest_day(now: datetime) -> date:
    """The day of the oldest appointments that links and codes still open."""
    return jst_day(now) - ACCESS_KEPT


async def try_code(
    session: AsyncSession, municipality: str, typed_number: str, typed_code: str, keys: Keys, *, now: datetime
) -> Found:
    """Check a number and a code as typed. Five wrong codes lock the appointment's code for 15 minutes."""
    number, code = read_number(typed_number), read_code(typed_code)
    if number is None or code is None:
        return Found(outcome="wrong")
    # Locked, so that tries sent at once are counted one by one.
    asked = {"municipality": municipality, "number": number, "oldest": oldest_day(now)}
    row = (await session.execute(_BY_NUMBER, asked)).one_or_none()
    if row is None:
        return Found(outcome="wrong", nobodys=number)
    if row.locked_until is not None and row.locked_until > now:
        return Found(outcome="locked", locked_until=row.locked_until)
    mine = {"municipality": municipality, "appointment_id": row.appointment_id}
    stored = (await session.execute(_CODE, mine)).scalar_one_or_none()
    if stored is not None and keys.is_code(row.appointment_id, code, bytes(stored)):
        if row.code_failures or row.locked_until:
            await session.execute(_COUNT, mine | {"failures": 0, "locked_until": None})
        return Found(outcome="open", appointment_id=row.appointment_id, number=row.number)
    failures = row.code_failures + 1
    if failures >= FAILURES_MAX:
        locked_until = now + LOCKED_FOR
        await session.execute(_COUNT, mine | {"failures": 0, "locked_until": locked_until})
        return Found(outcome="locked", locked_until=locked_until)
    await session.execute(_COUNT, mine | {"failures": failures, "locked_until": None})
    return Found(outcome="wrong")


async def open_link(session: AsyncSession, municipality: str, token: str, *, now: datetime) -> Found:
    """Find the appointment that a link opens, until 30 days after its day."""
    if len(token) > LINK_MAX_LENGTH:
        return Found(outcome="wrong")
    key = {"municipality": municipality, "link_hash": token_hash(token), "oldest": oldest_day(now)}
    row = (await session.execute(_BY_LINK, key)).one_or_none()
    if row is None:
        return Found(outcome="wrong")
    return Found(outcome="open", appointment_id=row.appointment_id, number=row.number)
