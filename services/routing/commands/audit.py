"""What staff and operators did: one row in the transaction of the deed."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.tables import audit


async def record_audit(
    session: AsyncSession,
    *,
    municipality: str,
    actor_kind: str,
    actor_ref: str,
    action: str,
    ref: str,
    office: str | None = None,
    now: datetime,
) -> None:
    """Write who did what to which reference. No personal data."""
    await session.execute(
        insert(audit).values(
            municipality=municipality,
            audit_id=uuid4(),
            occurred_at=now,
            actor_kind=actor_kind,
            actor_ref=actor_ref,
            action=action,
            ref=ref,
            office=office,
        )
    )
