"""Reactions to other services' events."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.account_notices import follow_helper_told, follow_sign_in
from services.notifications.commands.accounts import follow_account_contact
from services.notifications.commands.applications import follow_application
from services.notifications.commands.appointments import follow_appointment
from services.notifications.commands.catalogue import apply_catalogue
from services.notifications.commands.classes import follow_class_entry
from services.notifications.commands.contact_letters import follow_contact
from services.notifications.commands.draws import follow_entry
from services.notifications.commands.erasure import on_case_erased, on_subject_erased
from services.notifications.commands.help_requests import follow_help_request
from services.notifications.commands.switches import follow_switch
from services.notifications.commands.turns import follow_turn
from services.notifications.keys import Keys
from services.notifications.tables import ended_sessions
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    ClassEntryProgressed,
    DrawEntryProgressed,
    HelperTold,
    HelpRequestProgressed,
    TurnNear,
)
from shared.events.routing import (
    AccountContactChanged,
    ApplicationProgressed,
    CaseErased,
    CaseSwitched,
    CataloguePublished,
    ContactGiven,
    SessionEnded,
    SignInAsked,
    SubjectErased,
)
from shared.messaging.consumer import Handler, Handlers


def make_handlers(keys: Keys) -> Handlers:
    """The handler of every event that notifications subscribes to (`shared/events/subscriptions.py`)."""

    def with_keys(follow: Callable[..., Awaitable[None]]) -> Handler:
        async def on_event(session: AsyncSession, event: Any, *, now: datetime) -> None:
            await follow(session, keys, event, now=now)

        return on_event

    on_appointment = with_keys(follow_appointment)
    return {
        AccountContactChanged: with_keys(follow_account_contact),
        ApplicationProgressed: with_keys(follow_application),
        CataloguePublished: apply_catalogue,
        CaseSwitched: follow_switch,
        ClassEntryProgressed: with_keys(follow_class_entry),
        ContactGiven: with_keys(follow_contact),
        SessionEnded: ended_sessions.on_session_ended,
        SubjectErased: on_subject_erased,
        CaseErased: on_case_erased,
        AppointmentBooked: on_appointment,
        AppointmentChanged: on_appointment,
        AppointmentCancelled: on_appointment,
        AppointmentProgressed: on_appointment,
        DrawEntryProgressed: with_keys(follow_entry),
        HelperTold: with_keys(follow_helper_told),
        HelpRequestProgressed: with_keys(follow_help_request),
        SignInAsked: with_keys(follow_sign_in),
        TurnNear: follow_turn,
    }
