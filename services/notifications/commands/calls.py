"""Calls (電話): whoever chose to be called becomes a task of staff, as whoever nobody could reach does; and what came
of calling: reached, nobody picked up, or it is somebody else's number.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.by_hand import not_arrived, read_newest, take_back
from services.notifications.commands.dead_ways import tell_state
from services.notifications.commands.receipts import record_receipt
from services.notifications.commands.tasks import complete_task, find_theirs, reopen_task
from services.notifications.commands.telling_systems import tell_systems
from services.notifications.commands.ways import mark_dead
from services.notifications.domain.by_post import DUE_END_CALL
from services.notifications.domain.notices import REMINDERS, due_kind
from services.notifications.domain.outcomes import NO_ANSWER, WRONG_NUMBER
from services.notifications.domain.staff_tasks import CALL_CHOSEN, NEXT_WAY
from services.notifications.orders import read_key
from services.notifications.tables import SERVICE
from shared.audit import record_deed
from shared.db import Prepared
from shared.errors import Refusal
from shared.messaging.due import schedule, unschedule
from shared.tokens import Identity

# Then it goes by the next way; where there is none, staff go on.
CALLS_MAX = 3
# Another hour of the day: whoever works in the morning is there in the afternoon.
CALL_AGAIN_AFTER = timedelta(hours=3)

# Once for each notice and way. A second number of the same person is the same task once more, and so is a number that
# turned out to be theirs after it had gone on by another way.
_LIST = Prepared(f"""
    INSERT INTO {SERVICE}.staff_task AS known (
        municipality, task_id, reason, notice_id, appointment_id, application_id, told_id, number, opened_at, way_no)
    SELECT n.municipality, CAST(:task_id AS uuid), '{CALL_CHOSEN}', n.notice_id, n.appointment_id, n.application_id,
           n.told_id, coalesce(a.number, p.number, ''), CAST(:now AS timestamptz), CAST(:way_no AS int)
    FROM {SERVICE}.notice n
    LEFT JOIN {SERVICE}.appointment a USING (municipality, appointment_id)
    LEFT JOIN {SERVICE}.application p USING (municipality, application_id)
    WHERE (n.municipality, n.notice_id) = (:municipality, :notice_id) FOR KEY SHARE OF n
    ON CONFLICT (municipality, notice_id) DO UPDATE
    SET (reason, opened_at, way_no, tries, again_at, done_at, done_by)
      = (excluded.reason, excluded.opened_at, excluded.way_no, 0, NULL, NULL, NULL)
    WHERE known.way_no IS DISTINCT FROM excluded.way_no OR known.done_by = '{NEXT_WAY}'
""")
_LISTED = Prepared(f"""
    SELECT t.task_id, n.kind, n.useful_until FROM {SERVICE}.staff_task t
    JOIN {SERVICE}.notice n USING (municipality, notice_id)
    WHERE (t.municipality, t.notice_id, t.way_no) = (:municipality, :notice_id, :way_no)
""")
# The page that was pressed on said how often: a second tap counts nothing.
_COUNT = Prepared(f"""
    UPDATE {SERVICE}.staff_task SET tries = tries + 1, again_at = :again_at
    WHERE (municipality, task_id) = (:municipality, :task_id) AND tries = :tries AND done_at IS NULL
    RETURNING tries
""")
_UNCOUNT = Prepared(f"""
    UPDATE {SERVICE}.staff_task SET tries = tries - 1, again_at = NULL
    WHERE (municipality, task_id) = (:municipality, :task_id) AND tries > 0 AND done_at IS NULL RETURNING tries
""")
_IS_OVER = Prepared(f"""
    UPDATE {SERVICE}.staff_task SET reason = :reason
    WHERE (municipality, task_id) = (:municipality, :task_id) AND reason = :was AND done_at IS NULL
    RETURNING task_id
""")
_DONE = Prepared(f"""
    UPDATE {SERVICE}.staff_task SET done_at = :now, done_by = :done_by
    WHERE (municipality, task_id) = (:municipality, :task_id)
