"""Reactions to other services' events: projections of availability, appointments and reuse. Newer versions win."""

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.tables import appointment, availability, reuse
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    AvailabilityChanged,
)
from shared.events.ledger import ReuseRecorded
from shared.messaging.consumer import Handlers

AppointmentEvent = AppointmentBooked | AppointmentChanged | AppointmentCancelled | AppointmentProgressed


async def on_appointment(session: AsyncSession, event: AppointmentEvent, *, now: datetime) -> None:  # noqa: ARG001
    """Keep the newest public state of an appointment: codes and times."""
    values = {
        "number": event.number,
        "subject_ref": event.subject_ref,
        "case_id": event.case_id,
        "procedure": event.procedure,
        "office": event.office,
        "counter": event.counter,
        "starts_at": event.starts_at,
        "ends_at": event.ends_at,
        "state": event.state,
        "helper": event.helper,
        "version": event.aggregate_version,
    }
    statement = insert(appointment).values(
        municipality=event.municipality, appointment_id=event.appointment_id, **values
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["municipality", "appointment_id"],
            set_=values,
            where=appointment.c.version < statement.excluded.version,
        )
    )


async def on_availability_changed(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:  # noqa: ARG001
    """Keep a counter's earliest free place."""
    values = {"earliest_at": event.earliest_at, "as_of": event.as_of, "version": event.aggregate_version}
    statement = insert(availability).values(municipality=event.municipality, counter=event.counter, **values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["municipality", "counter"],
            set_=values,
            where=availability.c.version < statement.excluded.version,
        )
    )


async def on_reuse_recorded(session: AsyncSession, event: ReuseRecorded, *, now: datetime) -> None:
    """Keep who reused which items, for the person's own page. An entry never changes."""
    await session.execute(
        insert(reuse)
        .values(
            municipality=event.municipality,
            entry_id=event.entry_id,
            service=event.service,
            occurred_at=event.occurred_at,
            received_at=now,
            entry_type=event.entry_type,
            subject_ref=event.subject_ref,
            actor_kind=event.actor_kind,
            office=event.office,
            source_procedure=event.source_procedure,
            source_step=event.source_step,
            source_collected_at=event.source_collected_at,
            target_service=event.target_service,
            target_procedure=event.target_procedure,
            target_step=event.target_step,
            case_id=event.case_id,
            items=list(event.items),
            purpose=event.purpose,
            legal_basis=event.legal_basis,
            outcome=event.outcome,
            visibility=event.visibility,
        )
        .on_conflict_do_nothing(index_elements=["municipality", "entry_id"])
    )


def make_handlers() -> Handlers:
    """The handler of every event that routing subscribes to (`shared/events/subscriptions.py`)."""
    return {
        AppointmentBooked: on_appointment,
        AppointmentChanged: on_appointment,
        AppointmentCancelled: on_appointment,
        AppointmentProgressed: on_appointment,
        AvailabilityChanged: on_availability_changed,
        ReuseRecorded: on_reuse_recorded,
    }
