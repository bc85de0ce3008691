"""What staff and operators did: one row in the transaction of the deed."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.tables import audit
from shared.tokens import Identity


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


async def record_staff_deed(session: AsyncSession, identity: Identity, *, action: str, ref: str, now: datetime) -> None:
    """Write what staff did on somebody's behalf. What residents do for themselves is in the ledger only."""
    if identity.kind != "guest":
        await record_audit(
            session,
            municipality=identity.municipality,
            actor_kind=identity.kind,
            actor_ref=identity.ref,
            action=action,
            ref=ref,
            office=identity.office,
            now=now,
        )
