"""The person says yes to going through their case together with the helper beside them, and may end it at any time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.meetings import AGREED, STEP_TOGETHER, together_until
from services.routing.queries.meetings import Meeting
from services.routing.tables import SERVICE, case_file, ledger, meeting, outbox
from shared.errors import Refusal
from shared.events.routing import MeetingAgreed
from shared.ledger.entry import Entry

PURPOSE_TOGETHER = "サポーターといっしょに手続きを進めるため"

# A yes that stands is not said again: pressed twice, or at two devices, it is one.
_AGREE = text("""
    INSERT INTO meeting AS known (municipality, appointment_id, case_id, helper_ref, agreed_at, until, version)
    VALUES (:municipality, :appointment_id, :case_id, :helper_ref, :now, :until, 1)
    ON CONFLICT (municipality, appointment_id) DO UPDATE
    SET (case_id, helper_ref, agreed_at, until, version)
      = (excluded.case_id, excluded.helper_ref, excluded.agreed_at, excluded.until, known.version + 1)
    WHERE known.until <= excluded.agreed_at OR known.helper_ref <> excluded.helper_ref
    RETURNING version
""")


async def agree_to_meeting(session: AsyncSession, municipality: str, agreed: Meeting, *, now: datetime) -> None:
    """Let the helper of this meeting see which steps are done: one entry in the ledger, whose the person is.

    Raises:
        Refusal: `case_unknown` (404), it was erased meanwhile.
    """
    case = (
        await session.execute(
            select(case_file)
            .where(case_file.c.municipality == municipality, case_file.c.case_id == agreed.case_id)
            .with_for_update()
        )
    ).one_or_none()
    if case is None or case.subject_ref is None:
        raise Refusal("case_unknown", 404)
    until = together_until(agreed.ends_at)
    said = {
        "municipality": municipality,
        "appointment_id": agreed.appointment_id,
        "case_id": agreed.case_id,
        "helper_ref": agreed.helper_ref,
        "until": until,
        "now": now,
    }
    version = (await session.execute(_AGREE, said)).scalar_one_or_none()
    if version is None:
        return
    entry = Entry(
        entry_id=uuid4(),
        municipality=municipality,
        occurred_at=now,
        entry_type="helper_assisted",
        subject_ref=case.subject_ref,
        acting_for=case.acting_for,
        actor_kind="helper",
        actor_ref=agreed.helper_ref,
        target_service=SERVICE,
        target_procedure=case.procedure,
        target_case=case.case_id,
        target_step=STEP_TOGETHER,
        items=(),
        purpose=PURPOSE_TOGETHER,
        legal_basis="appi_69_2_1",
        explicit_request=True,
        outcome=AGREED,
        correlation=agreed.appointment_id,
    )
    event = _told(said | {"agreed_at": now, "version": version}, now=now)
    await ledger.write(session, entry, events=[event])


async def end_meeting(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> None:
    """The helper sees nothing any more from now on. Ended before, nothing changes."""
    row = (
        await session.execute(
            update(meeting)
            .where(
                meeting.c.municipality == municipality,
                meeting.c.appointment_id == appointment_id,
                meeting.c.until > now,
            )
            .values(until=now, version=meeting.c.version + 1)
            .returning(meeting)
        )
    ).one_or_none()
    if row is not None:
        await outbox.publish(session, _told(row._mapping, now=now))


def _told(row: Mapping[str, Any], *, now: datetime) -> MeetingAgreed:
    return MeetingAgreed(
        event_id=uuid4(),
        municipality=row["municipality"],
        aggregate_id=str(row["appointment_id"]),
        aggregate_version=row["version"],
        occurred_at=now,
        appointment_id=row["appointment_id"],
        case_id=row["case_id"],
        helper_ref=row["helper_ref"],
        agreed_at=row["agreed_at"],
        until=row["until"],
    )
