"""A visitor's own page: appointments, applications and cases."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.routing.pages.application_wording import STATE_LOOKS
from services.routing.pages.application_wording import STATES as APPLICATION_STATES
from services.routing.pages.wording import (
    CASE_STATES,
    ONLINE_CASE_STATES,
    appointment_state,
    place_of,
)
from services.routing.queries.applications import list_my_applications
from services.routing.queries.catalogue import list_counters, procedure_names
from services.routing.queries.family import list_persons
from services.routing.queries.mine import CLOSED_STATES, list_my_appointments, list_my_cases
from services.routing.queries.plans import list_life_events, list_my_plans
from services.routing.queries.quality import list_done
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page
from shared.web.town_texts import town_text


@get("/my", guards=[require_visitor])
async def show_my(
    request: Request[Any, Any, Any], db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """The visitor's appointments and unfinished cases."""
    async with db.begin(identity.municipality) as session:
        cases = await list_my_cases(session, identity)
        appointments = await list_my_appointments(session, identity)
        names = await procedure_names(session, identity.municipality)
        counters = await list_counters(session, identity.municipality)
        applications = await list_my_applications(session, identity)
        plans = await list_my_plans(session, identity)
        persons = await list_persons(session, identity)
        done = await list_done(session, identity)
        events = {event.code: event for event in await list_life_events(session, identity.municipality)}
    booked_cases = {appointment.case_id for appointment in appointments}
    return page(
        request,
        "my.html",
        appointments=[
            {
                "number": appointment.number,
                "case_number": appointment.case_number,
                "prepared": f"/cases/{appointment.case_id}/prepared" if appointment.at_counter else None,
                "titles": [names[code][0] if code in names else code for code in appointment.procedures],
                "starts_at": appointment.starts_at,
                "place": place_of(counters[appointment.counter]) if appointment.counter in counters else None,
                "state": appointment_state(appointment.state, appointment.helper),
                "is_over": appointment.state in CLOSED_STATES,
                "is_closed": appointment.is_closed,
                "person": appointment.person,
                "feedback": _feedback_of(appointment.case_id, done) if appointment.state == "done" else None,
            }
            for appointment in appointments
        ],
        applications=[
            {
                "number": sent.number,
                "title": names[sent.procedure][0] if sent.procedure in names else sent.procedure,
                "state": translate(APPLICATION_STATES[sent.state]),
                "look": STATE_LOOKS[sent.state],
                "submitted_at": sent.submitted_at,
                "person": persons.get(sent.subject_ref),
                "feedback": _feedback_of(sent.case_id, done),
            }
            for sent in applications
        ],
        cases=[
            {
                "href": f"/cases/{case.case_id}",
                "number": case.number,
                "title": names[case.procedure][0],
                "device": f"/cases/{case.case_id}/device" if case.channel == "online" else None,
                "state": translate((ONLINE_CASE_STATES if case.channel == "online" else CASE_STATES)[case.state]),
                "created_at": case.created_at,
                "person": case.person,
            }
            for case in cases
            if (case.case_id not in booked_cases or case.channel == "online") and case.state != "submitted"
        ],
        plans=[
            {"href": f"/plans/{plan.plan_id}", "name": town_text(events[plan.event].name.ja)}
            for plan in plans
            if plan.event in events
        ],
    )


def _feedback_of(case_id: UUID | None, done: Mapping[UUID, bool]) -> dict[str, Any] | None:
    """Where one says how a case went, once it is done; whether one has."""
    if case_id is None or case_id not in done:
        return None
    return {"href": f"/cases/{case_id}/feedback", "is_said": done[case_id]}
