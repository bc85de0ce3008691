"""A subject's data key: made at the first datum, destroyed at erasure."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.tables import subject_key
from shared.crypto import SubjectVault

ADDRESS = "address"
ACCESS = "access"


def context_of(municipality: str, subject_ref: UUID) -> str:
    """What a subject's key is bound to."""
    return f"{municipality}/{subject_ref}"


async def seal_for_subject(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    municipality: str,
    subject_ref: UUID,
    field: str,
    value: str,
    now: datetime,
) -> bytes:
    """Seal a value with the subject's key, which is made if there is none yet."""
    context = context_of(municipality, subject_ref)
    await session.execute(
        insert(subject_key)
        .values(municipality=municipality, subject_ref=subject_ref, wrapped_key=vault.new_key(context), made_at=now)
        .on_conflict_do_nothing()
    )
    wrapped = (
        await session.execute(
            select(subject_key.c.wrapped_key).where(
                subject_key.c.municipality == municipality, subject_key.c.subject_ref == subject_ref
            )
        )
    ).scalar_one()
    return vault.seal(wrapped, context, field, value)
