"""Tasks for staff (職員が連絡): somebody whom nobody could reach, until staff have called them."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import insert, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.tables import audit, staff_task
from shared.errors import Refusal
from shared.tokens import Identity


async def open_task(
    session: AsyncSession,
    *,
    municipality: str,
    notice_id: UUID,
    appointment_id: UUID | None,
    application_id: UUID | None = None,
    number: str,
    reason: str,
    now: datetime,
) -> None:
    """Ask staff to reach the person of a notice; once for each notice."""
    await session.execute(
        upsert(staff_task)
        .values(
            municipality=municipality,
            task_id=uuid4(),
            reason=reason,
            notice_id=notice_id,
            appointment_id=appointment_id,
            application_id=application_id,
            number=number,
            opened_at=now,
        )
        .on_conflict_do_nothing()
    )


async def complete_task(session: AsyncSession, identity: Identity, task_id: UUID, *, now: datetime) -> None:
    """Note that staff have reached the person. A second tap changes nothing.

    Raises:
        Refusal: `not_found` (404), this town has no such task.
    """
    ours = (staff_task.c.municipality == identity.municipality, staff_task.c.task_id == task_id)
    done = await session.execute(
        update(staff_task)
        .where(*ours, staff_task.c.done_at.is_(None))
        .values(done_at=now, done_by=identity.ref)
        .returning(staff_task.c.task_id)
    )
    if done.one_or_none() is None:
        known = await session.execute(staff_task.select().where(*ours).limit(1))
        if known.first() is None:
            raise Refusal("not_found", 404)
        return
    await session.execute(
        insert(audit).values(
            municipality=identity.municipality,
            audit_id=uuid4(),
            occurred_at=now,
            actor_kind=identity.kind,
            actor_ref=identity.ref,
            office=identity.office,
            action="task_completed",
            ref=str(task_id),
        )
    )
