"""Reactions to other services' events: projections of availability, appointments, notices and reuse. The newer wins."""

from datetime import datetime

from msgspec import json, structs
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.erasure import on_erasure_done
from services.routing.commands.quality import count_finished, count_sent, count_spared
from services.routing.commands.switching import come_to_the_counter, on_switch_wished, replace_booked
from services.routing.queries.switching import OVER
from shared.db import Prepared
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    AvailabilityChanged,
    SwitchWished,
)
from shared.events.booking import SubjectErasureDone as BookingErasureDone
from shared.events.ledger import CheckpointMade, ReuseRecorded
from shared.events.notifications import NoticeProgressed
from shared.events.notifications import SubjectErasureDone as NotificationsErasureDone
from shared.messaging.consumer import Handlers

AppointmentEvent = AppointmentBooked | AppointmentChanged | AppointmentCancelled | AppointmentProgressed

_APPOINTMENT = Prepared("""
    INSERT INTO routing.appointment AS known (
        municipality, appointment_id, number, subject_ref, case_id, procedure, office, counter, starts_at, ends_at,
        state, helper, helper_ref, services, closure, version)
    VALUES (:municipality, :appointment_id, :number, :subject_ref, :case_id, :procedure, :office, :counter, :starts_at,
            :ends_at, :state, :helper, :helper_ref, :services, :closure, :version)
    ON CONFLICT (municipality, appointment_id) DO UPDATE
    SET (number, subject_ref, case_id, procedure, office, counter, starts_at, ends_at, state, helper, helper_ref,
         services, closure, version)
      = (excluded.number, excluded.subject_ref, excluded.case_id, excluded.procedure, excluded.office,
         excluded.counter, excluded.starts_at, excluded.ends_at, excluded.state, excluded.helper, excluded.helper_ref,
         excluded.services, excluded.closure, excluded.version)
    WHERE known.version < excluded.version
""")
_AVAILABILITY = Prepared("""
    INSERT INTO routing.availability AS known (municipality, counter, earliest_at, own, as_of, version)
    VALUES (:municipality, :counter, :earliest_at, CAST(:own AS jsonb), :as_of, :version)
    ON CONFLICT (municipality, counter) DO UPDATE
    SET (earliest_at, own, as_of, version) = (excluded.earliest_at, excluded.own, excluded.as_of, excluded.version)
    WHERE known.version < excluded.version
""")
_REUSE = Prepared("""
    INSERT INTO routing.reuse (
        municipality, entry_id, service, occurred_at, received_at, entry_type, subject_ref, actor_kind, actor_ref,
        office, source_procedure, source_step, source_collected_at, target_service, target_procedure, target_step,
        case_id, items, purpose, legal_basis, outcome, visibility, canonical)
    VALUES (:municipality, :entry_id, :service, :occurred_at, :received_at, :entry_type, :subject_ref, :actor_kind,
            :actor_ref, :office, :source_procedure, :source_step, :source_collected_at, :target_service,
            :target_procedure, :target_step, :case_id, :items, :purpose, :legal_basis, :outcome, :visibility,
            :canonical)
    ON CONFLICT (municipality, entry_id) DO NOTHING
    RETURNING entry_id
""")
# Of a case that is there: it is kept meanwhile, and what is told of an erased one leaves no trace.
_APPOINTMENT_STEP = Prepared("""
    INSERT INTO routing.appointment_step (municipality, appointment_id, version, case_id, number, office, counter,
        starts_at, state, sequence, helper, closure, occurred_at)
    SELECT municipality, :appointment_id, :version, case_id, :number, :office, :counter,
           CAST(:starts_at AS timestamptz), :state, :sequence, :helper, :closure, CAST(:occurred_at AS timestamptz)
    FROM routing.case_file WHERE municipality = :municipality AND case_id = :case_id FOR KEY SHARE
    ON CONFLICT (municipality, appointment_id, version) DO NOTHING
""")
_NOTICE = Prepared("""
    INSERT INTO routing.case_notice AS known (municipality, notice_id, version, case_id, kind, way, state, occurred_at)
    SELECT municipality, :notice_id, :version, case_id, :kind, :way, :state, CAST(:occurred_at AS timestamptz)
    FROM routing.case_file WHERE municipality = :municipality AND case_id = :case_id FOR KEY SHARE
    ON CONFLICT (municipality, notice_id) DO UPDATE
    SET (version, state, occurred_at) = (excluded.version, excluded.state, excluded.occurred_at)
    WHERE known.version < excluded.version
""")
_CHECKPOINT = Prepared("""
    INSERT INTO routing.checkpoint (municipality, service, day, tree_size, root, made_at)
    VALUES (:municipality, :service, :day, :tree_size, :root, :made_at)
    ON CONFLICT (municipality, service, day) DO NOTHING
""")


