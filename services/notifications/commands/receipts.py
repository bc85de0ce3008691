"""Receipts (配信結果): what a provider tells later about a message that it accepted."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.tasks import open_task
from services.notifications.commands.told import RECEIPT, SETTLED, notice_progressed
from services.notifications.commands.ways import has_way_left
from services.notifications.domain.notices import MAY_BE_MISSED, WAITING, Matter, due_kind
from services.notifications.domain.outcomes import Delivery, is_forward
from services.notifications.domain.ways import FIRST_WAY
from services.notifications.tables import SERVICE, application, appointment, notice, outbox
from shared.db import Prepared
from shared.events.notifications import NoticeProgressed, NoticeState
from shared.messaging.due import schedule, unschedule

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
    status: Literal["accepted", "delivered", "failed"]


async def record_receipt(
    session: AsyncSession, municipality: str, notice_id: UUID, status: str, *, way_no: int = FIRST_WAY, now: datetime
) -> bool:
    """Note what a provider tells, if it is newer than what we know of that way; return whether the notice is ours.

    A receipt also settles a notice of which we did not know whether the provider had accepted it. What did not arrive
    by one way is sent by the next, as long as it is of use; when none is left, staff are asked.
    """
    found = await session.execute(
        select(notice).where(notice.c.municipality == municipality, notice.c.notice_id == notice_id).with_for_update()
    )
    row = found.one_or_none()
    if row is None:
        return False
    told: Delivery = "not_delivered" if status == "failed" else status  # type: ignore[assignment]
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
    if told == "not_delivered" and is_newest and row.state in ("sent", "unknown"):
        await _go_on(session, row, now=now)
    return True


async def _note(session: AsyncSession, municipality: str, notice_id: UUID, way_no: int, told: Delivery) -> Any:
    """Write it to the last attempt by that way; None if there is none, or it says nothing new."""
    about = {"municipality": municipality, "notice_id": notice_id, "way_no": way_no}
    known = await _ATTEMPT.row(session, about)
    if known is None or not is_forward(known.delivery, told):
        return None
    await _TOLD.row(session, about | {"attempt_no": known.attempt_no, "told": told})
    return known


async def _settle_sent(session: AsyncSession, row: Any, *, now: datetime) -> None:
    await _set(session, row, state="sent", settled_at=now, reason=None)
    due = due_kind(bulk=row.bulk)
    await unschedule(session, SERVICE, municipality=row.municipality, kind=due, ref=str(row.notice_id))


async def _go_on(session: AsyncSession, row: Any, *, now: datetime) -> None:
    """It did not arrive: by the next way at once, or a task for staff."""
    if now < row.useful_until and await has_way_left(session, row.municipality, row.notice_id, row.contact_ref):
        await _set(session, row, state="pending", settled_at=None, reason="not_delivered")
        due, ref = due_kind(bulk=row.bulk), str(row.notice_id)
        await schedule(session, SERVICE, municipality=row.municipality, kind=due, ref=ref, due_at=now)
        return
    await outbox.publish(session, *await _event(session, row, "not_delivered", RECEIPT, now=now))
    if row.kind in MAY_BE_MISSED:
        return
    await open_task(
        session,
        municipality=row.municipality,
        notice_id=row.notice_id,
        matter=Matter(row.appointment_id, row.application_id, row.told_id),
        number=await _of_matter(session, row.municipality, row, "number") or "",
        reason="not_delivered",
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
