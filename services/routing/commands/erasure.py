"""Erasure (消去): a person's key and everything of them go, here at once, then with the others. It is finished when all
have answered."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from sqlalchemy import delete, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.quality import count_given_up
from services.routing.commands.sessions import end_session
from services.routing.domain.handover import CONTACT
from services.routing.queries.erasure import find_in_the_way, list_subject_cases
from services.routing.queries.mine import list_subjects
from services.routing.tables import (
    NAME_SUBJECTS,
    SERVICE,
    application,
    application_check,
    application_link,
    application_step,
    appointment,
    appointment_step,
    case_course,
    case_device,
    case_file,
    case_notice,
    case_step,
    case_switch,
    contact,
    desk_check,
    desk_confirmation,
    erasure,
    feedback,
    identity_attempt,
    identity_proof,
    inquiry,
    inquiry_step,
    item,
    ledger,
    meeting,
    offer,
    office_look,
    outbox,
    pass_issued,
    plan,
    protection,
    refused_look,
    reuse,
    reuse_stop,
    session_person,
    session_table,
    subject_key,
)
from shared.audit import Operator, record_deed
from shared.erasure import bury, erased_entry, forget_told, list_risen
from shared.errors import Refusal
from shared.events.booking import SubjectErasureDone as BookingErasureDone
from shared.events.notifications import SubjectErasureDone as NotificationsErasureDone
from shared.events.routing import ErasureReason, SubjectErased
from shared.reference_number import ERASURE_LENGTH, make_number
from shared.tokens import Identity

ErasureDone = BookingErasureDone | NotificationsErasureDone

SESSIONS_MAX = 100
ORPHANS_MAX = 10_000

_DUE = text("DELETE FROM due WHERE municipality = :municipality AND ref = ANY (CAST(:refs AS text[]))")
_ORPHANS = text(f"""
    SELECT DISTINCT i.subject_ref FROM item i
    WHERE i.municipality = :municipality AND NOT EXISTS (
        SELECT FROM subject_key k WHERE (k.municipality, k.subject_ref) = (i.municipality, i.subject_ref))
      AND NOT EXISTS (
        SELECT FROM erased_subject e
        WHERE e.municipality = i.municipality
          AND e.subject_hash = sha256(convert_to(i.subject_ref::text, 'UTF8')))
    ORDER BY 1 LIMIT {ORPHANS_MAX}
