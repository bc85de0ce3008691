"""A visitor's family (家族), as far as it is known in their browser: who is which number. No names."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.family import PERSONS_MAX
from services.routing.tables import session_person
from shared.tokens import Identity


async def list_persons(session: AsyncSession, identity: Identity) -> dict[UUID, int]:
    """Each member's subject with their number, in order."""
    rows = await session.execute(
        select(session_person.c.subject_ref, session_person.c.position)
        .where(
            session_person.c.municipality == identity.municipality, session_person.c.session_id == identity.session_id
        )
        .order_by(session_person.c.position)
        .limit(PERSONS_MAX)
    )
    return {row.subject_ref: row.position for row in rows}
