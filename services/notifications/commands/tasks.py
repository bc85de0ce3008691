"""Tasks for staff (職員が連絡): somebody whom nobody could reach, until staff have called them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.accounts import read_account_contacts
from services.notifications.commands.contacts import Contact, Look, read_address_for_staff
from services.notifications.commands.telling import open_content
from services.notifications.domain.notices import REMINDERS, Kind, Matter
from services.notifications.domain.staff_tasks import BY_ITSELF, CALL_CHOSEN, NEXT_WAY
from services.notifications.tables import SERVICE, application, appointment, notice, staff_task, told
from shared.audit import record_deed
from shared.crypto import SealBroken, SubjectVault
from shared.db import Prepared
from shared.errors import Refusal
from shared.tokens import Identity

# What is read of the appointment or of what was handed in, that a task is about.
OF_EITHER = ("procedure", "case_id")
# Who may reach residents; a coordinator reaches helpers only.
REACHES_RESIDENTS = ("counter", "manager")

# By which staff know somebody whom the town told something that is about no number: their newest appointment, or what
# they handed in last.
_NUMBER = Prepared(f"""
    SELECT known.number FROM {SERVICE}.told t
    JOIN {SERVICE}.contact_point c ON (c.municipality, c.contact_ref) = (t.municipality, t.contact_ref)
    CROSS JOIN LATERAL (
        SELECT a.number, 1 AS rank, a.starts_at FROM {SERVICE}.appointment a
        WHERE (a.municipality, a.subject_ref) = (c.municipality, c.subject_ref)
        UNION ALL
        SELECT h.number, 2, NULL FROM {SERVICE}.application h
        WHERE (h.municipality, h.subject_ref) = (c.municipality, c.subject_ref) AND h.number <> '') AS known
    WHERE (t.municipality, t.told_id) = (:municipality, :told_id)
    ORDER BY known.rank, known.starts_at DESC LIMIT 1
