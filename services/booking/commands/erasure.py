"""Erasing a person here, or what is left of one case: visits go, appointments stay as times of a counter, nobody's."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import is_ahead
from services.booking.commands.changes import end_appointment
from services.booking.commands.class_erasure import forget_class_entries, lock_classes_of
from services.booking.commands.help_returns import is_untold
from services.booking.commands.locking import lock_places
from services.booking.commands.marks import mark_availability
from services.booking.commands.tickets import next_ticket
from services.booking.commands.visits import KANA, NAME
from services.booking.commands.webhooks import tell_webhooks
from services.booking.domain.line import PRESENT
from services.booking.tables import NAME_SUBJECTS, ledger, outbox
from shared.erasure import bury, erased_entry, forget_told, list_risen
from shared.events.booking import SubjectErasureDone
from shared.events.routing import CaseErased, ErasureReason, SubjectErased
from shared.reference_number import make_number

SERVICE = "booking"

# Of an appointment: those that the trigger of 0019 tells.
WEBHOOK_FACTS = ("state", "procedure", "office", "counter", "starts_at", "ends_at")
OF_SUBJECT, OF_CASE = "subject_ref = :subject_ref", "case_id = :case_id"

_LOCK_VISITS = """
    SELECT visit_id, case_id FROM visit WHERE municipality = :municipality AND {whose} ORDER BY visit_id FOR UPDATE
"""
_LOCK_APPOINTMENTS = """
    SELECT * FROM appointment WHERE municipality = :municipality AND {whose} ORDER BY appointment_id FOR UPDATE
"""
# The draw before its entries, as whoever draws: so nobody waits for each other.
_LOCK_DRAWS = """
    SELECT d.draw_id FROM draw d
    WHERE d.municipality = :municipality
      AND d.draw_id IN (SELECT draw_id FROM draw_entry WHERE municipality = :municipality AND {whose})
    ORDER BY d.draw_id FOR SHARE
"""
# A ticket that is published stays, and is nobody's. What can still be won is withdrawn.
_FORGET_ENTRIES = """
    UPDATE draw_entry
    SET subject_ref = NULL, case_id = NULL, contact_ref = NULL, guest_ref = NULL, draft_sealed = NULL,
        code_hash = NULL, code_sealed = NULL, appointment_id = NULL, reach = 'none', state = 'withdrawn',
        changed_at = :now
    WHERE municipality = :municipality AND {whose}
"""
# With another number, as an appointment's. Whoever was matched to it stays known, for nobody.
_FORGET_REQUESTS = """
    WITH gone AS (
        DELETE FROM help_match m USING help_request r
        WHERE r.municipality = :municipality AND r.{whose} AND m.appointment_id IS NULL
          AND (m.municipality, m.request_id) = (r.municipality, r.request_id))
    UPDATE help_request
    SET subject_ref = NULL, case_id = NULL, contact_ref = NULL, guest_ref = NULL, draft_sealed = NULL,
        link_hash = NULL, code_hash = NULL, code_sealed = NULL, access_sealed = NULL, appointment_id = NULL,
        entry_id = NULL, reach = 'none', number = upper(replace(CAST(request_id AS text), '-', '')),
        state = CASE state WHEN 'open' THEN 'withdrawn' ELSE state END, version = version + 1, changed_at = :now
    WHERE municipality = :municipality AND {whose}
