"""Changing and cancelling an appointment: choose or ask, then confirm."""

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.domain.one_stop import walk_min
from services.booking.domain.rules import refuse_too_late
from services.booking.domain.services import Service
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.days import read_choice
from services.booking.pages.look import Look, read_look
from services.booking.pages.opening import ask_for_code, open_appointment
from services.booking.pages.visits import CHOOSE_AGAIN, list_near, refusal_words, refused_path
from services.booking.pages.wording import counter_label, notice_label, place_label, say_when, where_is
from services.booking.queries.appointments import AppointmentView
from services.booking.queries.free import find_bookable
from services.booking.queries.one_stop import Linked, list_linked, list_walks
from services.booking.queries.rules import get_rules
from services.booking.queries.runs import Need
from services.booking.queries.services import fit_procedure, need_of
from services.booking.queries.slots import OpenSlot, ProcedureView, find_procedure, list_counters
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.web.forms import is_uuid, parse_uuid, read_form
from shared.web.identity import PUBLIC, find_identity, staff_of
from shared.web.pages import page, see_other
from shared.web.town import Town

VERSION_MAX = 1_000_000
# What the appointment's own page says of a change or cancellation that was refused.
REFUSED_HERE = frozenset({"appointment_moved", "appointment_cancelled", "appointment_started", "change_too_late"})

Req = Request[Any, Any, Any]


@get("/booking/appointments/{number:str}/change", opt=PUBLIC)
async def get_change_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    slot: FromQuery[str] = "",
    refused: FromQuery[str] = "",
    wanted: FromQuery[str] = "",
) -> Template | Redirect:
    """Another time: choose it, then confirm it. The old place stays until the new one is certain."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    return await _change_page(
        request,
        found,
        db,
        rush,
        town,
        look=read_look(request.query_params),
        slot=slot,
        refused=refused,
        wanted=wanted,
        now=now,
    )


@post("/booking/appointments/{number:str}/change", opt=PUBLIC)
async def post_change_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Confirmed: the appointment moves. A refusal is shown by the page that is GET after it."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    fields = await read_form(request)
    own = f"/booking/appointments/{found.number}"
    try:
        order = ChangeAppointment(
            municipality=town.code,
            appointment_id=found.appointment_id,
            slot_id=parse_uuid(fields.get("slot", ""), code="slot_unknown"),
            version=read_version(fields),
            key=read_key(fields),
            staff=staff_of(find_identity(request)),
        )
        # The page that follows looks for the nearest others.
        await rush.run(db, town.code, lambda session: change_appointment(session, order, now=now))
    except Refusal as refusal:
        if refusal.code in CHOOSE_AGAIN:
            slot = fields.get("slot", "")
            return see_other(refused_path(f"{own}/change", refusal, slot=slot, look=read_look(fields)))
        if refusal.code in REFUSED_HERE:
            return see_other(f"{own}?refused={refusal.code}")
        raise
    return see_other(f"{own}?changed=1")


@get("/booking/appointments/{number:str}/cancel", opt=PUBLIC)
async def get_cancel_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """Really?"""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    await check_not_too_late(db, town, found, now=now)
    linked = await read_linked(db, town, found)
    return page(
        request,
        "cancel.html",
        appointment=found,
        linked=linked,
        ahead=sum(_is_ahead(item, now) for item in linked),
        number=show_number(found.number),
        where=where_is(found),
        key=str(uuid4()),
    )


@post("/booking/appointments/{number:str}/cancel", opt=PUBLIC)
async def post_cancel_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Confirmed: it is cancelled, and its place is free. A refusal is told on the appointment's page."""
    found = await open_appointment(request, number, db, keys, town, now=now)
    if found is None:
        return ask_for_code(number)
    fields = await read_form(request)
    order = CancelAppointment(
        municipality=town.code,
        appointment_id=found.appointment_id,
        version=read_version(fields),
        key=read_key(fields),
        staff=staff_of(find_identity(request)),
        whole=fields.get("whole") == "yes",
    )
    try:
        await rush.run(db, town.code, lambda session: cancel_appointment(session, order, now=now))
    except Refusal as refusal:
        if refusal.code in REFUSED_HERE:
            return see_other(f"/booking/appointments/{found.number}?refused={refusal.code}")
        raise
    return see_other(f"/booking/appointments/{found.number}")