""")


async def open_task(
    session: AsyncSession,
    *,
    municipality: str,
    notice_id: UUID,
    kind: Kind,
    matter: Matter,
    number: str,
    reason: str,
    now: datetime,
) -> None:
    """Ask staff to reach the person of a notice; once for each notice, and not for a reminder of what they call, or
    have called, the person about anyway, nor for what they had sent again and still are to call about.

    A call that somebody chose, and that went on by another way, is their task once more: that way has failed too."""
    if kind in REMINDERS and await _is_called_anyway(session, municipality, matter):
        return
    if await _is_asked_already(session, municipality, notice_id, matter):
        return
    if matter.told_id is not None and not number:
        known = await _NUMBER.row(session, {"municipality": municipality, "told_id": matter.told_id})
        number = known.number if known else ""
    new = upsert(staff_task)
    again: dict[str, Any] = {name: new.excluded[name] for name in ("reason", "opened_at")}
    again |= {"tries": 0} | dict.fromkeys(("done_at", "done_by", "again_at", "way_no"))
    await session.execute(
        new.values(
            municipality=municipality,
            task_id=uuid4(),
            reason=reason,
            notice_id=notice_id,
            **matter._asdict(),
            number=number,
            opened_at=now,
        ).on_conflict_do_update(
            index_elements=["municipality", "notice_id"], set_=again, where=staff_task.c.done_by == NEXT_WAY
        )
    )


async def _is_called_anyway(session: AsyncSession, municipality: str, matter: Matter) -> bool:
    """Whether staff are to reach, or have reached, the person about it because nobody else did. What the person chose
    to be called about is one notice alone."""
    same = [staff_task.c[name] == ref for name, ref in matter._asdict().items() if ref is not None]
    of_staff = or_(staff_task.c.done_at.is_(None), staff_task.c.done_by.not_in(BY_ITSELF))
    query = (
        select(staff_task.c.task_id)
        .where(staff_task.c.municipality == municipality, *same, staff_task.c.reason != CALL_CHOSEN, of_staff)
        .limit(1)
    )
    return (await session.execute(query)).first() is not None


async def _is_asked_already(session: AsyncSession, municipality: str, notice_id: UUID, matter: Matter) -> bool:
    """Whether this notice was sent again, and the task of one before it is still open."""
    again, before = notice.alias("again"), notice.alias("before")
    same = [before.c[name] == ref for name, ref in matter._asdict().items() if ref is not None]
    query = (
        select(staff_task.c.task_id)
        .join(before, _of_town(before, staff_task, "notice_id"))
        .join(again, and_(again.c.municipality == before.c.municipality, again.c.kind == before.c.kind))
        .where(
            again.c.municipality == municipality,
            again.c.notice_id == notice_id,
            again.c.again_of.is_not(None),
            staff_task.c.done_at.is_(None),
            *same,
        )
        .limit(1)
    )
    return (await session.execute(query)).first() is not None


def _of_town(table: FromClause, other: FromClause, name: str) -> ColumnElement[bool]:
    """The rows of two tables that belong together by a key."""
    return and_(table.c.municipality == other.c.municipality, table.c[name] == other.c[name])


def may_reach_residents(identity: Identity) -> bool:
    """Whether somebody sees notices and tasks of residents too, and not of helpers alone."""
    return any(identity.has_role(role) for role in REACHES_RESIDENTS)


async def find_theirs(session: AsyncSession, identity: Identity, task_id: UUID) -> Row[Any]:
    """A task, open or done, that somebody may see.

    Raises:
        Refusal: `not_found` (404).
    """
    found = (await session.execute(select(staff_task).where(*_theirs(identity, task_id)).limit(1))).one_or_none()
    if found is None:
        raise Refusal("not_found", 404)
    return found


async def complete_task(session: AsyncSession, identity: Identity, task_id: UUID, *, now: datetime) -> None:
    """Note that staff have reached the person. A second tap changes nothing.

    Raises:
        Refusal: `not_found` (404), this town has no such task.
    """
    ours = _theirs(identity, task_id)
    done = await session.execute(
        update(staff_task)
        .where(*ours, staff_task.c.done_at.is_(None))
        .values(done_at=now, done_by=identity.ref)
        .returning(staff_task.c.task_id)
    )
    if done.one_or_none() is None:
        await find_theirs(session, identity, task_id)
        return
    await record_deed(session, identity, "task_completed", task_id, now=now)


async def reopen_task(session: AsyncSession, identity: Identity, task_id: UUID, *, now: datetime) -> None:
    """Take back that staff have reached the person: the wrong button was pressed. A second tap changes nothing.

    Raises:
        Refusal: `not_found` (404), this town has no such task.
    """
    ours = _theirs(identity, task_id)
    reopened = await session.execute(
        update(staff_task)
        .where(*ours, staff_task.c.done_at.is_not(None))
        .values(done_at=None, done_by=None)
        .returning(staff_task.c.task_id)
    )
    if reopened.one_or_none() is not None:
        await record_deed(session, identity, "task_reopened", task_id, now=now)
        return
    await find_theirs(session, identity, task_id)


async def view_contact(
    session: AsyncSession, vault: SubjectVault, identity: Identity, task_id: UUID, *, now: datetime
) -> Contact | None:
    """How to reach the person of an open task, for staff who asked for it; None if nothing is known.

    A resident reads of it: `read_address_for_staff` writes the ledger's entry in this transaction. Of a helper, and of
    an address that another system of the town gave, the audit alone knows.

    Raises:
        Refusal: `not_found` (404), this town has no such task, or it is done: there is no reason to look.
    """
    found = (await session.execute(_select_whom(identity, task_id))).one_or_none()
    if found is None:
        raise Refusal("not_found", 404)
    await record_deed(session, identity, "contact_viewed", task_id, now=now)
    if found.account_ref is not None:
        accounts = await read_account_contacts(session, vault, identity.municipality, [found.account_ref])
        return accounts.get(found.account_ref)
    if found.contact_ref is not None:
        look = Look(
            task_id=task_id,
            contact_ref=found.contact_ref,
            way_no=found.way_no,
            procedure=found.procedure,
            case_id=found.case_id,
        )
        return await read_address_for_staff(session, vault, identity, look, now=now)
    return _address_of_content(vault, identity.municipality, found)


def _select_whom(identity: Identity, task_id: UUID) -> Select[Any]:
    """Whom the open task is about: of the appointment, of what was handed in, or of what was told."""
    return (
        select(
            func.coalesce(*(table.c.contact_ref for table in (appointment, application, told))).label("contact_ref"),
            *(func.coalesce(appointment.c[name], application.c[name]).label(name) for name in OF_EITHER),
            staff_task.c.way_no,
            told.c.account_ref,
            told.c.told_id,
            told.c.reach,
            told.c.content_sealed,
            told.c.wrapped_key,
        )
        .select_from(staff_task)
        .outerjoin(appointment, _of_town(appointment, staff_task, "appointment_id"))
        .outerjoin(application, _of_town(application, staff_task, "application_id"))
        .outerjoin(told, _of_town(told, staff_task, "told_id"))
        .where(*_theirs(identity, task_id), staff_task.c.done_at.is_(None))
    )


def _address_of_content(vault: SubjectVault, municipality: str, found: Row[Any]) -> Contact | None:
    """The address that was given with the word itself, as long as it is kept."""
    if found.told_id is None or found.reach is None:
        return None
    try:
        content = open_content(vault, municipality, found.told_id, found.content_sealed, found.wrapped_key)
    except SealBroken:
        return None
    return Contact(reach=found.reach, address=content.address) if content.address else None


def _theirs(identity: Identity, task_id: UUID) -> list[ColumnElement[bool]]:
    """This task, if it is one of theirs."""
    theirs = [staff_task.c.municipality == identity.municipality, staff_task.c.task_id == task_id]
    word = told.alias("word")
    of_account = exists().where(_of_town(word, staff_task, "told_id"), word.c.account_ref.is_not(None))
    return theirs if may_reach_residents(identity) else [*theirs, of_account]
