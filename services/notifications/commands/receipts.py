"""Receipts (配信結果): what a provider tells later about a message that it accepted."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.tasks import open_task
from services.notifications.commands.told import RECEIPT, SETTLED, notice_progressed
from services.notifications.domain.notices import MAY_BE_MISSED, Matter, due_kind
from services.notifications.domain.outcomes import Delivery, is_forward
from services.notifications.domain.receipts import ReceiptStatus
from services.notifications.tables import (
    SERVICE,
    application,
    appointment,
    attempt,
    notice,
    outbox,
    receipt_unmatched,
)
from shared.messaging.due import schedule, unschedule

DUE_MATCH = "match_receipts"
# A receipt whose message is not known is looked at soon, then whenever it has become twice as old, and not for ever.
FIRST_LOOK = timedelta(seconds=5)
UNMATCHED_FOR = timedelta(days=7)


class DeliveryReceipt(msgspec.Struct, frozen=True):
    """The gateway's callback: `id` is ours, `status` its verdict."""

    id: str
    status: ReceiptStatus


async def record_by_ref(
    session: AsyncSession, municipality: str, provider: str, ref: str, status: ReceiptStatus, *, now: datetime
) -> bool:
    """`record_receipt` under the provider's own id; what nobody knows yet is kept. Return whether it is known."""
    notice_id = await _notice_of(session, municipality, provider, ref)
    if notice_id is not None:
        return await record_receipt(session, municipality, notice_id, status, now=now)
    kept = {"municipality": municipality, "provider": provider, "provider_ref": ref, "status": status}
    await session.execute(insert(receipt_unmatched).values(**kept, received_at=now).on_conflict_do_nothing())
    due_ref = f"{provider}:{ref}"
    await schedule(
        session, SERVICE, municipality=municipality, kind=DUE_MATCH, ref=due_ref, due_at=now + FIRST_LOOK, keep=True
    )
    return False


async def match_receipts(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: record the receipts of a message, if its attempt is known by now; forget them when they are old."""
    provider, _, provider_ref = ref.partition(":")
    these = (
        (receipt_unmatched.c.municipality == municipality)
        & (receipt_unmatched.c.provider == provider)
        & (receipt_unmatched.c.provider_ref == provider_ref)
    )
    kept = (await session.execute(select(receipt_unmatched).where(these))).all()
    if not kept:
        return
    notice_id = await _notice_of(session, municipality, provider, provider_ref)
    age = now - min(row.received_at for row in kept)
    if notice_id is None and age < UNMATCHED_FOR:
        at = now + max(age, FIRST_LOOK)
        await schedule(session, SERVICE, municipality=municipality, kind=DUE_MATCH, ref=ref, due_at=at)
        return
    if notice_id is not None:
        for row in kept:
            await record_receipt(session, municipality, notice_id, row.status, now=now)
    await session.execute(delete(receipt_unmatched).where(these))


async def record_receipt(
    session: AsyncSession,
    municipality: str,
    notice_id: UUID,
    status: ReceiptStatus,
    *,
    now: datetime,
    reason: str | None = None,
) -> bool:
    """Note what a provider tells, if it is newer than what we know; return whether the notice is ours.

    `reason` is a code that says why it did not arrive (`domain/outcomes.py`).
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
    told: Delivery = "not_delivered" if status == "failed" else status
    if not is_forward(row.delivery, told):
        return True
    values: dict[str, object] = {"delivery": told}
    if row.state == "unknown":
        values |= {"state": "sent", "settled_at": now, "reason": None}
        due = due_kind(bulk=row.bulk)
        await unschedule(session, SERVICE, municipality=municipality, kind=due, ref=str(notice_id))
    if reason is not None:
        values["reason"] = reason
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


async def _notice_of(session: AsyncSession, municipality: str, provider: str, ref: str) -> UUID | None:
    query = (
        select(attempt.c.notice_id)
        .where(attempt.c.municipality == municipality, attempt.c.provider == provider, attempt.c.provider_ref == ref)
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


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
