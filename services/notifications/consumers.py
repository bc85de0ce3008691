"""Reactions to other services' events."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.applications import follow_application
from services.notifications.commands.appointments import AppointmentEvent, follow_appointment
from services.notifications.commands.catalogue import apply_catalogue
from services.notifications.commands.contacts import record_contact
from services.notifications.commands.draws import follow_entry
from services.notifications.commands.erasure import on_case_erased, on_subject_erased
from services.notifications.commands.switches import follow_switch
from services.notifications.commands.turns import follow_turn
from services.notifications.keys import Keys
from services.notifications.tables import ended_sessions
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    DrawEntryProgressed,
    TurnNear,
)
from shared.events.routing import (
    ApplicationProgressed,
    CaseErased,
    CaseSwitched,
    CataloguePublished,
    ContactGiven,
    SessionEnded,
    SubjectErased,
)
from shared.messaging.consumer import Handlers


def make_handlers(keys: Keys) -> Handlers:
    """The handler of every event that notifications subscribes to (`shared/events/subscriptions.py`)."""

    async def on_contact_given(session: AsyncSession, event: ContactGiven, *, now: datetime) -> None:
        await record_contact(session, keys, event, now=now)

    async def on_appointment(session: AsyncSession, event: AppointmentEvent, *, now: datetime) -> None:
        await follow_appointment(session, keys, event, now=now)

    async def on_application(session: AsyncSession, event: ApplicationProgressed, *, now: datetime) -> None:
        await follow_application(session, keys, event, now=now)

    async def on_entry(session: AsyncSession, event: DrawEntryProgressed, *, now: datetime) -> None:
        await follow_entry(session, keys, event, now=now)

    return {
        ApplicationProgressed: on_application,
        CataloguePublished: apply_catalogue,
        CaseSwitched: follow_switch,
        ContactGiven: on_contact_given,
        SessionEnded: ended_sessions.on_session_ended,
        SubjectErased: on_subject_erased,
        CaseErased: on_case_erased,
        AppointmentBooked: on_appointment,
        AppointmentChanged: on_appointment,
        AppointmentCancelled: on_appointment,
        AppointmentProgressed: on_appointment,
        DrawEntryProgressed: on_entry,
        TurnNear: follow_turn,
    }
