"""From the pass to the appointment: arrive, choose a day and time, confirm, book. Works without JavaScript."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect, Template

from services.booking import flow
from services.booking.commands.appointments import BookAppointment
from services.booking.commands.holds import HoldPlace
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.commands.visits import arrive, release_hold
from services.booking.domain.shifts import given_name
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.days import read_choice
from services.booking.pages.opening import access_cookie
from services.booking.pages.wording import counter_label, place_label, say_when
from services.booking.queries.slots import ProcedureView, find_procedure, list_counters
from services.booking.queries.visits import VisitView, get_visit
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.passes import open_pass
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import STAFF_KINDS, require_visitor
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_visitor]
PASS_ISSUER, PASS_PURPOSE = "routing", "book"
# Why a time could not be held: said above the times, so that another can be chosen at once.
CHOOSE_AGAIN = frozenset(
    {"slot_taken", "slot_too_soon", "slot_too_far", "slot_closed", "slot_unknown", "slot_unfit", "key_reused"}
)


@post("/booking/arrive", guards=GUARDS)
async def post_arrive(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """The browser brings the pass. One that is too old is made again where it came from, without an error."""
    fields = await read_form(request)
    try:
        ticket = open_pass(keys.box, PASS_ISSUER, PASS_PURPOSE, fields.get("pass", ""), municipality=town.code, now=now)
    except Refusal as refusal:
        if refusal.code != "pass_expired":
            raise
        return see_other(f"/cases/{refusal.details['case_id']}/pass?late=1")
    async with db.begin(town.code) as session:
        visit_id = await arrive(session, ticket, identity.ref, keys, now=now)
    return see_other(f"/booking/visits/{visit_id}")


@get("/booking/visits/{visit_id:str}", guards=GUARDS)
async def get_visit_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    day: FromQuery[str] = "",
    first_day: Annotated[str, QueryParameter(name="from")] = "",
    lapsed: FromQuery[str] = "",
) -> Template | Redirect:
    """Days and times."""
    visit = _visit_id(visit_id)
    return await _choose(
        request, db, keys, town, identity, visit, day=day, first_day=first_day, now=now, lapsed=bool(lapsed)
    )


@post("/booking/visits/{visit_id:str}/hold", guards=GUARDS)
async def post_hold_page(
    request: Request[Any, Any, Any],
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """A time was chosen: its place is held."""
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
        )
        await flow.hold(db, rush, order, now=now)
    except Refusal as refusal:
        if refusal.code not in CHOOSE_AGAIN:
            raise
        day = fields.get("day", "")
        return await _choose(request, db, keys, town, identity, visit, day=day, now=now, refusal=refusal)
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
) -> Template | Redirect:
    """What will be booked, and how long the place is kept."""
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, _visit_id(visit_id), identity.ref, keys)
        procedure = await _procedure(session, town.code, visit)
        counters = await list_counters(session, town.code)
    if visit.number is not None:
        return see_other(f"/booking/appointments/{visit.number}")
    if visit.held is None or not visit.held.is_live(now):
        return see_other(f"/booking/visits/{visit.visit_id}?lapsed=1")
    counter = counters.get(visit.held.counter)
    if counter is None:
        # The town has closed this counter since: its times are gone, other counters may have some.
        closed = Refusal("slot_closed", 409)
        return await _choose(request, db, keys, town, identity, visit.visit_id, day="", now=now, refusal=closed)
    return page(
        request,
        "confirm.html",
        visit=visit,
        held=visit.held,
        procedure=procedure,
        where=place_label(counter.place_ja, counter.number, counter.name_ja),
        given_name=given_name(visit.name or visit.kana or ""),
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
) -> Template | Redirect:
    """Confirmed. However often it is sent, it is one appointment."""
    fields = await read_form(request)
    visit = _visit_id(visit_id)
    key = fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or "book"
    by_staff = identity.kind in STAFF_KINDS
    order = BookAppointment(municipality=town.code, visit_id=visit, visitor=identity.ref, key=key, by_staff=by_staff)
    try:
        booked = await flow.book(db, rush, order, keys, now=now)
    except Refusal as refusal:
        if refusal.code in ("hold_missing", "hold_expired"):
            return see_other(f"/booking/visits/{visit}?lapsed=1")
        if refusal.code == "slot_taken":
            # At a venue: no helper can come then (any more).
            return await _choose(request, db, keys, town, identity, visit, day="", now=now, refusal=refusal)
        raise
    return Redirect(
        f"/booking/appointments/{booked.number}",
        status_code=303,
        cookies=[access_cookie(keys, town.code, booked, secure=secure, now=now)],
    )


@post("/booking/visits/{visit_id:str}/release", guards=GUARDS)
async def post_release_page(
    visit_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Another time, please: the place is free for others."""
    visit = _visit_id(visit_id)
    async with db.begin(town.code) as session:
        await release_hold(session, town.code, visit, identity.ref, now=now)
    return see_other(f"/booking/visits/{visit}")


async def _choose(
    request: Request[Any, Any, Any],
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    visit_id: UUID,
    *,
    day: str,
    first_day: str = "",
    now: datetime,
    lapsed: bool = False,
    refusal: Refusal | None = None,
) -> Template | Redirect:
    async with db.begin(town.code) as session:
        visit = await get_visit(session, town.code, visit_id, identity.ref, keys)
        if visit.number is not None:
            return see_other(f"/booking/appointments/{visit.number}")
        if visit.expires_at <= now:
            raise Refusal("visit_over", 410)
        procedure = await _procedure(session, town.code, visit)
        counters = await list_counters(session, town.code)
        choice = await read_choice(session, town.code, procedure, typed_day=day, typed_from=first_day, now=now)
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "visit.html",
        status=refusal.status if refusal else 200,
        visit=visit,
        procedure=procedure,
        choice=choice,
        counter_label=counter_label,
        say_when=say_when,
        held=visit.held if visit.held and visit.held.is_live(now) and visit.held.counter in counters else None,
        lapsed=lapsed,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
        alternatives=read_alternatives(refusal),
        key=str(uuid4()),
        base=f"/booking/visits/{visit_id}",
    )


def read_alternatives(refusal: Refusal | None) -> list[dict[str, Any]]:
    """The nearest free times that a refusal names, with moments instead of texts."""
    found = refusal.details.get("alternatives", []) if refusal else []
    return [item | {"starts_at": datetime.fromisoformat(item["starts_at"])} for item in found]


async def _procedure(session: Any, municipality: str, visit: VisitView) -> ProcedureView:
    procedure = await find_procedure(session, municipality, visit.procedure, visit.channel)
    if procedure is None or not procedure.counters:
        raise Refusal("procedure_unknown", 409)
    return procedure


def _visit_id(text: str) -> UUID:
    return parse_uuid(text, code="visit_unknown")
