"""Receipts (配信結果): what a provider tells later about a message that it accepted."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.tasks import open_task
from services.notifications.commands.told import RECEIPT, SETTLED, notice_progressed
from services.notifications.domain.notices import MAY_BE_MISSED, Matter, due_kind
from services.notifications.domain.outcomes import is_forward
from services.notifications.tables import SERVICE, application, appointment, notice, outbox
from shared.messaging.due import unschedule


class DeliveryReceipt(msgspec.Struct, frozen=True):
    """The gateway's callback: `id` is ours, `status` its verdict."""

    id: str
    status: Literal["accepted", "delivered", "failed"]


async def record_receipt(
    session: AsyncSession, municipality: str, notice_id: UUID, status: str, *, now: datetime
) -> bool:
    """Note what a provider tells, if it is newer than what we know; return whether the notice is ours.

    A receipt also settles a notice of which we did not know whether the provider had accepted it.
    """
    row = (
        await session.execute(
            select(
                notice.c.kind,
                notice.c.delivery,
                notice.c.state,
                notice.c.bulk,
                notice.c.reach,
                notice.c.appointment_id,
                notice.c.application_id,
                notice.c.told_id,
            )
            .where(notice.c.municipality == municipality, notice.c.notice_id == notice_id)
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        return False
    told = "not_delivered" if status == "failed" else status
    if not is_forward(row.delivery, told):  # type: ignore[arg-type]
        return True
    values: dict[str, object] = {"delivery": told}
    if row.state == "unknown":
        values |= {"state": "sent", "settled_at": now, "reason": None}
        due = due_kind(bulk=row.bulk)
        await unschedule(session, SERVICE, municipality=municipality, kind=due, ref=str(notice_id))
    await session.execute(
        update(notice).where(notice.c.municipality == municipality, notice.c.notice_id == notice_id).values(**values)
    )
    if row.state == "unknown" or told == "not_delivered":
        is_lost = told == "not_delivered"
        event = notice_progressed(
            municipality=municipality,
            notice_id=notice_id,
            case_id=await _of_matter(session, municipality, row, "case_id"),
            kind=row.kind,
            reach=row.reach,
            state="not_delivered" if is_lost else "sent",
            version=RECEIPT if is_lost else SETTLED,
            now=now,
        )
        await outbox.publish(session, *event)
    if told == "not_delivered" and row.kind not in MAY_BE_MISSED:
        number = await _of_matter(session, municipality, row, "number")
        await open_task(
            session,
            municipality=municipality,
            notice_id=notice_id,
            matter=Matter(row.appointment_id, row.application_id, row.told_id),
            number=number or "",
            reason="not_delivered",
            now=now,
        )
    return True


async def _of_matter(session: AsyncSession, municipality: str, row: Any, column: str) -> Any:
    """A column of the appointment or of what was handed in; what is told to an account has none of them."""
    if row.told_id is not None:
        return None
    table, key, ref = (
        (appointment, "appointment_id", row.appointment_id)
        if row.appointment_id is not None
        else (application, "application_id", row.application_id)
    )
    query = select(table.c[column]).where(table.c.municipality == municipality, table.c[key] == ref)
    return (await session.execute(query)).scalar_one_or_none()
