"""A visitor's own pages: cases and appointments, and 「わたしの情報のやりとり履歴」."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.routing.pages.application_wording import STATE_LOOKS
from services.routing.pages.application_wording import STATES as APPLICATION_STATES
from services.routing.pages.wording import (
    CASE_STATES,
    ONLINE_CASE_STATES,
    TARGETS,
    appointment_state,
    history_line,
    item_names,
    place_of,
)
from services.routing.queries.applications import list_my_applications
from services.routing.queries.catalogue import list_counters, procedure_names
from services.routing.queries.family import list_persons
from services.routing.queries.mine import (
    CLOSED_STATES,
    HISTORY_COPY_MAX,
    HISTORY_PAGE,
    SERVICES,
    History,
    find_subject,
    list_history,
    list_my_appointments,
    list_my_cases,
)
from services.routing.queries.plans import list_life_events, list_my_plans
from shared.clock import JST
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import translate, without_readings
from shared.web.identity import require_visitor
from shared.web.pages import page
from shared.web.town_texts import town_text

PAGES_MAX = 200
OFFICE_MAX_LENGTH = 60

_EMPTY = History(
    entries=(), total=0, spared_items=0, pending=0, first_at=None, last_received_at=None, offices=(), has_more=False
)


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
        events = {event.code: event for event in await list_life_events(session, identity.municipality)}
    booked_cases = {appointment.case_id for appointment in appointments}
    return page(
        request,
        "my.html",
        appointments=[
            {
                "number": appointment.number,
                "title": names[appointment.procedure][0] if appointment.procedure in names else appointment.procedure,
                "starts_at": appointment.starts_at,
                "place": place_of(counters[appointment.counter]) if appointment.counter in counters else None,
                "state": appointment_state(appointment.state, appointment.helper),
                "is_closed": appointment.state in CLOSED_STATES,
                "person": appointment.person,
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
            }
            for sent in applications
        ],
        cases=[
            {
                "href": f"/cases/{case.case_id}",
                "title": names[case.procedure][0],
                "state": translate((ONLINE_CASE_STATES if case.channel == "online" else CASE_STATES)[case.state]),
                "created_at": case.created_at,
                "person": case.person,
            }
            for case in cases
            if case.case_id not in booked_cases and case.state != "submitted"
        ],
        plans=[
            {"href": f"/plans/{plan.plan_id}", "name": town_text(events[plan.event].name.ja)}
            for plan in plans
            if plan.event in events
        ],
    )


@get("/my/history", guards=[require_visitor])
async def show_history(
    request: Request[Any, Any, Any], db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """Who reused which of the visitor's items, newest first."""
    service, office = _filters(request)
    number = _page_number(request)
    history, names = await _read(
        db, identity, service=service, office=office, skip=(number - 1) * HISTORY_PAGE, limit=HISTORY_PAGE
    )
    return page(
        request,
        "history.html",
        history=history,
        lines=[history_line(entry, names) for entry in history.entries],
        service=service or "",
        office=office or "",
        service_options=[{"value": name, "label": translate(TARGETS[name])} for name in SERVICES],
        office_options=[{"value": name, "label": town_text(name)} for name in history.offices],
        page_number=number,
    )


@get("/my/history.json", guards=[require_visitor])
async def copy_history(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """The same as a file to keep: names of items, no values."""
    service, office = _filters(request)
    history, names = await _read(db, identity, service=service, office=office, skip=0, limit=HISTORY_COPY_MAX)
    with without_readings():
        entries = [
            {
                **msgspec.to_builtins(entry),
                "item_names": item_names(entry.items),
                "sentence": history_line(entry, names).sentence,
            }
            for entry in history.entries
        ]
    copy = {
        "municipality": identity.municipality,
        "as_of": now.astimezone(JST),
        "total": history.total,
        "spared_items": history.spared_items,
        "not_yet_listed": history.pending,
        "entries": entries,
    }
    return Response(
        msgspec.json.format(msgspec.json.encode(copy)),
        media_type="application/json",
        headers={"content-disposition": 'attachment; filename="history.json"'},
    )


async def _read(
    db: Database, identity: Identity, *, service: str | None, office: str | None, skip: int, limit: int
) -> tuple[History, dict[str, tuple[str, str]]]:
    async with db.begin(identity.municipality) as session:
        family = await list_persons(session, identity)
        subject_ref = await find_subject(session, identity) or next(iter(family), None)
        names = await procedure_names(session, identity.municipality)
        if subject_ref is None:
            return _EMPTY, names
        history = await list_history(
            session,
            identity.municipality,
            subject_ref,
            family=family,
            service=service,
            office=office,
            skip=skip,
            limit=limit,
        )
    return history, names


def _filters(request: Request[Any, Any, Any]) -> tuple[str | None, str | None]:
    """The filters asked for; what is not one of ours is no filter."""
    service = request.query_params.get("service")
    office = request.query_params.get("office", "")[:OFFICE_MAX_LENGTH].replace("\x00", "")
    return (service if service in SERVICES else None), (office or None)


def _page_number(request: Request[Any, Any, Any]) -> int:
    text = request.query_params.get("page", "1")
    return min(max(int(text), 1), PAGES_MAX) if text.isascii() and text.isdigit() and len(text) < 6 else 1
