"""Erasing a person here: their key, their addresses and every notice to them go."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.contacts import ITEM
from services.notifications.tables import NAME_SUBJECTS, SERVICE, ledger, outbox
from shared.erasure import bury, erased_entry, forget_told, list_risen
from shared.events.notifications import SubjectErasureDone
from shared.events.routing import ErasureReason, SubjectErased

_LOCKS = tuple(
    text(f"""SELECT 1 FROM {SERVICE}.{table} WHERE municipality = :municipality AND subject_ref = :subject_ref
             ORDER BY {key} FOR UPDATE""")
    for table, key in (
        ("appointment", "appointment_id"),
        ("application", "application_id"),
        ("contact_point", "contact_ref"),
    )
)
_MATTERS = text(f"""
    SELECT appointment_id AS matter_id FROM {SERVICE}.appointment
    WHERE municipality = :municipality AND subject_ref = :subject_ref
    UNION ALL
    SELECT application_id FROM {SERVICE}.application
    WHERE municipality = :municipality AND subject_ref = :subject_ref
""")
# Locked like those who send them do, in their order.
_NOTICES = text(f"""
    SELECT notice_id FROM {SERVICE}.notice
    WHERE municipality = :municipality AND (appointment_id = ANY (CAST(:matters AS uuid[]))
          OR application_id = ANY (CAST(:matters AS uuid[])))
    ORDER BY notice_id FOR UPDATE
""")
_HAS_ADDRESS = text(f"""
    SELECT EXISTS (SELECT FROM {SERVICE}.contact_point
                   WHERE municipality = :municipality AND subject_ref = :subject_ref AND address_sealed IS NOT NULL)
""")
_OF_NOTICES = "municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))"
_OF_SUBJECT = "municipality = :municipality AND subject_ref = :subject_ref"
# A reminder is due under its appointment and its rule.
_FORGET = tuple(
    text(f"DELETE FROM {SERVICE}.{statement}")
    for statement in (
        f"staff_task WHERE {_OF_NOTICES}",
        f"attempt WHERE {_OF_NOTICES}",
        f"notice WHERE {_OF_NOTICES}",
        "due WHERE municipality = :municipality AND split_part(ref, ':', 1) = ANY (CAST(:refs AS text[]))",
        f"appointment WHERE {_OF_SUBJECT}",
        f"application WHERE {_OF_SUBJECT}",
        f"contact_point WHERE {_OF_SUBJECT}",
        f"subject_key WHERE {_OF_SUBJECT}",
    )
)
_COUNT = text(f"""
    SELECT (SELECT count(*) FROM {SERVICE}.contact_point WHERE {_OF_SUBJECT}) AS contacts,
           (SELECT count(*) FROM {SERVICE}.notice n WHERE n.municipality = :municipality AND (
                n.appointment_id IN (SELECT appointment_id FROM {SERVICE}.appointment WHERE {_OF_SUBJECT})
                OR n.application_id IN (SELECT application_id FROM {SERVICE}.application WHERE {_OF_SUBJECT})))
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


async def erase_subject(
    session: AsyncSession, municipality: str, subject_ref: UUID, reason: ErasureReason, *, now: datetime
) -> None:
    """Destroy the subject's key, their addresses and notices, and write so. What is just being sent has no effect."""
    who = {"municipality": municipality, "subject_ref": subject_ref}
    for lock in _LOCKS:
        await session.execute(lock, who)
    is_first = await bury(session, SERVICE, municipality, subject_ref, now=now)
    if is_first:
        had_address = (await session.execute(_HAS_ADDRESS, who)).scalar_one()
        items = [ITEM] if had_address else []
        await ledger.write_untold(session, erased_entry(SERVICE, municipality, subject_ref, items, reason, now=now))
    matters = list((await session.execute(_MATTERS, who)).scalars())
    notices = list((await session.execute(_NOTICES, {"municipality": municipality, "matters": matters})).scalars())
    gone = who | {"notices": notices, "refs": [str(ref) for ref in (*matters, *notices)]}
    for statement in _FORGET:
        await session.execute(statement, gone)
    await forget_told(session, SERVICE, municipality, subject_ref, now=now)


async def count_subject(session: AsyncSession, municipality: str, subject_ref: UUID) -> dict[str, int]:
    """How much there is of a subject, by what it is."""
    row = (await session.execute(_COUNT, {"municipality": municipality, "subject_ref": subject_ref})).one()
    return dict(row._mapping)


async def find_risen(session: AsyncSession, municipality: str) -> list[UUID]:
    """Who was erased, and is here all the same: after older data was restored."""
    return await list_risen(session, SERVICE, municipality, NAME_SUBJECTS)
