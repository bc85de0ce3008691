"""Erasing a person here, or what is left of one case: addresses and every notice go; with the person, their key."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.contacts import ITEM
from services.notifications.tables import NAME_SUBJECTS, SERVICE, ledger, outbox
from shared.erasure import bury, erased_entry, forget_told, list_risen
from shared.events.notifications import SubjectErasureDone
from shared.events.routing import CaseErased, ErasureReason, SubjectErased

OF_SUBJECT = "municipality = :municipality AND subject_ref = :subject_ref"
OF_CASE = "municipality = :municipality AND case_id = :case_id"
OF_CONTACT = "municipality = :municipality AND contact_ref = :contact_ref"

_LOCK_MATTERS = f"""
    SELECT appointment_id FROM {SERVICE}.appointment WHERE {{whose}} ORDER BY appointment_id FOR UPDATE;
    SELECT application_id FROM {SERVICE}.application WHERE {{whose}} ORDER BY application_id FOR UPDATE
"""
_LOCK_CONTACTS = f"""
    SELECT reach FROM {SERVICE}.contact_point WHERE {{whose}} ORDER BY contact_ref FOR UPDATE
"""
# Locked like those who send them do, in their order.
_NOTICES = text(f"""
    SELECT notice_id FROM {SERVICE}.notice
    WHERE municipality = :municipality AND (appointment_id = ANY (CAST(:matters AS uuid[]))
          OR application_id = ANY (CAST(:matters AS uuid[])) OR told_id = ANY (CAST(:matters AS uuid[])))
    ORDER BY notice_id FOR UPDATE
""")
_OF_NOTICES = "municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))"
# A reminder is due under its appointment and its rule.
_FORGET = tuple(
    text(f"DELETE FROM {SERVICE}.{statement}")
    for statement in (
        f"staff_task WHERE {_OF_NOTICES}",
        f"attempt WHERE {_OF_NOTICES}",
        f"notice WHERE {_OF_NOTICES}",
        "due WHERE municipality = :municipality AND split_part(ref, ':', 1) = ANY (CAST(:refs AS text[]))",
        "appointment WHERE municipality = :municipality AND appointment_id = ANY (CAST(:matters AS uuid[]))",
        "application WHERE municipality = :municipality AND application_id = ANY (CAST(:matters AS uuid[]))",
        # With what other systems asked for (`api_notice`).
        "told WHERE municipality = :municipality AND told_id = ANY (CAST(:matters AS uuid[]))",
        "webhook_delivery WHERE municipality = :municipality AND about = ANY (CAST(:refs AS text[]))",
    )
)
# What was told to contacts, by its row and by its notices: one may be forgotten before the other.
_TOLD_OF = f"""
    WITH theirs AS (SELECT contact_ref FROM {SERVICE}.contact_point WHERE {{whose}})
    SELECT told_id FROM {SERVICE}.told
    WHERE municipality = :municipality AND contact_ref IN (SELECT contact_ref FROM theirs)
    UNION SELECT told_id FROM {SERVICE}.notice
    WHERE municipality = :municipality AND contact_ref IN (SELECT contact_ref FROM theirs) AND told_id IS NOT NULL
"""
_FORGET_CONTACTS = f"DELETE FROM {SERVICE}.contact_point WHERE {{whose}}"
_DESTROY_KEY = text(f"DELETE FROM {SERVICE}.subject_key WHERE {OF_SUBJECT}")
_COUNT = text(f"""
    SELECT (SELECT count(*) FROM {SERVICE}.contact_point WHERE {OF_SUBJECT}) AS contacts,
           (SELECT count(*) FROM {SERVICE}.notice n WHERE n.municipality = :municipality AND (
                n.appointment_id IN (SELECT appointment_id FROM {SERVICE}.appointment WHERE {OF_SUBJECT})
                OR n.application_id IN (SELECT application_id FROM {SERVICE}.application WHERE {OF_SUBJECT})
                OR n.contact_ref IN (SELECT contact_ref FROM {SERVICE}.contact_point WHERE {OF_SUBJECT})))
            AS notices
