"""Opening an appointment without an account: by its link, or by number and code with few tries."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.number import read_code, read_number
from services.booking.keys import Keys
from shared.crypto import token_hash

FAILURES_MAX = 5
LOCKED_FOR = timedelta(minutes=15)
# After a change the newest code goes out by message; the one on a printed slip still works.
CODES_ACCEPTED = 2
LINK_MAX_LENGTH = 100

_BY_NUMBER = text("""
    SELECT appointment_id, number, code_failures, locked_until FROM appointment
    WHERE municipality = :municipality AND number = :number AND kind = 'booked' FOR UPDATE
""")
_CODES = text("""
    SELECT code_hash FROM access WHERE municipality = :municipality AND appointment_id = :appointment_id
    ORDER BY issued_at DESC LIMIT :most
""")
_COUNT = text("""
    UPDATE appointment SET code_failures = :failures, locked_until = :locked_until
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
_BY_LINK = text("""
    SELECT a.appointment_id, a.number FROM access x
    JOIN appointment a ON (a.municipality, a.appointment_id) = (x.municipality, x.appointment_id)
    WHERE (x.municipality, x.link_hash) = (:municipality, :link_hash)
""")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a try. It is not raised, because the count of failures must be committed."""

    outcome: Literal["open", "wrong", "locked"]
    appointment_id: UUID | None = None
    number: str | None = None
    locked_until: datetime | None = None


async def try_code(
    session: AsyncSession, municipality: str, typed_number: str, typed_code: str, keys: Keys, *, now: datetime
) -> Found:
    """Check a number and a code as typed. Five wrong codes lock the appointment's code for 15 minutes."""
    number, code = read_number(typed_number), read_code(typed_code)
    if number is None or code is None:
        return Found(outcome="wrong")
    # Locked, so that tries sent at once are counted one by one.
    row = (await session.execute(_BY_NUMBER, {"municipality": municipality, "number": number})).one_or_none()
    if row is None:
        return Found(outcome="wrong")
    if row.locked_until is not None and row.locked_until > now:
        return Found(outcome="locked", locked_until=row.locked_until)
    mine = {"municipality": municipality, "appointment_id": row.appointment_id}
    stored = (await session.execute(_CODES, mine | {"most": CODES_ACCEPTED})).scalars().all()
    if any(keys.is_code(row.appointment_id, code, bytes(known)) for known in stored):
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


async def open_link(session: AsyncSession, municipality: str, token: str) -> Found:
    """Find the appointment that a link opens."""
    if len(token) > LINK_MAX_LENGTH:
        return Found(outcome="wrong")
    key = {"municipality": municipality, "link_hash": token_hash(token)}
    row = (await session.execute(_BY_LINK, key)).one_or_none()
    if row is None:
        return Found(outcome="wrong")
    return Found(outcome="open", appointment_id=row.appointment_id, number=row.number)