"""
_RELEASE = text("""
    UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
    FROM slot s
    WHERE p.municipality = :municipality AND p.hold_id IS NOT NULL
      AND p.visit_id = ANY (ARRAY(SELECT unnest(CAST(:visits AS uuid[])) UNION ALL
                                  SELECT e.errand_id FROM visit_errand e
                                  WHERE e.municipality = :municipality AND e.visit_id = ANY (CAST(:visits AS uuid[]))))
      AND (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    RETURNING s.counter
""")
_FORGET_PLACE = text("""
    UPDATE place SET visit_id = NULL, changed_at = :now
    WHERE municipality = :municipality AND appointment_id = :appointment_id
""")
# The number is on the person's paper: with another, nobody gets from there to what the ledger says of nobody.
_FORGET_APPOINTMENT = text("""
    UPDATE appointment
    SET subject_ref = NULL, case_id = NULL, contact_ref = NULL, visit_id = NULL, guest_ref = NULL, name_sealed = NULL,
        kana_sealed = NULL, chain_id = NULL, chain_person = NULL, chain_until = NULL, number = :number,
        -- Of an arrival, all had the same; who still waits has one of their own now.
        ticket_counter = CASE WHEN chain_id IS NULL THEN ticket_counter ELSE CAST(:ticket_counter AS text) END,
        ticket_no = CASE WHEN chain_id IS NULL THEN ticket_no ELSE CAST(:ticket_no AS integer) END,
        version = version + 1, changed_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
""")
_FORGET = tuple(
    text(statement)
    for statement in (
        """DELETE FROM access
           WHERE municipality = :municipality AND appointment_id = ANY (CAST(:appointments AS uuid[]))""",
        """DELETE FROM transfer
           WHERE municipality = :municipality AND appointment_id = ANY (CAST(:appointments AS uuid[]))""",
        """DELETE FROM helper_note
           WHERE municipality = :municipality AND appointment_id = ANY (CAST(:appointments AS uuid[]))""",
        """DELETE FROM waiting
           WHERE municipality = :municipality AND appointment_id = ANY (CAST(:appointments AS uuid[]))""",
        "DELETE FROM idempotency WHERE municipality = :municipality AND owner = ANY (CAST(:owners AS text[]))",
        # What staff were answered tells the number.
        """DELETE FROM idempotency
           WHERE municipality = :municipality AND response->>'appointment_id' = ANY (CAST(:named AS text[]))""",
        "DELETE FROM due WHERE municipality = :municipality AND ref = ANY (CAST(:refs AS text[]))",
        "DELETE FROM visit WHERE municipality = :municipality AND visit_id = ANY (CAST(:visits AS uuid[]))",
        "DELETE FROM name_withdrawn WHERE municipality = :municipality AND case_id = ANY (CAST(:cases AS uuid[]))",
        "DELETE FROM case_switched WHERE municipality = :municipality AND case_id = ANY (CAST(:cases AS uuid[]))",
    )
)
_DESTROY_KEY = text("DELETE FROM subject_key WHERE municipality = :municipality AND subject_ref = :subject_ref")
_COUNT = text("""
    SELECT (SELECT count(*) FROM visit WHERE municipality = :municipality AND subject_ref = :subject_ref) AS visits,
           (SELECT count(*) FROM appointment
            WHERE municipality = :municipality AND subject_ref = :subject_ref) AS appointments,
           (SELECT count(*) FROM draw_entry
            WHERE municipality = :municipality AND subject_ref = :subject_ref) AS draw_entries,
           (SELECT count(*) FROM course_entry
            WHERE municipality = :municipality AND subject_ref = :subject_ref) AS class_entries,
           (SELECT count(*) FROM help_request
            WHERE municipality = :municipality AND subject_ref = :subject_ref) AS help_requests
""")
_BY_NUMBER = text("SELECT subject_ref FROM appointment WHERE (municipality, number) = (:municipality, :number)")


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
    """What was passed on in this case is forgotten, and its owner reads so. Not what, against all odds, lies ahead."""
    town = event.municipality
    of_case = {"municipality": town, "case_id": event.case_id}
    await lock_classes_of(session, OF_CASE, of_case)
    visits, appointments = await _lock(session, OF_CASE, **of_case)
    over = [row for row in appointments if not _is_ahead(row, now)]
    classes = await forget_class_entries(session, OF_CASE, of_case, only_over=True, now=now)
    items = _items_of([*over, *classes])
    await _forget(session, town, visits, over, now=now)
    # Whoever can still win, or is looked for, is as one who has an appointment ahead.
    for forget, is_over in (
        (_FORGET_ENTRIES, "draft_sealed IS NULL"),
        (_FORGET_REQUESTS, "(draft_sealed IS NULL OR state = 'unmet')"),
    ):
        lost = text(forget.format(whose=f"{OF_CASE} AND {is_over}"))
        await session.execute(lost, of_case | {"now": now})
    if items:
        entry = erased_entry(
            SERVICE,
            town,
            event.subject_ref,
            items,
            "retention",
            case_id=event.case_id,
            procedure=event.procedure,
            now=now,
        )
        await ledger.write(session, entry)


async def erase_subject(
    session: AsyncSession, municipality: str, subject_ref: UUID, reason: ErasureReason, *, now: datetime
) -> None:
    """Destroy the subject's key and everything that leads to the person, and write so.

    What lies ahead is cancelled: nobody would come. Routing asks the resident to cancel it first.
    """
    who = {"municipality": municipality, "subject_ref": subject_ref}
    await session.execute(text(_LOCK_DRAWS.format(whose=OF_SUBJECT)), who)
    await lock_classes_of(session, OF_SUBJECT, who)
    await _lock(session, OF_SUBJECT, **who)
    is_first = await bury(session, SERVICE, municipality, subject_ref, now=now)
    # Once more: what was written until just now.
    visits, appointments = await _lock(session, OF_SUBJECT, **who)
    classes = await forget_class_entries(session, OF_SUBJECT, who, now=now)
    if is_first:
        items = _items_of([*appointments, *classes])
        entry = erased_entry(SERVICE, municipality, subject_ref, items, reason, now=now)
        await ledger.write_untold(session, entry)
    for row in appointments:
        if _is_ahead(row, now):
            was_told = not await is_untold(session, municipality, row.appointment_id)
            ended = await end_appointment(session, row, now=now)
            if was_told:
                await _tell_ended(session, ended, now=now)
    await _forget(session, municipality, visits, appointments, now=now)
    for forget in (_FORGET_ENTRIES, _FORGET_REQUESTS):
        await session.execute(text(forget.format(whose=OF_SUBJECT)), who | {"now": now})
    await session.execute(_DESTROY_KEY, who)
    await forget_told(session, SERVICE, municipality, subject_ref, now=now)


async def _lock(session: AsyncSession, whose: str, **names: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    visits = (await session.execute(text(_LOCK_VISITS.format(whose=whose)), names)).all()
    appointments = (await session.execute(text(_LOCK_APPOINTMENTS.format(whose=whose)), names)).all()
    await lock_places(
        session,
        names["municipality"],
        appointments=[row.appointment_id for row in appointments],
        visits=[row.visit_id for row in visits],
    )
    return visits, appointments


async def _tell_ended(session: AsyncSession, row: Any, *, now: datetime) -> None:
    """Our services hear of the erasure itself. Other systems never knew whose it was: to them it is cancelled.

    They have not heard of what nobody was told of (`queries/untold.py`): then there is no end of it either.
    """
    facts = {name: getattr(row, name) for name in WEBHOOK_FACTS} | {"closure": "none"}
    await tell_webhooks(
        session, row.municipality, "appointment.cancelled", row.appointment_id, facts, version=row.version, now=now
    )


def _is_ahead(row: Any, now: datetime) -> bool:
    # Who is expected at this moment is not past yet.
    return is_ahead(row, now) or bool(row.state == "booked" and row.ends_at > now)


def _items_of(appointments: Sequence[Any]) -> list[str]:
    return [item for item in (NAME, KANA) if any(getattr(row, f"{item}_sealed") is not None for row in appointments)]


async def _forget(
    session: AsyncSession, municipality: str, found: Sequence[Any], appointments: Sequence[Any], *, now: datetime
) -> None:
    visits = [row.visit_id for row in found]
    cases = [row.case_id for row in (*found, *appointments) if row.case_id is not None]
    town = {"municipality": municipality, "now": now}
    released = await session.execute(_RELEASE, town | {"visits": visits})
    if counters := released.scalars().all():
        await mark_availability(session, municipality, counters, now=now)
    for row in appointments:
        mine = town | {"appointment_id": row.appointment_id}
        own = {"number": make_number(secrets.choice), "ticket_counter": None, "ticket_no": None}
        if row.chain_id is not None and row.state in PRESENT:
            own |= msgspec.structs.asdict(await next_ticket(session, municipality, row.counter, row.day))
        await session.execute(_FORGET_APPOINTMENT, mine | own)
        await session.execute(_FORGET_PLACE, mine)
    ids = [row.appointment_id for row in appointments]
    owners = [f"visit:{visit_id}" for visit_id in visits] + [f"appointment:{appointment_id}" for appointment_id in ids]
    refs = [str(visit_id) for visit_id in visits]
    gone = {
        "municipality": municipality, "appointments": ids, "visits": visits, "cases": cases, "owners": owners,
        "refs": refs, "named": [str(appointment_id) for appointment_id in ids],
    }  # fmt: skip
    for statement in _FORGET:
        await session.execute(statement, gone)


async def count_subject(session: AsyncSession, municipality: str, subject_ref: UUID) -> dict[str, int]:
    """How much there is of a subject, by what it is."""
    row = (await session.execute(_COUNT, {"municipality": municipality, "subject_ref": subject_ref})).one()
    return dict(row._mapping)


async def find_subject_of_appointment(session: AsyncSession, municipality: str, number: str) -> UUID | None:
    """Whose appointment this number is; None for a walk-in, one that was erased, or none at all."""
    key = {"municipality": municipality, "number": number}
    subject_ref: UUID | None = (await session.execute(_BY_NUMBER, key)).scalar_one_or_none()
    return subject_ref


async def find_risen(session: AsyncSession, municipality: str) -> list[UUID]:
    """Who was erased, and is here all the same: after older data was restored."""
    return await list_risen(session, SERVICE, municipality, NAME_SUBJECTS)