async def on_appointment(session: AsyncSession, event: AppointmentEvent, *, now: datetime) -> None:
    """Keep the newest public state of an appointment: codes and times. What moves or ends is closed no more.

    Of a case, the first that was booked and the end of the last visit are counted.
    """
    services = [each.procedure for each in event.services]
    told = {"closure": "none"} | structs.asdict(event) | {"services": services, "version": event.aggregate_version}
    if event.case_id is not None:
        await _APPOINTMENT_STEP.row(session, told)
    await _APPOINTMENT.row(session, told)
    if event.case_id is None:
        return
    case, at = (event.municipality, event.case_id), event.occurred_at
    if isinstance(event, AppointmentProgressed):
        await come_to_the_counter(session, event, now=now)
    if isinstance(event, AppointmentBooked):
        await replace_booked(session, event, now=now)
        await count_sent(session, *case, by_application=False, at=at, now=now)
    elif event.state in OVER:
        await count_finished(session, *case, by_application=False, at=at, now=now)


async def on_availability_changed(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:  # noqa: ARG001
    """Keep a counter's earliest free place, and that of procedures with a notice or a horizon of their own."""
    own = json.encode({each.procedure: each.earliest_at for each in event.own}).decode()
    await _AVAILABILITY.row(session, structs.asdict(event) | {"version": event.aggregate_version, "own": own})


async def on_reuse_recorded(session: AsyncSession, event: ReuseRecorded, *, now: datetime) -> None:
    """Keep who reused which items, for the person's own page. An entry never changes, and is counted once."""
    is_new = await _REUSE.row(session, structs.asdict(event) | {"received_at": now})
    if is_new and event.entry_type == "applied" and event.visibility == "subject" and event.case_id is not None:
        items = len(event.items)
        await count_spared(session, event.municipality, event.case_id, items, at=event.occurred_at, now=now)


async def on_notice_progressed(session: AsyncSession, event: NoticeProgressed, *, now: datetime) -> None:  # noqa: ARG001
    """Keep for the thread of a case what became of a notice: by which way it went, not where to."""
    await _NOTICE.row(session, structs.asdict(event) | {"version": event.aggregate_version})


async def on_checkpoint_made(session: AsyncSession, event: CheckpointMade, *, now: datetime) -> None:  # noqa: ARG001
    """Keep what a service's ledger came to, for all to read. The first that was told of a day stands."""
    await _CHECKPOINT.row(session, structs.asdict(event))


def make_handlers() -> Handlers:
    """The handler of every event that routing subscribes to (`shared/events/subscriptions.py`)."""
    return {
        AppointmentBooked: on_appointment,
        AppointmentChanged: on_appointment,
        AppointmentCancelled: on_appointment,
        AppointmentProgressed: on_appointment,
        AvailabilityChanged: on_availability_changed,
        SwitchWished: on_switch_wished,
        NoticeProgressed: on_notice_progressed,
        ReuseRecorded: on_reuse_recorded,
        CheckpointMade: on_checkpoint_made,
        BookingErasureDone: on_erasure_done,
        NotificationsErasureDone: on_erasure_done,
    }
