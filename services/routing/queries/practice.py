"""Whether a town has a practice town."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_THERE = text("SELECT 1 FROM town.municipality WHERE code ~ ('^' || CAST(:town AS text) || '-r[0-9]+$') LIMIT 1")


async def has_practice_town(session: AsyncSession, town: str) -> bool:
    """The list of towns is global: every service may read it."""
    return (await session.execute(_THERE, {"town": town})).one_or_none() is not None
