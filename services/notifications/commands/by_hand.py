"""What is common to letters and calls: one that is not true any more is taken back, and one that did not arrive goes by
the next way."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.notice_rows import newest_of, select_notices
from services.notifications.commands.receipts import record_receipt
from services.notifications.commands.telling_systems import tell_systems
from services.notifications.domain.notices import (
    CALLED_OFF,
    REMINDERS,
    UNSETTLED,
    Matter,
    is_overtaken,
    useful_until,
)
from services.notifications.domain.staff_tasks import CALL_CHOSEN, OVERTAKEN
from services.notifications.domain.stops import is_stopped
from services.notifications.tables import SERVICE
from shared.db import Prepared

# Of a notice `n`: it is told by hand, and nobody has begun: in no batch to be printed, and nobody was reached.
NOT_BEGUN = f"""
    n.state = 'sent' AND (
        EXISTS (SELECT FROM {SERVICE}.letter l
                WHERE (l.municipality, l.notice_id) = (n.municipality, n.notice_id)
                  AND l.batch_id IS NULL AND l.taken_out_at IS NULL)
        OR EXISTS (SELECT FROM {SERVICE}.staff_task t
                   WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id)
                     AND t.reason = '{CALL_CHOSEN}' AND t.done_at IS NULL))
"""
_OF_MATTER = Prepared(f"""
    SELECT n.notice_id FROM {SERVICE}.notice n
    WHERE n.municipality = :municipality
      AND (n.appointment_id = :appointment_id OR n.application_id = :application_id) AND {NOT_BEGUN}
    ORDER BY n.notice_id
""")
_NOT_BEGUN = Prepared(f"""
    SELECT n.notice_id FROM {SERVICE}.notice n
    WHERE (n.municipality, n.notice_id) = (:municipality, :notice_id) AND {NOT_BEGUN} FOR UPDATE OF n
""")
_OF_BULK = f"""
    FROM {SERVICE}.told w JOIN {SERVICE}.notice n ON (n.municipality, n.told_id) = (w.municipality, w.told_id)
    WHERE (w.municipality, w.bulk_id) = (:municipality, CAST(:bulk_id AS uuid)) AND {NOT_BEGUN}
"""
_WAITING_OF_BULK = Prepared(f"""
    SELECT n.notice_id {_OF_BULK} ORDER BY n.notice_id LIMIT CAST(:batch AS int) FOR UPDATE OF n
""")
_COUNT_OF_BULK = Prepared(f"SELECT count(*) AS count {_OF_BULK}")
_TAKE_OUT = Prepared(f"""
    UPDATE {SERVICE}.letter SET taken_out_at = :now, content_sealed = NULL, wrapped_key = NULL
    WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))
      AND taken_out_at IS NULL AND came_back_at IS NULL
""")
_END_TASKS = Prepared(f"""
    UPDATE {SERVICE}.staff_task SET done_at = :now, done_by = '{OVERTAKEN}'
    WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))
      AND reason = '{CALL_CHOSEN}' AND done_at IS NULL
""")
_SUPERSEDE = Prepared(f"""
    UPDATE {SERVICE}.notice SET state = 'superseded', reason = :reason, settled_at = :now, delivery = NULL
    WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[])) AND state = 'sent'
""")
_RENEW = Prepared(f"""
    UPDATE {SERVICE}.notice SET useful_until = greatest(useful_until, :useful_until)
    WHERE (municipality, notice_id) = (:municipality, :notice_id)
""")
_STATE = Prepared(f"""
    SELECT state FROM {SERVICE}.notice WHERE (municipality, notice_id) = (:municipality, :notice_id)