async def read_linked(db: Database, town: Town, found: AppointmentView) -> list[dict[str, Any]]:
    """All appointments of the same arrival, for a page, with the walks between them; none when this is by itself."""
    if found.chain_id is None:
        return []
    async with db.begin(town.code) as session:
        linked = await list_linked(session, town.code, found.appointment_id)
        walks = await list_walks(session, town.code)
    before: dict[tuple[int, date], Linked] = {}
    items = []
    for item in linked:
        who = item.person, jst_day(item.starts_at)
        last = before.get(who)
        if item.state != "cancelled":
            before[who] = item
        items.append(
            {
                "number": item.number,
                "name": item.procedure_name,
                "starts_at": item.starts_at,
                "minutes": item.minutes,
                "bring": item.bring,
                "state": item.state,
                "closed": item.closure != "none",
                "where": place_label(item.counter_place, item.counter_number, item.counter_name),
                # From the counter before, of the same person on the same day.
                "walk_min": walk_min(walks, last.counter, item.counter) if last else 0,
                "person": item.person,
            }
        )
    return items


def _is_ahead(item: dict[str, Any], now: datetime) -> bool:
    return bool(item["state"] == "booked" and (item["starts_at"] > now or item["closed"]))


async def check_not_too_late(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> None:
    """Whether the resident may still change or cancel it.

    Raises:
        Refusal: as `refuse_too_late`.
    """
    async with db.begin(town.code) as session:
        policy = (await get_rules(session, town.code)).policy
    closed = found.closure != "none"
    refuse_too_late(policy, state=found.state, starts_at=found.starts_at, closed=closed, now=now)


async def _change_page(
    request: Req,
    found: AppointmentView,
    db: Database,
    rush: Rush,
    town: Town,
    *,
    look: Look,
    slot: str,
    refused: str,
    wanted: str,
    now: datetime,
) -> Template:
    await check_not_too_late(db, town, found, now=now)
    async with db.begin(town.code) as session:
        procedure = await find_procedure(session, town.code, found.procedure, found.channel)
        if procedure is None:
            raise Refusal("procedure_unknown", 409)
        town_policy = (await get_rules(session, town.code)).policy
        services = [Service(each.procedure, each.quantity) for each in found.services]
        procedure = await fit_procedure(session, town.code, procedure, services, town_policy)
        minutes = found.minutes if services else None
        need = need_of(found.appointment_id, minutes)
        choice = await read_choice(session, town.code, procedure, look, without=found.slot_id, need=need, now=now)
        chosen = await _find_chosen(session, town, procedure, found, slot, need, now=now)
        counters = await list_counters(session, town.code)
    to = counters.get(chosen.counter) if chosen else None
    return page(
        request,
        "change.html",
        appointment=found,
        is_linked=found.chain_id is not None,
        number=show_number(found.number),
        where=where_is(found),
        choice=choice,
        chosen=chosen,
        chosen_where=place_label(to.place_ja, to.number, to.name_ja) if to else "",
        counter_label=counter_label,
        notice_label=notice_label,
        say_when=say_when,
        **refusal_words(refused, CHOOSE_AGAIN),
        alternatives=await list_near(db, rush, town, procedure, refused, wanted, minutes=minutes, now=now),
        key=str(uuid4()),
        base=f"/booking/appointments/{found.number}/change",
    )


async def _find_chosen(
    session: AsyncSession,
    town: Town,
    procedure: ProcedureView,
    found: AppointmentView,
    slot: str,
    need: Need | None,
    *,
    now: datetime,
) -> OpenSlot | None:
    if not is_uuid(slot) or slot == str(found.slot_id):
        return None
    policy = procedure.policy((await get_rules(session, town.code)).policy)
    chosen = await find_bookable(session, town.code, UUID(slot), procedure.counters, policy, need=need, now=now)
    return chosen if chosen and chosen.free else None


def read_version(fields: dict[str, str]) -> int:
    """The version that a form brings.

    Raises:
        Refusal: `form_unreadable` (400).
    """
    text = fields.get("version", "")
    if not (text.isascii() and text.isdigit()) or int(text[:10]) > VERSION_MAX:
        raise Refusal("form_unreadable", 400)
    return int(text[:10])


def read_key(fields: dict[str, str]) -> str:
    """The idempotency key that a form brings; one of its own where there is none."""
    return fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or str(uuid4())
