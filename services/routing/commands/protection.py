"""Protected people (秘匿): whether somebody is one, and since when it was written that something was not opened."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Exists, and_, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.protection import may_open
from services.routing.tables import protection, refused_look
from shared.clock import jst_day
from shared.tokens import Identity


def protected(municipality: str, subject_ref: UUID) -> Exists:
    """The condition that somebody is protected now."""
    return exists().where(_now(municipality, subject_ref))


async def is_protected(session: AsyncSession, municipality: str, subject_ref: UUID | None) -> bool:
    """Whether somebody is protected now."""
    if subject_ref is None:
        return False
    return bool((await session.execute(select(protected(municipality, subject_ref)))).scalar_one())


async def askable(
    session: AsyncSession, municipality: str, subject_ref: UUID | None, items: Sequence[str], target_service: str
) -> tuple[str, ...]:
    """What of these a person may be asked about: of a protected one, nothing that may not be opened."""
    if not await is_protected(session, municipality, subject_ref):
        return tuple(items)
    return tuple(item for item in items if may_open(item, target_service))


async def note_refused(
    session: AsyncSession, identity: Identity, case_id: UUID, step: str, items: Sequence[str], *, now: datetime
) -> set[str]:
    """Which of these items this reader was refused for the first time today, in this step of this case."""
    if not items:
        return set()
    row = {
        "municipality": identity.municipality,
        "case_id": case_id,
        "reader": identity.office or identity.kind,
        "step": step,
        "day": jst_day(now),
    }
    found = await session.execute(
        insert(refused_look)
        .values([row | {"item": item} for item in sorted(set(items))])
        .on_conflict_do_nothing()
        .returning(refused_look.c.item)
    )
    return set(found.scalars())


def _now(municipality: str, subject_ref: UUID) -> ColumnElement[bool]:
    return and_(
        protection.c.municipality == municipality,
        protection.c.subject_ref == subject_ref,
        protection.c.lifted_at.is_(None),
    )
