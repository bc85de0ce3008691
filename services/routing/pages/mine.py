"""A visitor's own page: their cases, each with its appointments and application, and those that they have opened."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import AT_PERSON
from services.routing.domain.thread import Standing, deciding_states, find_standing, is_live
from services.routing.keys import Keys
from services.routing.pages.application_wording import STATE_LOOKS
from services.routing.pages.application_wording import STATES as APPLICATION_STATES
from services.routing.pages.case_access import OpenedCase, list_opened
from services.routing.pages.thread import draw_case, read_words, standing_words
from services.routing.pages.thread_wording import STANDINGS
from services.routing.pages.wording import (
    CASE_STATES,
    ONLINE_CASE_STATES,
    appointment_state,
    place_of,
)
from services.routing.queries.applications import Listed, list_my_applications
from services.routing.queries.catalogue import list_counters, procedure_names
from services.routing.queries.mine import MyAppointment, MyCase, list_my_appointments, list_my_cases
from services.routing.queries.one_form import list_one_forms
from services.routing.queries.plans import list_life_events, list_my_plans
from services.routing.queries.quality import list_done
from services.routing.queries.thread import find_case_row, read_thread
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page
from shared.web.town_texts import town_text

# What waits for the person comes first, then what has a time.
WAITS, BOOKED, OPEN, AT_OFFICE = range(4)
PRINTED_MAX = 20

Req = Request[Any, Any, Any]


@get("/my", guards=[require_visitor])
async def show_my(
    request: Req,
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
) -> Template:
    """The visitor's cases, what is open first; then those of others that they have opened by link or code."""
    async with db.begin(identity.municipality) as session:
        cards = await _read_cards(session, identity, now=now)
        opened = await _read_opened(request, session, keys, identity, {card["case_id"] for card in cards}, now=now)
        plans = await list_my_plans(session, identity)
        events = {event.code: event for event in await list_life_events(session, identity.municipality)}
    return page(
        request,
        "my.html",
        open_cases=sorted((card for card in cards if card["is_open"]), key=lambda card: card["order"]),
        ended_cases=[card for card in cards if not card["is_open"]],
        opened=opened,
        plans=[
            {"href": f"/plans/{plan.plan_id}", "name": town_text(events[plan.event].name.ja)}
            for plan in plans
            if plan.event in events
        ],
    )


@get("/my/print", guards=[require_visitor])
async def print_my(
    request: Req,
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
) -> Template:
    """What is open, on paper: for each what comes next, its numbers, and what to bring."""
    async with db.begin(identity.municipality) as session:
        cards = sorted(
            (card for card in await _read_cards(session, identity, now=now) if card["is_open"]),
            key=lambda card: card["order"],
        )
        words = await read_words(session, identity)
        drawn = []
        for card in cards[:PRINTED_MAX]:
            row = await find_case_row(session, identity.municipality, card["case_id"])
            opened = OpenedCase(row=row, identity=identity, is_owner=True)
            drawn.append(await draw_case(session, opened, keys, words, now=now) | {"newest": [], "older": []})
    return page(request, "thread_print.html", cases=drawn, back="/my")


async def _read_cards(session: AsyncSession, identity: Identity, *, now: datetime) -> list[dict[str, Any]]:
    """The visitor's cases, newest first, each with everything that came out of it."""
    cases = await list_my_cases(session, identity, now=now)
    appointments = await list_my_appointments(session, identity, now=now)
    sent = {each.case_id: each for each in await list_my_applications(session, identity)}
    names = await procedure_names(session, identity.municipality)
    counters = await list_counters(session, identity.municipality)
    done = await list_done(session, identity)
    one_forms = await list_one_forms(session, identity)

    def appointment_of(each: MyAppointment) -> dict[str, Any]:
        return {
            "number": each.number,
            "titles": [names[code][0] if code in names else code for code in each.procedures],
            "starts_at": each.starts_at,
            "place": place_of(counters[each.counter]) if each.counter in counters else None,
            "state": appointment_state(each.state, each.helper),
            "is_over": not is_live(each, now),
            "is_closed": each.is_closed,
        }

    cards = []
    for case in cases:
        own = [each for each in appointments if each.case_id == case.case_id]
        live = [each for each in own if is_live(each, now)]
        application = sent.get(case.case_id)
        standing = find_standing(
            case_state=case.state,
            application_state=application.state if application else None,  # type: ignore[arg-type]
            appointment_states=deciding_states(own, case.channel, now),
            is_closed=case.is_given_up,
        )
        is_mine_to_go_on = standing == "open"
        cards.append(
            {
                "case_id": case.case_id,
                "number": case.number,
                "is_open": standing in ("open", "booked", "sent"),
                "order": _order(standing, application, live),
                "thread": f"/cases/{case.case_id}/thread",
                "title": names[case.procedure][0] if case.procedure in names else case.procedure,
                "state": _state_of(case, standing) if is_mine_to_go_on or not (own or application) else None,
                "go_on": f"/cases/{case.case_id}" if is_mine_to_go_on else None,
                "one_form": f"/plans/{one_forms[case.case_id]}/online" if case.case_id in one_forms else None,
                "device": f"/cases/{case.case_id}/device" if is_mine_to_go_on and case.channel == "online" else None,
                "prepared": f"/cases/{case.case_id}/prepared" if _can_prepare(live) else None,
                "created_at": case.created_at,
                "person": case.person,
                "appointments": [appointment_of(each) for each in own],
                "application": _application_of(application) if application else None,
                "feedback": _feedback_of(case.case_id, done),
            }
        )
    return cards


async def _read_opened(
    request: Req, session: AsyncSession, keys: Keys, identity: Identity, own: set[UUID], *, now: datetime
) -> list[dict[str, str]]:
    """What this browser has opened by link, by code or from an appointment, and is not the visitor's own."""
    names = await procedure_names(session, identity.municipality)
    lines = []
    for case_id in await list_opened(request, session, keys, identity.municipality, now=now):
        row = await find_case_row(session, identity.municipality, case_id) if case_id not in own else None
        if row is not None:
            thread = await read_thread(session, row, now=now)
            title = names[row.procedure][0] if row.procedure in names else row.procedure
            lines.append({"href": f"/cases/{case_id}/thread", "title": title, "state": standing_words(thread)})
    return lines


def _can_prepare(live: list[MyAppointment]) -> bool:
    """Whether the person comes to a counter, where what was written before need not be written."""
    return any(each.at_counter for each in live)


def _order(standing: Standing, application: Listed | None, live: list[MyAppointment]) -> tuple[int, float]:
    waits = any(each.is_closed for each in live) or (application is not None and application.state in AT_PERSON)
    rank = WAITS if waits else {"booked": BOOKED, "open": OPEN}.get(standing, AT_OFFICE)
    return rank, min((each.starts_at.timestamp() for each in live), default=0.0)


def _state_of(case: MyCase, standing: Standing) -> str:
    if standing == "open":
        return translate((ONLINE_CASE_STATES if case.channel == "online" else CASE_STATES)[case.state])
    return translate(STANDINGS.get(standing, STANDINGS["over"]))


def _application_of(sent: Listed) -> dict[str, Any]:
    return {
        "number": sent.number,
        "state": translate(APPLICATION_STATES[sent.state]),
        "look": STATE_LOOKS[sent.state],
        "submitted_at": sent.submitted_at,
    }


def _feedback_of(case_id: UUID, done: Mapping[UUID, bool]) -> dict[str, Any] | None:
    """Where one says how a case went, once it is done; whether one has."""
    return {"href": f"/cases/{case_id}/feedback", "is_said": done[case_id]} if case_id in done else None
