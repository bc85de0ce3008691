"""Tasks for staff (職員が連絡): somebody whom nobody could reach, until staff have called them."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.accounts import read_account_contacts
from services.notifications.commands.contacts import Contact, Look, read_address_for_staff
from services.notifications.commands.telling import open_content
from services.notifications.domain.notices import REMINDERS, Kind, Matter
from services.notifications.tables import application, appointment, staff_task, told
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity

# What is read of the appointment or of what was handed in, that a task is about.
OF_EITHER = ("contact_ref", "procedure", "case_id")
# Who may reach residents; a coordinator reaches helpers only.
REACHES_RESIDENTS = ("counter", "manager")


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
    have called, the person about anyway."""
    if kind in REMINDERS and await _is_called_anyway(session, municipality, matter):
        return
    await session.execute(
        upsert(staff_task)
        .values(
            municipality=municipality,
            task_id=uuid4(),
            reason=reason,
            notice_id=notice_id,
            **matter._asdict(),
            number=number,
            opened_at=now,
        )
        .on_conflict_do_nothing()
    )


async def _is_called_anyway(session: AsyncSession, municipality: str, matter: Matter) -> bool:
    same = [staff_task.c[name] == ref for name, ref in matter._asdict().items() if ref is not None]
    query = select(staff_task.c.task_id).where(staff_task.c.municipality == municipality, *same).limit(1)
    return (await session.execute(query)).first() is not None


def may_reach_residents(identity: Identity) -> bool:
    """Whether somebody sees notices and tasks of residents too, and not of helpers alone."""
    return any(identity.has_role(role) for role in REACHES_RESIDENTS)


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
        known = await session.execute(staff_task.select().where(*ours).limit(1))
        if known.first() is None:
            raise Refusal("not_found", 404)
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
    known = await session.execute(staff_task.select().where(*ours).limit(1))
    if known.first() is None:
        raise Refusal("not_found", 404)


async def view_contact(
    session: AsyncSession, vault: SubjectVault, identity: Identity, task_id: UUID, *, now: datetime
) -> Contact | None:
    """How to reach the person of an open task, for staff who asked for it; None if nothing is known.

    A resident reads of it: `read_address_for_staff` writes the ledger's entry in this transaction. Of a helper, and of
    an address that another system gave, the audit alone knows.

    Raises:
        Refusal: `not_found` (404), this town has no such task, or it is done: there is no reason to look.
    """
    found = (
        await session.execute(
            select(
                *(func.coalesce(appointment.c[name], application.c[name]).label(name) for name in OF_EITHER),
                told.c.account_ref,
                told.c.told_id,
                told.c.contact_ref.label("told_contact"),
                told.c.reach,
                told.c.content_sealed,
                told.c.wrapped_key,
            )
            .select_from(staff_task)
            .outerjoin(
                appointment,
                and_(
                    appointment.c.municipality == staff_task.c.municipality,
                    appointment.c.appointment_id == staff_task.c.appointment_id,
                ),
            )
            .outerjoin(
                application,
                and_(
                    application.c.municipality == staff_task.c.municipality,
                    application.c.application_id == staff_task.c.application_id,
                ),
            )
            .outerjoin(
                told, and_(told.c.municipality == staff_task.c.municipality, told.c.told_id == staff_task.c.told_id)
            )
            .where(*_theirs(identity, task_id), staff_task.c.done_at.is_(None))
        )
    ).one_or_none()
    if found is None:
        raise Refusal("not_found", 404)
    await record_deed(session, identity, "contact_viewed", task_id, now=now)
    if found.account_ref is not None:
        accounts = await read_account_contacts(session, vault, identity.municipality, [found.account_ref])
        return accounts.get(found.account_ref)
    if found.reach is not None:
        # Only what was to be told has the address, and its person is nobody that we know.
        content = open_content(vault, identity.municipality, found.told_id, found.content_sealed, found.wrapped_key)
        return Contact(reach=found.reach, address=content.address) if content.address else None
    contact_ref = found.contact_ref or found.told_contact
    if contact_ref is None:
        return None
    look = Look(task_id=task_id, contact_ref=contact_ref, procedure=found.procedure, case_id=found.case_id)
    return await read_address_for_staff(session, vault, identity, look, now=now)


def _theirs(identity: Identity, task_id: UUID) -> list[ColumnElement[bool]]:
    """This task, if it is one of theirs."""
    theirs = [staff_task.c.municipality == identity.municipality, staff_task.c.task_id == task_id]
    # What was told is looked up anew, also where the question has it already.
    of_account = (
        exists()
        .where(
            told.c.municipality == staff_task.c.municipality,
            told.c.told_id == staff_task.c.told_id,
            told.c.account_ref.is_not(None),
        )
        .correlate(staff_task)
    )
    return theirs if may_reach_residents(identity) else [*theirs, of_account]
