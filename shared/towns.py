"""Which towns there are: for what goes through all of them, each in a transaction of its own."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# More than Japan has.
TOWNS_MAX = 2_000
_TOWNS = text(f"SELECT code FROM town.municipality ORDER BY code LIMIT {TOWNS_MAX}")


async def list_towns(session: AsyncSession) -> list[str]:
    """The codes of all towns, in order, those for practice among them."""
    return list((await session.execute(_TOWNS)).scalars())