""")
_AGAIN = Prepared(f"""
    UPDATE {SERVICE}.staff_task
    SET (reason, done_at, done_by, tries, again_at) = ('{CALL_CHOSEN}', NULL, NULL, greatest(tries - 1, 0), NULL)
    WHERE (municipality, task_id) = (:municipality, :task_id)
""")
# As if nothing was said of it yet: what staff said by mistake is no receipt.
_UNSAY = Prepared(f"""
    UPDATE {SERVICE}.attempt SET delivery = NULL
    WHERE (municipality, notice_id, way_no) = (:municipality, :notice_id, :way_no)
""")
# By this way, as long as it has not gone by another.
_UNSETTLE = Prepared(f"""
    UPDATE {SERVICE}.notice n SET state = 'sent', delivery = 'accepted', reason = NULL, settled_at = :now
    WHERE (n.municipality, n.notice_id) = (:municipality, :notice_id) AND n.state IN ('sent', 'pending')
      AND :way_no = (SELECT way_no FROM {SERVICE}.attempt a
                     WHERE (a.municipality, a.notice_id) = (n.municipality, n.notice_id)
                     ORDER BY attempt_no DESC LIMIT 1)
    RETURNING bulk
""")
_REVIVE = Prepared(f"""
    UPDATE {SERVICE}.contact_way w SET state = 'good', state_at = :now, state_no = w.state_no + 1
    FROM {SERVICE}.notice n, {SERVICE}.contact_point c
    WHERE (n.municipality, n.notice_id) = (:municipality, :notice_id)
      AND (w.municipality, w.contact_ref) = (n.municipality, n.contact_ref) AND w.way_no = :way_no
      AND (c.municipality, c.contact_ref) = (w.municipality, w.contact_ref) AND w.state = 'dead'
    RETURNING w.contact_ref, w.way_no, w.kind, w.state_no, c.case_id
""")


async def list_call(session: AsyncSession, key: str, *, now: datetime) -> str | None:
    """Ask staff to call, once for each key of an order; the task's id. None: its notice was erased."""
    municipality, notice_id, way_no = read_key(key)
    ours = {"municipality": municipality, "notice_id": notice_id, "way_no": way_no}
    await _LIST.row(session, ours | {"task_id": uuid4(), "now": now})
    task = await _LISTED.row(session, ours)
    if task is None:
        return None
    if task.kind in REMINDERS:
        # Of no use any more when it begins.
        over = task.useful_until
        await schedule(session, SERVICE, municipality=municipality, kind=DUE_END_CALL, ref=str(notice_id), due_at=over)
    return str(task.task_id)


