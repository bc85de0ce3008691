"""Receipts (配信結果): what a provider tells later about a message that it accepted."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.tasks import open_task
from services.notifications.commands.telling_systems import tell_systems
from services.notifications.commands.told import RECEIPT, SETTLED, notice_progressed
from services.notifications.commands.ways import has_way_left, mark_dead
from services.notifications.domain.notices import MAY_BE_MISSED, OF_TOWN, WAITING, Matter, due_kind
from services.notifications.domain.outcomes import Delivery, is_forward, task_reason
from services.notifications.domain.receipts import ReceiptStatus
from services.notifications.domain.ways import FIRST_WAY
from services.notifications.tables import (
    SERVICE,
    application,
    appointment,
    attempt,
    notice,
    outbox,
    receipt_unmatched,
)
from shared.db import Prepared
from shared.events.notifications import NoticeProgressed, NoticeState
from shared.faults import pass_step
from shared.messaging.due import schedule, unschedule

DUE_MATCH = "match_receipts"
# A receipt whose message is not known is looked at soon, then whenever it has become twice as old, and not for ever.
FIRST_LOOK = timedelta(seconds=5)
UNMATCHED_FOR = timedelta(days=7)

_ATTEMPT = Prepared(f"""
    SELECT attempt_no, delivery, (SELECT n.way_no FROM {SERVICE}.attempt n
                                  WHERE (n.municipality, n.notice_id) = (a.municipality, a.notice_id)
                                  ORDER BY n.attempt_no DESC LIMIT 1) AS newest_way
    FROM {SERVICE}.attempt a
    WHERE (municipality, notice_id, way_no) = (:municipality, :notice_id, :way_no)
    ORDER BY attempt_no DESC LIMIT 1
""")
_TOLD = Prepared(f"""
    UPDATE {SERVICE}.attempt SET delivery = :told
    WHERE (municipality, notice_id, attempt_no) = (:municipality, :notice_id, :attempt_no) AND way_no = :way_no
""")


class DeliveryReceipt(msgspec.Struct, frozen=True):
    """The gateway's callback: `id` is ours, `status` its verdict."""

    id: str
    status: ReceiptStatus


async def record_by_ref(
    session: AsyncSession,
    municipality: str,
    provider: str,
    ref: str,
    status: ReceiptStatus,
    *,
    tag: str = "",
    now: datetime,
) -> bool:
    """`record_receipt` under the provider's own id, or the tag that we gave it: its answer may have been lost. What
    nobody knows yet is kept. Return whether it is known."""
    known = await _attempt_of(session, municipality, provider, ref) or await _attempt_of_tag(session, municipality, tag)
    if known is not None:
        return await record_receipt(session, municipality, known.notice_id, status, way_no=known.way_no, now=now)
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
    known = await _attempt_of(session, municipality, provider, provider_ref)
    age = now - min(row.received_at for row in kept)
    if known is None and age < UNMATCHED_FOR:
        at = now + max(age, FIRST_LOOK)
        await schedule(session, SERVICE, municipality=municipality, kind=DUE_MATCH, ref=ref, due_at=at)
        return
    if known is not None:
        for row in kept:
            await record_receipt(session, municipality, known.notice_id, row.status, way_no=known.way_no, now=now)
    await session.execute(delete(receipt_unmatched).where(these))


async def record_receipt(
    session: AsyncSession,
    municipality: str,
    notice_id: UUID,
    status: ReceiptStatus,
    *,
    way_no: int = FIRST_WAY,
    now: datetime,
    reason: str | None = None,
) -> bool:
    """Note what a provider tells, if it is newer than what we know of that way; return whether the notice is ours.

    A receipt also settles a notice of which we did not know whether the provider had accepted it. What did not arrive
    by one way is sent by the next, as long as it is of use; when none is left, staff are asked. `reason` is a code
    that says why it did not arrive (`domain/outcomes.py`): one that says so ends the way itself.
    """
    found = await session.execute(
        select(notice).where(notice.c.municipality == municipality, notice.c.notice_id == notice_id).with_for_update()
    )
    row = found.one_or_none()
    if row is None:
        return False
    told: Delivery = "not_delivered" if status == "failed" else status
    known = await _note(session, municipality, notice_id, way_no, told)
    if known is None:
        return True
    is_newest = way_no == known.newest_way
    if told == "delivered" or (is_newest and is_forward(row.delivery, told)):
        await _set(session, row, delivery=told)
    # What is on its way again by another way has arrived by this one after all; or nobody knew, and now it is known.
    arrived = told == "delivered" and not is_newest and row.state in WAITING
    if arrived or (is_newest and row.state == "unknown"):
        await _settle_sent(session, row, now=now)
        await outbox.publish(session, *await _event(session, row, "sent", SETTLED, now=now))
    await mark_dead(session, municipality, [(notice_id, way_no, reason)], now=now)
    if told == "not_delivered" and is_newest and row.state in ("sent", "unknown"):
        await _go_on(session, row, reason or "not_delivered", now=now)
    if row.kind in OF_TOWN:
        await tell_systems(session, municipality, [notice_id], now=now)
    return True