""")


async def erase_myself(session: AsyncSession, identity: Identity, *, request_key: UUID, now: datetime) -> str:
    """Erase the visitor who asks, with their family, and end their session; return the receipt's number. Twice is once.

    Raises:
        Refusal: `nothing_to_erase` (409); `erasure_in_the_way` (409), something has to come to its end first.
    """
    query = select(erasure.c.number).where(
        erasure.c.municipality == identity.municipality, erasure.c.request_key == request_key
    )
    asked_before: str | None = (await session.execute(query)).scalar_one_or_none()
    if asked_before is not None:
        return asked_before
    # The family's too: nobody could open what they gave for them any more. Their own is the last.
    subjects = (await list_subjects(session, identity))[::-1]
    if not subjects:
        raise Refusal("nothing_to_erase", 409)
    numbers = [
        await erase_subject(
            session,
            identity.municipality,
            subject_ref,
            "resident",
            request_key=request_key if subject_ref == subjects[-1] else uuid5(request_key, str(subject_ref)),
            guest_ref=identity.ref,
            now=now,
        )
        for subject_ref in subjects
    ]
    return numbers[-1]


async def erase_subject(
    session: AsyncSession,
    municipality: str,
    subject_ref: UUID,
    reason: ErasureReason,
    *,
    request_key: UUID | None = None,
    guest_ref: str | None = None,
    even_if_open: bool = False,
    now: datetime,
) -> str:
    """Erase a subject here, and tell the others to. The number of the receipt.

    Of two at once, the second waits for the first, and has its receipt.

    Raises:
        Refusal: `erasure_in_the_way` (409), unless `even_if_open`; `nothing_to_erase` (409), all of it was done before.
    """
    cases, sessions = await lock_subject(session, municipality, subject_ref)
    if not even_if_open and await find_in_the_way(session, municipality, subject_ref, now=now):
        raise Refusal("erasure_in_the_way", 409)
    if not await bury(session, SERVICE, municipality, subject_ref, now=now):
        return await _number_of(session, municipality, subject_ref)
    # Once more: what was written until just now.
    cases, sessions = await lock_subject(session, municipality, subject_ref)
    items = await _list_items(session, municipality, subject_ref, cases)
    entry = erased_entry(SERVICE, municipality, subject_ref, items, reason, guest_ref=guest_ref, now=now)
    await ledger.write_untold(session, entry)
    await _forget(session, municipality, subject_ref, cases, sessions, now=now)
    erasure_id, number = uuid4(), make_number(secrets.choice, length=ERASURE_LENGTH)
    await session.execute(
        insert(erasure).values(
            municipality=municipality,
            erasure_id=erasure_id,
            number=number,
            request_key=request_key or uuid4(),
            subject_ref=subject_ref,
            reason=reason,
            version=1,
            requested_at=now,
        )
    )
    await _tell(session, municipality, erasure_id, 1, subject_ref, reason, now=now)
    if reason == "operator":
        await record_deed(session, Operator(municipality), "erase_subject", erasure_id, now=now)
    return number


async def on_erasure_done(session: AsyncSession, event: ErasureDone, *, now: datetime) -> None:
    """One of the others has nothing left. With the last one the erasure is finished, and names nobody any more."""
    answered = erasure.c.booking_done_at if isinstance(event, BookingErasureDone) else erasure.c.notifications_done_at
    mine = (erasure.c.municipality == event.municipality, erasure.c.erasure_id == event.erasure_id)
    # Both may answer at once: the second waits here, and sees what the first has written.
    row = (await session.execute(select(erasure).where(*mine).with_for_update())).one_or_none()
    if row is None or row.finished_at is not None:
        return
    others = {"booking_done_at", "notifications_done_at"} - {answered.name}
    values: dict[str, Any] = {answered.name: row._mapping[answered.name] or now}
    if all(row._mapping[name] is not None for name in others):
        values |= {"finished_at": now, "subject_ref": None}
        await forget_told(session, SERVICE, event.municipality, row.subject_ref, now=now)
    await session.execute(update(erasure).where(*mine).values(**values))


async def tell_unfinished(session: AsyncSession, municipality: str, *, now: datetime) -> int:
    """Tell the others once more of the erasures that they have not answered; how many those are."""
    rows = await session.execute(
        update(erasure)
        .where(erasure.c.municipality == municipality, erasure.c.finished_at.is_(None))
        .values(version=erasure.c.version + 1)
        .returning(erasure)
    )
    unfinished = rows.all()
    for row in unfinished:
        await _tell(session, municipality, row.erasure_id, row.version, row.subject_ref, row.reason, now=now)
    return len(unfinished)


async def find_risen(session: AsyncSession, municipality: str) -> list[UUID]:
    """Who was erased, or has no key any more, and is here all the same: after older data was restored."""
    return [
        *await _list_orphans(session, municipality),
        *await list_risen(session, SERVICE, municipality, NAME_SUBJECTS),
    ]


async def erase_risen(session: AsyncSession, municipality: str, *, now: datetime) -> None:
    """Erase again whom `find_risen` finds. Who only lost their key was never erased: the others are told of them."""
    for subject_ref in await _list_orphans(session, municipality):
        await erase_subject(session, municipality, subject_ref, "operator", even_if_open=True, now=now)
    for subject_ref in await list_risen(session, SERVICE, municipality, NAME_SUBJECTS):
        cases, sessions = await lock_subject(session, municipality, subject_ref)
        await _forget(session, municipality, subject_ref, cases, sessions, now=now)


async def _list_orphans(session: AsyncSession, municipality: str) -> list[UUID]:
    return list((await session.execute(_ORPHANS, {"municipality": municipality})).scalars())


async def lock_subject(session: AsyncSession, municipality: str, subject_ref: UUID) -> tuple[list[UUID], Sequence[Any]]:
    """Lock what is the subject's, in the order in which everybody does."""
    cases = await list_subject_cases(session, municipality, subject_ref)
    await session.execute(
        select(case_file.c.case_id)
        .where(case_file.c.municipality == municipality, case_file.c.case_id.in_(cases))
        .order_by(case_file.c.case_id)
        .with_for_update()
    )
    await session.execute(
        select(application.c.application_id)
        .where(application.c.municipality == municipality, application.c.subject_ref == subject_ref)
        .order_by(application.c.application_id)
        .with_for_update()
    )
    await session.execute(
        select(inquiry.c.inquiry_id)
        .where(inquiry.c.municipality == municipality, inquiry.c.subject_ref == subject_ref)
        .order_by(inquiry.c.inquiry_id)
        .with_for_update()
    )
    sessions = await session.execute(
        select(session_table.c.session_id, session_table.c.ref)
        .where(session_table.c.municipality == municipality, session_table.c.subject_ref == subject_ref)
        .order_by(session_table.c.session_id)
        .limit(SESSIONS_MAX)
        .with_for_update()
    )
    return cases, sessions.all()


async def _number_of(session: AsyncSession, municipality: str, subject_ref: UUID) -> str:
    query = select(erasure.c.number).where(erasure.c.municipality == municipality, erasure.c.subject_ref == subject_ref)
    number: str | None = (await session.execute(query)).scalar_one_or_none()
    if number is None:
        raise Refusal("nothing_to_erase", 409)
    return number


async def _list_items(session: AsyncSession, municipality: str, subject_ref: UUID, cases: Sequence[UUID]) -> list[str]:
    """The names of what is erased."""
    names = await session.execute(
        select(item.c.key).where(item.c.municipality == municipality, item.c.subject_ref == subject_ref).distinct()
    )
    drafts = await session.execute(
        select(func.count(case_file.c.contact_sealed)).where(
            case_file.c.municipality == municipality, case_file.c.case_id.in_(cases)
        )
    )
    return [*names.scalars(), *([CONTACT] if drafts.scalar_one() else [])]


