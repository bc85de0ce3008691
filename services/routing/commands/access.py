"""Opening an application on another device: by the link of a message, or by number and code with few tries."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import ACCESS_KEPT, FAILURES_MAX, LOCKED_FOR
from services.routing.keys import Keys
from services.routing.tables import application, application_link
from shared.crypto import token_hash
from shared.reference_number import APPLICATION_LENGTH, read_code, read_number

LINK_MAX_LENGTH = 100


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a try. It is not raised, because the count of failures must be committed."""

    outcome: Literal["open", "wrong", "locked"]
    application_id: UUID | None = None
    number: str | None = None
    locked_until: datetime | None = None
    # A number that nobody has: its tries are counted elsewhere (pages/tries.py), so that it looks like any other.
    nobodys: str | None = None


async def try_code(
    session: AsyncSession, keys: Keys, municipality: str, typed_number: str, typed_code: str, *, now: datetime
) -> Found:
    """Check a number and a code as typed. Five wrong codes lock the application's code for 15 minutes."""
    number, code = read_number(typed_number, length=APPLICATION_LENGTH), read_code(typed_code)
    if number is None or code is None:
        return Found(outcome="wrong")
    mine = (application.c.municipality == municipality, application.c.number == number)
    # Locked, so that tries sent at once are counted one by one.
    row = (await session.execute(select(application).where(*mine).with_for_update())).one_or_none()
    if row is None or row.submitted_at < now - ACCESS_KEPT:
        return Found(outcome="wrong", nobodys=number)
    if row.locked_until is not None and row.locked_until > now:
        return Found(outcome="locked", locked_until=row.locked_until)
    if keys.is_application_code(municipality, row.application_id, code):
        if row.code_failures or row.locked_until:
            await session.execute(update(application).where(*mine).values(code_failures=0, locked_until=None))
        return Found(outcome="open", application_id=row.application_id, number=row.number)
    failures = row.code_failures + 1
    locked_until = now + LOCKED_FOR if failures >= FAILURES_MAX else None
    await session.execute(
        update(application)
        .where(*mine)
        .values(code_failures=0 if locked_until else failures, locked_until=locked_until)
    )
    return Found(outcome="locked" if locked_until else "wrong", locked_until=locked_until)


async def open_link(session: AsyncSession, municipality: str, token: str, *, now: datetime) -> Found:
    """Find the application that a link opens."""
    if len(token) > LINK_MAX_LENGTH:
        return Found(outcome="wrong")
    row = (
        await session.execute(
            select(application.c.application_id, application.c.number)
            .join(
                application_link,
                (application_link.c.municipality == application.c.municipality)
                & (application_link.c.application_id == application.c.application_id),
            )
            .where(
                application.c.municipality == municipality,
                application_link.c.link_hash == token_hash(token),
                application.c.submitted_at >= now - ACCESS_KEPT,
            )
        )
    ).one_or_none()
    if row is None:
        return Found(outcome="wrong")
    return Found(outcome="open", application_id=row.application_id, number=row.number)