""")


async def read_newest(session: AsyncSession, municipality: str, notice_ids: Sequence[UUID]) -> Sequence[Any]:
    """These notices, locked, with the newest state of what they are about."""
    return (await session.execute(select_notices(municipality, notice_ids))).all() if notice_ids else []


def why_not(row: Any, *, now: datetime) -> str | None:
    """Why a notice that was taken over by hand is not to be told after all; None: it is."""
    newest = newest_of(row)
    if row.bulk_state == "stopped":
        return CALLED_OFF
    # Of what is just being put into the queue nobody has written down yet that it was.
    if row.state not in ("sent", *UNSETTLED) or is_overtaken(row.kind, row.sequence, newest):
        return "overtaken"
    if is_stopped(row.kind, tuple(row.stopped or ())) or row.contact_reach in (None, "none"):
        return "stopped"
    return "begun" if row.kind in REMINDERS and row.starts_at is not None and now >= row.starts_at else None


async def take_back(
    session: AsyncSession, municipality: str, notice_ids: Collection[UUID], reason: str, *, now: datetime
) -> None:
    """These are neither printed nor called any more: they are not to be told."""
    gone = {"municipality": municipality, "notices": list(notice_ids), "now": now}
    await take_out(session, municipality, notice_ids, now=now)
    await _END_TASKS.row(session, gone)
    await _SUPERSEDE.row(session, gone | {"reason": reason})
    await tell_systems(session, municipality, notice_ids, now=now)


async def take_out(session: AsyncSession, municipality: str, notice_ids: Collection[UUID], *, now: datetime) -> None:
    """The letters of these are not printed, and what is written in them is forgotten."""
    await _TAKE_OUT.row(session, {"municipality": municipality, "notices": list(notice_ids), "now": now})


async def take_back_overtaken(session: AsyncSession, municipality: str, matter: Matter, *, now: datetime) -> None:
    """Of what an appointment, or something handed in, has overtaken: what nobody has printed or called yet."""
    about = {"appointment_id": matter.appointment_id, "application_id": matter.application_id}
    waiting = await _OF_MATTER.rows(session, {"municipality": municipality} | about)
    rows = await read_newest(session, municipality, [row.notice_id for row in waiting])
    if over := [row.notice_id for row in rows if why_not(row, now=now) is not None]:
        await take_back(session, municipality, over, "overtaken", now=now)


async def take_back_not_begun(
    session: AsyncSession, municipality: str, notice_id: UUID, reason: str, *, now: datetime
) -> bool:
    """One notice; whether nobody had printed it, or called about it, yet."""
    waits = await _NOT_BEGUN.row(session, {"municipality": municipality, "notice_id": notice_id}) is not None
    if waits:
        await take_back(session, municipality, [notice_id], reason, now=now)
    return waits


async def take_back_bulk(session: AsyncSession, municipality: str, bulk_id: UUID, *, batch: int, now: datetime) -> int:
    """Of a bulk notice that was stopped, at most so many; return how many."""
    asked = {"municipality": municipality, "bulk_id": bulk_id, "batch": batch}
    waiting = [row.notice_id for row in await _WAITING_OF_BULK.rows(session, asked)]
    if waiting:
        await take_back(session, municipality, waiting, CALLED_OFF, now=now)
    return len(waiting)


async def count_not_begun(session: AsyncSession, municipality: str, bulk_id: UUID) -> int:
    """Of a bulk notice: to how many staff are still to print a letter, or to call."""
    row = await _COUNT_OF_BULK.row(session, {"municipality": municipality, "bulk_id": bulk_id})
    return int(row.count)


async def not_arrived(
    session: AsyncSession, municipality: str, notice_id: UUID, way_no: int, code: str, *, now: datetime
) -> bool:
    """It did not arrive by hand, for this reason (`domain/outcomes.py`): the next way at once, or a task of staff.
    Whether there is another way.

    Days have passed: as long as what it tells of is still ahead, it is as useful as on the first.
    """
    about = {"municipality": municipality, "notice_id": notice_id}
    [row] = await read_newest(session, municipality, [notice_id])
    if row.starts_at is None or row.starts_at > now:
        useful = useful_until(row.kind, starts_at=row.starts_at, offer_until=row.offer_until, now=now)
        await _RENEW.row(session, about | {"useful_until": useful})
    await record_receipt(session, municipality, notice_id, "failed", way_no=way_no, reason=code, now=now)
    after = await _STATE.row(session, about)
    return after is not None and after.state == "pending"