async def end_call(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: what somebody was to be reminded of has begun. They are not called any more."""
    for row in await read_newest(session, municipality, [UUID(ref)]):
        if row.kind in REMINDERS and row.starts_at is not None and now >= row.starts_at:
            await take_back(session, municipality, [row.notice_id], "begun", now=now)


async def reached(session: AsyncSession, identity: Identity, task_id: UUID, *, now: datetime) -> None:
    """Staff have reached the person. A second tap changes nothing.

    Raises:
        Refusal: `not_found` (404).
    """
    task = await _find(session, identity, task_id)
    await complete_task(session, identity, task_id, now=now)
    if task.way_no is not None and task.reason == CALL_CHOSEN:
        await record_receipt(session, identity.municipality, task.notice_id, "delivered", way_no=task.way_no, now=now)


async def nobody_answered(
    session: AsyncSession, identity: Identity, task_id: UUID, *, tries: int, now: datetime
) -> None:
    """Nobody picked up, once more than `tries`: it is time again in some hours. After `CALLS_MAX` a call that was
    chosen goes by the next way; where there is none, staff go on.

    Raises:
        Refusal: `not_found` (404).
    """
    task = await _find(session, identity, task_id)
    ours = {"municipality": identity.municipality, "task_id": task_id}
    counted = await _COUNT.row(session, ours | {"tries": tries, "again_at": now + CALL_AGAIN_AFTER})
    if counted is None:
        return
    await record_deed(session, identity, "call_unanswered", task_id, now=now)
    if counted.tries >= CALLS_MAX:
        await _give_up(session, identity, task, NO_ANSWER, now=now)


async def wrong_number(session: AsyncSession, identity: Identity, task_id: UUID, *, now: datetime) -> None:
    """Somebody else picks up: the number is dead, and the next way is taken at once; also when it comes out only after
    nobody had answered for long. A second tap changes nothing.

    Raises:
        Refusal: `not_found` (404): there is none, or it is no call that somebody chose.
    """
    task = await _find(session, identity, task_id)
    ours = {"municipality": identity.municipality, "task_id": task_id}
    if task.way_no is None:
        raise Refusal("not_found", 404)
    if task.reason == NO_ANSWER:
        # By no other way: it has gone by all of them.
        is_new = await _IS_OVER.row(session, ours | {"reason": WRONG_NUMBER, "was": NO_ANSWER}) is not None
        told = [(task.notice_id, task.way_no, WRONG_NUMBER)] if is_new else []
        await mark_dead(session, identity.municipality, told, now=now)
    else:
        is_new = await _give_up(session, identity, task, WRONG_NUMBER, now=now)
    if is_new:
        await record_deed(session, identity, "call_wrong_number", task_id, now=now)


async def undo(session: AsyncSession, identity: Identity, task_id: UUID, *, now: datetime) -> None:
    """Take back what was pressed last. What has gone by another way meanwhile has gone.

    Raises:
        Refusal: `not_found` (404).
    """
    task = await _find(session, identity, task_id)
    about = {
        "municipality": identity.municipality,
        "task_id": task_id,
        "notice_id": task.notice_id,
        "way_no": task.way_no,
        "now": now,
    }
    if task.way_no is not None and task.reason in (WRONG_NUMBER, NO_ANSWER):
        if task.reason == WRONG_NUMBER:
            await _revive(session, identity.municipality, about, now=now)
        await _UNSAY.row(session, about)
        if await _call_again(session, about):
            await _AGAIN.row(session, about)
        await record_deed(session, identity, "task_reopened", task_id, now=now)
    elif task.done_at is not None:
        await reopen_task(session, identity, task_id, now=now)
        if task.way_no is not None:
            await _UNSAY.row(session, about)
            await _UNSETTLE.row(session, about)
    elif await _UNCOUNT.row(session, about) is not None:
        await record_deed(session, identity, "task_reopened", task_id, now=now)
    await tell_systems(session, identity.municipality, [task.notice_id], now=now)


async def _find(session: AsyncSession, identity: Identity, task_id: UUID) -> Any:
    """The task; its notice is locked first, as everybody locks them."""
    task = await find_theirs(session, identity, task_id)
    await read_newest(session, identity.municipality, [task.notice_id])
    return await find_theirs(session, identity, task_id)


async def _give_up(session: AsyncSession, identity: Identity, task: Any, code: str, *, now: datetime) -> bool:
    """Of a call that was chosen: the next way, or the task stays, and says why. Whether it was one."""
    ours = {"municipality": identity.municipality, "task_id": task.task_id}
    if task.way_no is None or await _IS_OVER.row(session, ours | {"reason": code, "was": CALL_CHOSEN}) is None:
        return False
    if await not_arrived(session, identity.municipality, task.notice_id, task.way_no, code, now=now):
        await _DONE.row(session, ours | {"done_by": NEXT_WAY, "now": now})
    return True


async def _call_again(session: AsyncSession, about: dict[str, Any]) -> bool:
    """Whether it is to be called once more: it has gone by no other way."""
    notice = await _UNSETTLE.row(session, about)
    if notice is not None:
        due, ref = due_kind(bulk=notice.bulk), str(about["notice_id"])
        await unschedule(session, SERVICE, municipality=about["municipality"], kind=due, ref=ref)
    return notice is not None


async def _revive(session: AsyncSession, municipality: str, about: dict[str, Any], *, now: datetime) -> None:
    way = await _REVIVE.row(session, about)
    if way is not None:
        await tell_state(session, municipality, way.case_id, way, is_dead=False, now=now)
