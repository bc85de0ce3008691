"""Telling the processes that tablets listen to that the line of a town changed; `services/booking/live.py` hears it."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

LINE_CHANNEL = "booking_line"

_NUDGE = text("SELECT pg_notify(:channel, :municipality)")


async def nudge_line(session: AsyncSession, municipality: str) -> None:
    """Say with this transaction's commit that the town's line changed; nothing else is said.

    Commits that notify wait for each other, so only steps of the line do: never a hold or a booking in a rush.
    """
    await session.execute(_NUDGE, {"channel": LINE_CHANNEL, "municipality": municipality})
