"""From a visit to the appointment: choose a day and time, confirm, book. Works without JavaScript."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking import flow
from services.booking.commands.appointments import BookAppointment
from services.booking.commands.holds import HoldPlace, hold_place
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.commands.shown import write_shown_to_staff
from services.booking.commands.visits import leave_page, note_shown, release_hold
from services.booking.domain.rules import SlotTaken
from services.booking.domain.shifts import given_name
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.days import read_choice
from services.booking.pages.look import Look, read_look
from services.booking.pages.opening import access_cookie
from services.booking.pages.wording import counter_label, notice_label, place_label, say_when, where_to_go
from services.booking.queries.classes import are_classes_open
from services.booking.queries.draws import list_open_draws
from services.booking.queries.one_stop import list_errands
from services.booking.queries.rules import get_rules
from services.booking.queries.services import fit_procedure, list_choices, list_offered, name_services, need_of
from services.booking.queries.slots import ProcedureView, find_procedure, list_counters
from services.booking.queries.visits import (
    OtherAppointment,
    VisitView,
    find_newer_visit,
    get_visit,
    list_other_appointments,
)
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import is_uuid, parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import require_visitor, staff_of
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_visitor]
# The visit is no more, or has its appointment: its page says so, or leads there.
VISIT_ENDED = frozenset({"visit_over", "visit_booked"})
# Why something could not be chosen, or not together: said above what can be.
SERVICES_AGAIN = frozenset(
    {"services_unfit", "services_too_long", "services_no_room", "services_of_chain", "services_with_helper"}
)
BOOK_REFUSALS = frozenset({"too_many_appointments"})
# Why a time could not be held: said above the times, so that another can be chosen at once.
CHOOSE_AGAIN = frozenset(
    {
        "slot_taken",
        "slot_too_soon",
        "slot_too_far",
        "slot_closed",
        "slot_unknown",
        "slot_unfit",
        "slot_too_short",
        "services_unfit",
        "same_slot",
        "chain_broken",
        "key_reused",
    }
)


@get("/booking/visits/{visit_id:str}", guards=GUARDS)
async def get_visit_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    lapsed: FromQuery[str] = "",
    refused: FromQuery[str] = "",
    wanted: FromQuery[str] = "",
) -> Template | Redirect:
    """A month, or a list of free times. After one could not be held (`refused`, `wanted`): why, and others near it."""
    return await _choose(
        request,
        db,
        rush,
        keys,
        town,
        identity,
        _visit_id(visit_id),
        look=read_look(request.query_params),
        now=now,
        lapsed=bool(lapsed),
        refused=refused,
        wanted=wanted,
    )


@post("/booking/visits/{visit_id:str}/hold", guards=GUARDS)
async def post_hold_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """A time was chosen: its place is held. Who lost it GETs the page again, so that going back asks for no form."""
    fields = await read_form(request)
    visit = _visit_id(visit_id)
    typed_slot = fields.get("slot", "")
    try:
        slot_id = parse_uuid(typed_slot, code="slot_unknown")
        order = HoldPlace(
            municipality=town.code,
            visit_id=visit,
            visitor=identity.ref,
            slot_id=slot_id,
            # One page offers many times: each is a request of its own.
            key=f"{fields.get('idempotency_key', '')[: KEY_MAX_LENGTH - 40]}/{slot_id}",
            staff=staff_of(identity),
        )
        # Not `flow.hold`: the page that follows looks for the nearest others.
        await rush.run(db, town.code, lambda session: hold_place(session, order, now=now))
    except Refusal as refusal:
        if refusal.code not in CHOOSE_AGAIN | VISIT_ENDED:
            raise
        return see_other(refused_path(f"/booking/visits/{visit}", refusal, slot=typed_slot, look=read_look(fields)))
    return see_other(f"/booking/visits/{visit}/confirm")


@get("/booking/visits/{visit_id:str}/confirm", guards=GUARDS)
async def get_confirm_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """What will be booked, how long the place is kept, and what the visitor has booked already."""
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, _visit_id(visit_id), identity.ref, keys)
        procedure = await _procedure(session, town.code, visit)
        chosen = await name_services(session, town.code, visit.services)
        counters = await list_counters(session, town.code)
        others = await _others(session, town, visit.visit_id, identity, now=now)
        staff = staff_of(identity)
        is_held = visit.held is not None and visit.held.is_live(now)
        if is_held:
            await note_shown(session, town.code, visit.visit_id, now=now)
        if staff is not None and is_held:
            await write_shown_to_staff(session, staff, visit.visit_id, keys, now=now)
    if visit.number is not None:
        return see_other(f"/booking/appointments/{visit.number}")
    if visit.held is None or not visit.held.is_live(now):
        return see_other(f"/booking/visits/{visit.visit_id}?lapsed=1")
    counter = counters.get(visit.held.counter)
    if counter is None:
        # The town has closed this counter since: its times are gone, other counters may have some.
        return see_other(f"/booking/visits/{visit.visit_id}?refused=slot_closed")
    return page(
        request,
        "confirm.html",
        behalf=visit.behalf,
        visit=visit,
        held=visit.held,
        procedure=procedure,
        chosen=chosen,
        where=place_label(counter.place_ja, counter.number, counter.name_ja),
        given_name=given_name(visit.name or visit.kana or ""),
        shown=now.isoformat(),
        others=[each for each in others if not each.is_replaced],
        replaced=[each for each in others if each.is_replaced],
        **refusal_words(refused, BOOK_REFUSALS),
        key=str(uuid4()),
    )


@post("/booking/visits/{visit_id:str}/book", guards=GUARDS)
async def post_book_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    secure: NamedDependency[bool],
) -> Redirect:
    """Confirmed. However often it is sent, it is one appointment; a second one of a procedure is asked about first."""
    fields = await read_form(request)
    key = fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or "book"
    is_asked = bool(fields.get("another"))
    return await book_held(
        db, rush, keys, town, identity, _visit_id(visit_id), key=key, another=is_asked, secure=secure, now=now
    )


async def book_held(
    db: Database,
    rush: Rush,
    keys: Keys,
    town: Town,
    identity: Identity,
    visit: UUID,
    *,
    key: str,
    another: bool,
    secure: bool,
    now: datetime,
) -> Redirect:
    """Turn what a visit holds into an appointment, and lead to it, or to what is to be settled first.

    `another`: they know of what they have booked already, and want this one too.
    """
    staff = staff_of(identity)
    order = BookAppointment(municipality=town.code, visit_id=visit, visitor=identity.ref, key=key, staff=staff)
    if not another:
        async with db.begin(town.code) as session:
            others = await _others(session, town, visit, identity, now=now)
            if any(not each.is_replaced for each in others):
                # Booked since the page was shown, in another window perhaps: the page asks now.
                return see_other(f"/booking/visits/{visit}/confirm")
    try:
        booked = await flow.book(db, rush, order, keys, now=now)
    except Refusal as refusal:
        if refusal.code in ("hold_missing", "hold_expired"):
            return see_other(f"/booking/visits/{visit}?lapsed=1")
        if refusal.code == "slot_taken":
            # At a venue: no helper can come then (any more).
            lost = refused_path(f"/booking/visits/{visit}", refusal, slot=refusal.details["slot_id"])
            return see_other(lost)
        if refusal.code in VISIT_ENDED:
            return see_other(f"/booking/visits/{visit}")
        if refusal.code in BOOK_REFUSALS:
            return see_other(f"/booking/visits/{visit}/confirm?refused={refusal.code}")
        raise
    # Their session opens what staff booked; nothing of it stays on a tablet that others use after them.
    cookies = [] if staff else [access_cookie(keys, town.code, booked, secure=secure, now=now)]
    return Redirect(f"/booking/appointments/{booked.number}", status_code=303, cookies=cookies)


@post("/booking/visits/{visit_id:str}/release", guards=GUARDS)
async def post_release_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect | Response[None]:
    """Another time, please: the place is free for others. With `shown`, the page that was made then was left."""
    fields = await read_form(request)
    visit, staff = _visit_id(visit_id), staff_of(identity)
    async with db.begin(town.code) as session:
        if "shown" not in fields:
            await release_hold(session, town.code, visit, identity.ref, staff=staff, now=now)
        elif shown_at := _read_moment(fields["shown"]):
            await leave_page(session, town.code, visit, identity.ref, shown_at, staff=staff, now=now)
    # Nobody looks at the answer of who has gone, and the page must not be shown by it.
    return Response(None, status_code=204) if "shown" in fields else see_other(f"/booking/visits/{visit}")


async def _choose(
    request: Request[Any, Any, Any],
    db: Database,
    rush: Rush,
    keys: Keys,
    town: Town,
    identity: Identity,
    visit_id: UUID,
    *,
    look: Look,
    now: datetime,
    lapsed: bool = False,
    refused: str = "",
    wanted: str = "",
) -> Template | Redirect:
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, visit_id, identity.ref, keys)
        elsewhere = await find_elsewhere(session, town, visit, identity, now=now)
        if elsewhere is not None:
            return elsewhere
        if await list_errands(session, town.code, visit_id):
            # Several procedures in one visit: chains of times are chosen, not times.
            return see_other(f"/booking/visits/{visit_id}/chains{'?lapsed=1' if lapsed else ''}")
        procedure = await _procedure(session, town.code, visit)
        offered = await list_offered(session, town.code, visit.procedure) if visit.channel == "counter" else []
        try:
            town_policy = (await get_rules(session, town.code)).policy
            procedure = await fit_procedure(session, town.code, procedure, visit.services, town_policy)
        except Refusal as refusal:
            # The catalogue has changed since: they choose again.
            refused = refusal.code
        chosen = await name_services(session, town.code, visit.services)
        counters = await list_counters(session, town.code)
        held = visit.held if visit.held and visit.held.is_live(now) and visit.held.counter in counters else None
        if held:
            await note_shown(session, town.code, visit_id, now=now)
        need = need_of(visit_id, visit.minutes)
        choice = await read_choice(session, town.code, procedure, look, need=need, now=now)
        draws = []
        # A seat of a draw is for one procedure, once.
        if visit.channel == "counter" and not visit.services:
            draws = await list_open_draws(session, town.code, visit.procedure, now=now)
        has_classes = visit.channel == "helper" and await are_classes_open(session, town.code, visit.procedure, now=now)
    return page(
        request,
        "visit.html",
        behalf=visit.behalf,
        visit=visit,
        procedure=procedure,
        kinds=list_choices(offered, visit.procedure, visit.services),
        minutes=visit.minutes or procedure.minutes,
        chooses=refused in SERVICES_AGAIN,
        chosen=chosen,
        choice=choice,
        draws=draws,
        has_classes=has_classes,
        counter_label=counter_label,
        notice_label=notice_label,
        say_when=say_when,
        held=held,
        shown=now.isoformat(),
        lapsed=lapsed,
        **refusal_words(refused, CHOOSE_AGAIN | SERVICES_AGAIN),
        alternatives=await list_near(db, rush, town, procedure, refused, wanted, minutes=visit.minutes, now=now),
        key=str(uuid4()),
        base=f"/booking/visits/{visit_id}",
    )


async def find_elsewhere(
    session: AsyncSession, town: Town, visit: VisitView, identity: Identity, *, now: datetime
) -> Redirect | None:
    """Where to go on from a visit at which nothing is chosen any more: its appointment, or the visit after it.

    Raises:
        Refusal: `visit_over` (410), there is neither.
    """
    if visit.number is not None:
        return see_other(f"/booking/appointments/{visit.number}")
    if visit.expires_at > now:
        return None
    newer = await find_newer_visit(session, town.code, visit.visit_id, identity.ref, now=now)
    if newer is None:
        raise Refusal("visit_over", 410)
    return see_other(f"/booking/visits/{newer}")


async def _others(
    session: AsyncSession, town: Town, visit_id: UUID, identity: Identity, *, now: datetime
) -> list[OtherAppointment]:
    for_many = staff_of(identity) is not None
    return await list_other_appointments(session, town.code, visit_id, identity.ref, for_many=for_many, now=now)


def refused_path(path: str, refusal: Refusal, *, slot: str, look: Look | None = None) -> str:
    """The page that says why a time could not be had: a short code, the look and the slot, nothing of the person."""
    known = {"refused": refusal.code} if refusal.code in CHOOSE_AGAIN else {}
    if known and is_uuid(slot):
        known["wanted"] = slot
    known |= look.query() if look else {}
    return f"{path}?{urlencode(known)}" if known else path


def refusal_words(code: str, known: frozenset[str]) -> dict[str, Any]:
    """What a page says of a refusal that came with its address; nothing of a code that it does not know."""
    text = REFUSALS[code] if code in known else None
    return {
        "refused_title": translate(text.title) if text else None,
        "refused_advice": translate(text.advice) if text else None,
    }


async def list_near(
    db: Database,
    rush: Rush,
    town: Town,
    procedure: ProcedureView,
    refused: str,
    wanted: str,
    *,
    minutes: int | None = None,
    now: datetime,
) -> list[dict[str, Any]]:
    """The free times nearest to the one that was lost, nearest first; with their place, if there is more than one."""
    if refused != "slot_taken" or not is_uuid(wanted):
        return []
    async with db.begin(town.code) as session:
        policy = procedure.policy((await get_rules(session, town.code)).policy)
        counters = await list_counters(session, town.code)
    taken = SlotTaken(procedure.counters, policy, minutes=minutes)
    found = await rush.alternatives(db, town.code, UUID(wanted), taken, now=now)
    return [
        {
            "starts_at": datetime.fromisoformat(item["starts_at"]),
            "where": where_to_go(item["where"], counters.get(item["counter"])) if len(procedure.counters) > 1 else "",
        }
        for item in found
    ]


async def _procedure(session: Any, municipality: str, visit: VisitView) -> ProcedureView:
    procedure = await find_procedure(session, municipality, visit.procedure, visit.channel)
    if procedure is None or not procedure.counters:
        raise Refusal("procedure_unknown", 409)
    return procedure


def _visit_id(text: str) -> UUID:
    return parse_uuid(text, code="visit_unknown")


def _read_moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