async def go_on_if_sent(session: AsyncSession, municipality: str, notice_id: UUID, *, now: datetime) -> None:
    """A receipt said that a notice did not arrive before its attempt was written down as accepted: the next way, or
    staff, now that it is."""
    found = await session.execute(
        select(notice).where(notice.c.municipality == municipality, notice.c.notice_id == notice_id)
    )
    row = found.one()
    if row.state == "sent":
        await _go_on(session, row, "not_delivered", now=now)


async def settle_as_told(
    session: AsyncSession, municipality: str, notice_id: UUID, told: Delivery, *, now: datetime
) -> None:
    """A receipt came, and who would have written down the answer before it is dead: it was accepted, and what did not
    arrive goes on."""
    found = await session.execute(
        select(notice).where(notice.c.municipality == municipality, notice.c.notice_id == notice_id)
    )
    row = found.one()
    await _settle_sent(session, row, now=now)
    await outbox.publish(session, *await _event(session, row, "sent", SETTLED, now=now))
    if told == "not_delivered":
        await _go_on(session, row, told, now=now)


async def _note(session: AsyncSession, municipality: str, notice_id: UUID, way_no: int, told: Delivery) -> Any:
    """Write it to the last attempt by that way; None if there is none, or it says nothing new."""
    about = {"municipality": municipality, "notice_id": notice_id, "way_no": way_no}
    known = await _ATTEMPT.row(session, about)
    if known is None or not is_forward(known.delivery, told):
        return None
    await _TOLD.row(session, about | {"attempt_no": known.attempt_no, "told": told})
    pass_step("receipt.noted")
    return known


async def _settle_sent(session: AsyncSession, row: Any, *, now: datetime) -> None:
    await _set(session, row, state="sent", settled_at=now, reason=None)
    due = due_kind(bulk=row.bulk)
    await unschedule(session, SERVICE, municipality=row.municipality, kind=due, ref=str(row.notice_id))


async def _go_on(session: AsyncSession, row: Any, reason: str, *, now: datetime) -> None:
    """It did not arrive: by the next way at once, or a task for staff."""
    if now < row.useful_until and await has_way_left(session, row.municipality, row.notice_id, row.contact_ref):
        await _set(session, row, state="pending", settled_at=None, reason=reason)
        due, ref = due_kind(bulk=row.bulk), str(row.notice_id)
        await schedule(session, SERVICE, municipality=row.municipality, kind=due, ref=ref, due_at=now)
        return
    await _set(session, row, reason=reason)
    await outbox.publish(session, *await _event(session, row, "not_delivered", RECEIPT, now=now))
    if row.kind in MAY_BE_MISSED:
        return
    await open_task(
        session,
        municipality=row.municipality,
        notice_id=row.notice_id,
        kind=row.kind,
        matter=Matter(row.appointment_id, row.application_id, row.told_id),
        number=await _of_matter(session, row.municipality, row, "number") or "",
        reason=task_reason(reason, "not_delivered"),
        now=now,
    )


async def _event(
    session: AsyncSession, row: Any, state: NoticeState, version: int, *, now: datetime
) -> list[NoticeProgressed]:
    return notice_progressed(
        municipality=row.municipality,
        notice_id=row.notice_id,
        case_id=await _of_matter(session, row.municipality, row, "case_id"),
        kind=row.kind,
        reach=row.reach,
        state=state,
        version=version,
        now=now,
    )


async def _set(session: AsyncSession, row: Any, **values: object) -> None:
    ours = (notice.c.municipality == row.municipality, notice.c.notice_id == row.notice_id)
    await session.execute(update(notice).where(*ours).values(**values))


async def _attempt_of(session: AsyncSession, municipality: str, provider: str, ref: str) -> Any:
    """Of which notice a provider's id is, and of which of its ways; None: of none that we know."""
    query = (
        select(attempt.c.notice_id, attempt.c.way_no)
        .where(attempt.c.municipality == municipality, attempt.c.provider == provider, attempt.c.provider_ref == ref)
        .limit(1)
    )
    return (await session.execute(query)).one_or_none()


async def _attempt_of_tag(session: AsyncSession, municipality: str, tag: str) -> Any:
    query = (
        select(attempt.c.notice_id, attempt.c.way_no)
        .where(attempt.c.municipality == municipality, attempt.c.tag == tag)
        .limit(1)
    )
    return (await session.execute(query)).one_or_none() if tag else None


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
