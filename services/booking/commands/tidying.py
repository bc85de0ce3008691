"""Once a day, what is no longer needed is removed."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

KEPT = timedelta(days=2)
BATCH = 5_000

_OLD_KEYS = text(f"""
    DELETE FROM idempotency WHERE (municipality, owner, key) IN (
        SELECT municipality, owner, key FROM idempotency
        WHERE municipality = :municipality AND created_at < :before LIMIT {BATCH})
""")
_OLD_VISITS = text(f"""
    DELETE FROM visit WHERE (municipality, visit_id) IN (
        SELECT municipality, visit_id FROM visit
        WHERE municipality = :municipality AND expires_at < :before LIMIT {BATCH})
""")


async def tidy_up(session: AsyncSession, municipality: str, *, now: datetime) -> None:
    """Forget answers nobody will ask for again, and visits whose pass has long expired."""
    asked = {"municipality": municipality, "before": now - KEPT}
    await session.execute(_OLD_KEYS, asked)
    await session.execute(_OLD_VISITS, asked)
