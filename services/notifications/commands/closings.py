"""What a closing asks of us: who has not heard of it need not, and whom no message reaches, or who does not answer,
becomes a task for staff."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.notices import Kind
from services.notifications.domain.staff_tasks import BY_ITSELF_SQL, CLOSING
from services.notifications.tables import SERVICE
from shared.db import Prepared

NO_CONTACT, NOT_MOVED = "no_contact", "not_moved"

_TAKE_BACK = Prepared(f"""
    UPDATE {SERVICE}.notice SET state = 'superseded', reason = 'overtaken', settled_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND kind = 'closure' AND state = 'pending'
""")
_END_TASKS = Prepared(f"""
    UPDATE {SERVICE}.staff_task t SET done_at = :now, done_by = '{CLOSING}'
    FROM {SERVICE}.notice n
    WHERE (t.municipality, t.appointment_id) = (:municipality, :appointment_id) AND t.done_at IS NULL
      AND (n.municipality, n.notice_id) = (t.municipality, t.notice_id) AND n.kind = 'closure'
""")
_HAS_HEARD = Prepared(f"""
    SELECT EXISTS (
        SELECT FROM {SERVICE}.notice n
        LEFT JOIN {SERVICE}.staff_task t ON (t.municipality, t.notice_id) = (n.municipality, n.notice_id)
        WHERE (n.municipality, n.appointment_id) = (:municipality, :appointment_id) AND n.kind = 'closure'
          AND (n.state IN ('sending', 'sent', 'unknown')
               OR (t.done_at IS NOT NULL AND t.done_by NOT IN ({BY_ITSELF_SQL})))) AS has_heard
""")
# One for each notice; a task that was done is there again.
_ASK_STAFF = Prepared(f"""
    INSERT INTO {SERVICE}.staff_task AS known
        (municipality, task_id, reason, notice_id, appointment_id, number, opened_at)
    SELECT n.municipality, CAST(:task_id AS uuid), CAST(:reason AS text), n.notice_id, n.appointment_id,
           CAST(:number AS text), CAST(:now AS timestamptz)
    FROM {SERVICE}.notice n
    WHERE (n.municipality, n.appointment_id) = (:municipality, :appointment_id) AND n.kind = :kind
    ORDER BY n.appointment_version DESC LIMIT 1
    ON CONFLICT (municipality, notice_id) DO UPDATE
    SET reason = excluded.reason, opened_at = excluded.opened_at, done_at = NULL, done_by = NULL
    WHERE known.done_at IS NOT NULL
""")


async def take_back_closure(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> bool:
    """What waits to be told of a closing is not true any more; return whether the person may have heard of it."""
    mine = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    await _TAKE_BACK.row(session, mine)
    await _END_TASKS.row(session, mine)
    row = await _HAS_HEARD.row(session, mine)
    return row is not None and bool(row.has_heard)


async def ask_staff(
    session: AsyncSession, municipality: str, appointment_id: UUID, number: str, kind: Kind, reason: str, *,
    now: datetime,
) -> None:  # fmt: skip
    """Somebody was told by nobody, or does not answer: staff are to reach them, by the newest notice of this kind."""
    asked = {
        "municipality": municipality, "appointment_id": appointment_id, "number": number, "kind": kind,
        "reason": reason, "task_id": uuid4(), "now": now,
    }  # fmt: skip
    await _ASK_STAFF.row(session, asked)