""")


async def on_subject_erased(session: AsyncSession, event: SubjectErased, *, now: datetime) -> None:
    """Erase, and answer. Told again, it is looked through again."""
    await erase_subject(session, event.municipality, event.subject_ref, event.reason, now=now)
    done = SubjectErasureDone(
        event_id=uuid4(),
        municipality=event.municipality,
        aggregate_id=str(event.erasure_id),
        aggregate_version=event.aggregate_version,
        occurred_at=now,
        erasure_id=event.erasure_id,
    )
    await outbox.publish(session, done)


async def on_case_erased(session: AsyncSession, event: CaseErased, *, now: datetime) -> None:
    """The notices of this case are forgotten, with the contact that no other makes use of; its owner reads so."""
    town = event.municipality
    matters = await _lock_matters(session, OF_CASE, municipality=town, case_id=event.case_id)
    whose = {"municipality": town, "contact_ref": event.contact_ref}
    had_address = await _lock_contacts(session, OF_CONTACT, **whose)
    await _forget(session, town, matters + await _told_of(session, OF_CONTACT, **whose))
    await session.execute(text(_FORGET_CONTACTS.format(whose=OF_CONTACT)), whose)
    if had_address:
        entry = erased_entry(
            SERVICE,
            town,
            event.subject_ref,
            [ITEM],
            "retention",
            case_id=event.case_id,
            procedure=event.procedure,
            now=now,
        )
        await ledger.write(session, entry)


async def erase_subject(
    session: AsyncSession, municipality: str, subject_ref: UUID, reason: ErasureReason, *, now: datetime
) -> None:
    """Destroy the subject's key, their addresses and notices, and write so. What is just being sent has no effect."""
    who = {"municipality": municipality, "subject_ref": subject_ref}
    await _lock_matters(session, OF_SUBJECT, **who)
    await _lock_contacts(session, OF_SUBJECT, **who)
    is_first = await bury(session, SERVICE, municipality, subject_ref, now=now)
    # Once more: what was written until just now.
    matters = await _lock_matters(session, OF_SUBJECT, **who)
    had_address = await _lock_contacts(session, OF_SUBJECT, **who)
    if is_first:
        items = [ITEM] if had_address else []
        await ledger.write_untold(session, erased_entry(SERVICE, municipality, subject_ref, items, reason, now=now))
    await _forget(session, municipality, matters + await _told_of(session, OF_SUBJECT, **who))
    await session.execute(text(_FORGET_CONTACTS.format(whose=OF_SUBJECT)), who)
    await session.execute(_DESTROY_KEY, who)
    await forget_told(session, SERVICE, municipality, subject_ref, now=now)


async def _lock_matters(session: AsyncSession, whose: str, **names: object) -> list[UUID]:
    """The ids of the appointments and applications, locked as their events lock them."""
    return [
        matter_id
        for lock in _LOCK_MATTERS.format(whose=whose).split(";")
        for matter_id in (await session.execute(text(lock), names)).scalars()
    ]


async def _lock_contacts(session: AsyncSession, whose: str, **names: object) -> bool:
    """Whether one of these contacts has an address."""
    rows = await session.execute(text(_LOCK_CONTACTS.format(whose=whose)), names)
    return any(reach != "none" for reach in rows.scalars())


async def _told_of(session: AsyncSession, whose: str, **names: object) -> list[UUID]:
    """What was told to these contacts; they are locked, so that nothing more is."""
    return list((await session.execute(text(_TOLD_OF.format(whose=whose)), names)).scalars())


async def _forget(session: AsyncSession, municipality: str, matters: list[UUID]) -> None:
    about = {"municipality": municipality, "matters": matters}
    notices = list((await session.execute(_NOTICES, about)).scalars())
    gone = about | {"notices": notices, "refs": [str(ref) for ref in (*matters, *notices)]}
    for statement in _FORGET:
        await session.execute(statement, gone)


async def count_subject(session: AsyncSession, municipality: str, subject_ref: UUID) -> dict[str, int]:
    """How much there is of a subject, by what it is."""
    row = (await session.execute(_COUNT, {"municipality": municipality, "subject_ref": subject_ref})).one()
    return dict(row._mapping)


async def find_risen(session: AsyncSession, municipality: str) -> list[UUID]:
    """Who was erased, and is here all the same: after older data was restored."""
    return await list_risen(session, SERVICE, municipality, NAME_SUBJECTS)