async def _forget(
    session: AsyncSession,
    municipality: str,
    subject_ref: UUID,
    cases: Sequence[UUID],
    sessions: Sequence[Any],
    *,
    now: datetime,
) -> None:
    guests = [row.ref for row in sessions]
    asked = select(inquiry.c.inquiry_id).where(
        inquiry.c.municipality == municipality, inquiry.c.subject_ref == subject_ref
    )
    for row in sessions:
        await end_session(session, municipality=municipality, session_id=row.session_id, now=now)
    await forget_cases(session, municipality, cases, now=now)
    for table, mine in (
        (plan, plan.c.guest_ref.in_(guests)),
        (appointment, appointment.c.subject_ref == subject_ref),
        (reuse, reuse.c.subject_ref == subject_ref),
        (feedback, feedback.c.subject_ref == subject_ref),
        # An inquiry is a case of its own to whoever looked at it.
        (office_look, office_look.c.case_id.in_(asked)),
        (refused_look, refused_look.c.case_id.in_(asked)),
        (inquiry_step, inquiry_step.c.inquiry_id.in_(asked)),
        (inquiry, inquiry.c.subject_ref == subject_ref),
        (item, item.c.subject_ref == subject_ref),
        (reuse_stop, reuse_stop.c.subject_ref == subject_ref),
        (session_person, session_person.c.subject_ref == subject_ref),
        (session_table, session_table.c.subject_ref == subject_ref),
        (subject_key, subject_key.c.subject_ref == subject_ref),
        # The database keeps a protection as long as there is a key.
        (protection, protection.c.subject_ref == subject_ref),
    ):
        await session.execute(delete(table).where(table.c.municipality == municipality, mine))
    # What others of the family gave in these cases is theirs and stays; whom it was for is forgotten.
    await session.execute(
        update(reuse)
        .where(
            reuse.c.municipality == municipality,
            reuse.c.case_id.in_(cases),
            reuse.c.canonical.contains(str(subject_ref), autoescape=True),
        )
        .values(canonical=None)
    )
    await forget_told(session, SERVICE, municipality, subject_ref, now=now)


async def forget_cases(session: AsyncSession, municipality: str, cases: Sequence[UUID], *, now: datetime) -> None:
    """Remove cases with everything that hangs on them. Nothing is left that leads from a number to a ledger's entry."""
    await count_given_up(session, municipality, cases, now=now)
    applications = select(application.c.application_id).where(
        application.c.municipality == municipality, application.c.case_id.in_(cases)
    )
    contacts = select(case_file.c.contact_ref).where(
        case_file.c.municipality == municipality, case_file.c.contact_ref.is_not(None)
    )
    for table, theirs in (
        (application_link, application_link.c.application_id.in_(applications)),
        (application_step, application_step.c.application_id.in_(applications)),
        (application_check, application_check.c.application_id.in_(applications)),
        (application, application.c.case_id.in_(cases)),
        (offer, offer.c.case_id.in_(cases)),
        (pass_issued, pass_issued.c.case_id.in_(cases)),
        (office_look, office_look.c.case_id.in_(cases)),
        (identity_attempt, identity_attempt.c.case_id.in_(cases)),
        (identity_proof, identity_proof.c.case_id.in_(cases)),
        (case_device, case_device.c.case_id.in_(cases)),
        (refused_look, refused_look.c.case_id.in_(cases)),
        (meeting, meeting.c.case_id.in_(cases)),
        (appointment, appointment.c.case_id.in_(cases)),
        (feedback, feedback.c.case_id.in_(cases)),
        (case_course, case_course.c.case_id.in_(cases)),
        (desk_check, desk_check.c.case_id.in_(cases)),
        (desk_confirmation, desk_confirmation.c.case_id.in_(cases)),
        (case_switch, case_switch.c.case_id.in_(cases)),
        (case_step, case_step.c.case_id.in_(cases)),
        (appointment_step, appointment_step.c.case_id.in_(cases)),
        (case_notice, case_notice.c.case_id.in_(cases)),
        # Another case, which stays, may have taken it over.
        (
            contact,
            or_(contact.c.case_id.in_(cases), contact.c.contact_ref.in_(contacts.where(case_file.c.case_id.in_(cases))))
            & contact.c.contact_ref.not_in(contacts.where(case_file.c.case_id.not_in(cases))),
        ),
        (case_file, case_file.c.case_id.in_(cases)),
    ):
        await session.execute(delete(table).where(table.c.municipality == municipality, theirs))
    await session.execute(_DUE, {"municipality": municipality, "refs": [str(case_id) for case_id in cases]})


async def _tell(
    session: AsyncSession,
    municipality: str,
    erasure_id: UUID,
    version: int,
    subject_ref: UUID,
    reason: ErasureReason,
    *,
    now: datetime,
) -> None:
    event = SubjectErased(
        event_id=uuid4(),
        municipality=municipality,
        aggregate_id=str(erasure_id),
        aggregate_version=version,
        occurred_at=now,
        erasure_id=erasure_id,
        subject_ref=subject_ref,
        reason=reason,
    )
    await outbox.publish(session, event)
