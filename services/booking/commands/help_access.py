"""Opening a request for help without an account: as an appointment (`commands/access.py`), for as long as its days."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.access import FAILURES_MAX, LINK_MAX_LENGTH, LOCKED_FOR, Found, oldest_day
from services.booking.keys import Keys
from shared.crypto import token_hash
from shared.reference_number import read_code, read_number

_BY_NUMBER = text("""
    SELECT request_id, number, code_hash, code_failures, locked_until FROM help_request
    WHERE municipality = :municipality AND number = :number AND code_hash IS NOT NULL AND last_day >= :oldest
    FOR UPDATE
""")
_COUNT = text("""
    UPDATE help_request SET code_failures = :failures, locked_until = :locked_until
    WHERE (municipality, request_id) = (:municipality, :request_id)
""")
_BY_LINK = text("""
    SELECT request_id, number FROM help_request
    WHERE (municipality, link_hash) = (:municipality, :link_hash) AND last_day >= :oldest
""")


async def try_request_code(
    session: AsyncSession, municipality: str, typed_number: str, typed_code: str, keys: Keys, *, now: datetime
) -> Found:
    """Check a request's number and code as typed, as `try_code` does an appointment's."""
    number, code = read_number(typed_number), read_code(typed_code)
    if number is None or code is None:
        return Found(outcome="wrong")
    asked = {"municipality": municipality, "number": number, "oldest": oldest_day(now)}
    row = (await session.execute(_BY_NUMBER, asked)).one_or_none()
    if row is None:
        return Found(outcome="wrong", nobodys=number)
    if row.locked_until is not None and row.locked_until > now:
        return Found(outcome="locked", locked_until=row.locked_until)
    mine = {"municipality": municipality, "request_id": row.request_id}
    if keys.is_code(row.request_id, code, bytes(row.code_hash)):
        if row.code_failures or row.locked_until:
            await session.execute(_COUNT, mine | {"failures": 0, "locked_until": None})
        return _opened(row.request_id, row.number)
    failures = row.code_failures + 1
    locked_until = now + LOCKED_FOR if failures >= FAILURES_MAX else None
    counted = {"failures": 0 if locked_until else failures, "locked_until": locked_until}
    await session.execute(_COUNT, mine | counted)
    return Found(outcome="locked" if locked_until else "wrong", locked_until=locked_until)


async def open_request_link(session: AsyncSession, municipality: str, token: str, *, now: datetime) -> Found:
    """Find the request that a link opens."""
    if len(token) > LINK_MAX_LENGTH:
        return Found(outcome="wrong")
    key = {"municipality": municipality, "link_hash": token_hash(token), "oldest": oldest_day(now)}
    row = (await session.execute(_BY_LINK, key)).one_or_none()
    return Found(outcome="wrong") if row is None else _opened(row.request_id, row.number)


def _opened(request_id: UUID, number: str) -> Found:
    return Found(outcome="open", appointment_id=request_id, number=number)
