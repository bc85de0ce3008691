"""The appointment's own pages: number and code, slip, calendar file, change, cancel, and the ways in."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import icalendar
import segno
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect, Template

from services.booking import flow
from services.booking.commands.access import open_link, try_code
from services.booking.commands.changes import CancelAppointment, ChangeAppointment, cancel_appointment
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.domain.number import TYPED_MAX_LENGTH
from services.booking.domain.rules import refuse_too_late
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.days import read_choice
from services.booking.pages.opening import access_cookie, find_open_appointment
from services.booking.pages.visits import CHOOSE_AGAIN, read_alternatives
from services.booking.pages.wording import counter_label, place_label, say_when
from services.booking.queries.appointments import AppointmentView, find_town_facts
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import OpenSlot, find_procedure
from services.booking.queries.visits import get_visit
from services.booking.refusals import REFUSALS
from shared.clock import JST
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import PUBLIC, RenewSession, find_identity, token_of
from shared.web.pages import page, see_other
from shared.web.town import Town

QR_BORDER = 2
QR_SCALE = 8
VERSION_MAX = 1_000_000
LINK_MAX_LENGTH = 100

Req = Request[Any, Any, Any]


@get("/booking/appointments/{number:str}", opt=PUBLIC)
async def get_appointment_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    changed: FromQuery[str] = "",
) -> Template | Redirect:
    """Number, QR, when and where, and what can be done. The code, too, while the visit that booked still lives."""
    found = await _open(request, number, db, keys, town, now=now)
    if found is None:
        return _ask_for_code(number)
    return page(
        request,
        "appointment.html",
        **await _details(request, found, db, keys, town, now=now),
        changed=bool(changed),
        can_change=await _can_change(db, town, found, now=now),
    )


@get("/booking/appointments/{number:str}/slip", opt=PUBLIC)
async def get_slip_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """The slip to print. Its QR code holds the number, not the code."""
    found = await _open(request, number, db, keys, town, now=now)
    if found is None:
        return _ask_for_code(number)
    return page(request, "slip.html", **await _details(request, found, db, keys, town, now=now))


@get("/booking/appointments/{number:str}/qr.svg", opt=PUBLIC)
async def get_qr(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Response[bytes] | Redirect:
    """The number as a QR code."""
    found = await _open(request, number, db, keys, town, now=now)
    if found is None:
        return _ask_for_code(number)
    svg = segno.make(found.number, error="m", micro=False).svg_inline(scale=QR_SCALE, border=QR_BORDER)
    body = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return Response(body.encode(), media_type="image/svg+xml")


@get("/booking/appointments/{number:str}/calendar.ics", opt=PUBLIC)
async def get_calendar_file(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Response[bytes] | Redirect:
    """The appointment for a calendar: the same UID for ever, SEQUENCE rising with every change."""
    found = await _open(request, number, db, keys, town, now=now)
    if found is None:
        return _ask_for_code(number)
    async with db.begin(town.code) as session:
        facts = await find_town_facts(session, town.code)
    method = "CANCEL" if found.state == "cancelled" else "PUBLISH"
    return Response(
        make_calendar(found, host=facts.host or town.code, method=method),
        headers={
            "content-type": f"text/calendar; method={method}; charset=utf-8",
            "content-disposition": f'attachment; filename="{found.number}.ics"',
        },
    )


@get("/booking/appointments/{number:str}/change", opt=PUBLIC)
async def get_change_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    day: FromQuery[str] = "",
    first_day: Annotated[str, QueryParameter(name="from")] = "",
    slot: FromQuery[str] = "",
) -> Template | Redirect:
    """Another time: choose it, then confirm it. The old place stays until the new one is certain."""
    found = await _open(request, number, db, keys, town, now=now)
    if found is None:
        return _ask_for_code(number)
    return await _change_page(request, found, db, town, day=day, first_day=first_day, slot=slot, now=now)


@post("/booking/appointments/{number:str}/change", opt=PUBLIC)
async def post_change_page(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """Confirmed: the appointment moves."""
    found = await _open(request, number, db, keys, town, now=now)
    if found is None:
        return _ask_for_code(number)
    fields = await read_form(request)
    try:
        order = ChangeAppointment(
            municipality=town.code,
            appointment_id=found.appointment_id,
            slot_id=parse_uuid(fields.get("slot", ""), code="slot_unknown"),
            version=_version(fields),
            key=_key(fields),
        )
        await flow.change(db, rush, order, found.procedure, keys, now=now)
    except Refusal as refusal:
        if refusal.code not in CHOOSE_AGAIN | {"same_slot"}:
            raise
        return await _change_page(request, found, db, town, day=fields.get("day", ""), now=now, refusal=refusal)
    return see_other(f"/booking/appointments/{found.number}?changed=1")


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
    found = await _open(request, number, db, keys, town, now=now)
    if found is None:
        return _ask_for_code(number)
    await _refuse_too_late(db, town, found, now=now)
    return page(
        request,
        "cancel.html",
        appointment=found,
        number=show_number(found.number),
        where=_where(found),
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
    """Confirmed: it is cancelled, and its place is free."""
    found = await _open(request, number, db, keys, town, now=now)
    if found is None:
        return _ask_for_code(number)
    fields = await read_form(request)
    order = CancelAppointment(
        municipality=town.code, appointment_id=found.appointment_id, version=_version(fields), key=_key(fields)
    )
    await rush.run(db, town.code, lambda session: cancel_appointment(session, order, now=now))
    return see_other(f"/booking/appointments/{found.number}")


@get("/booking/a/{token:str}", opt=PUBLIC)
async def get_link(
    token: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
) -> Redirect:
    """The link of a message: exchanged for a cookie, and gone from the address at once."""
    async with db.begin(town.code) as session:
        found = await open_link(session, town.code, token)
    if found.outcome != "open":
        raise Refusal("link_unknown", 404)
    return Redirect(
        f"/booking/appointments/{found.number}",
        status_code=303,
        cookies=[access_cookie(keys, town.code, found, secure=secure, now=now)],
        headers={"referrer-policy": "no-referrer"},
    )


@get("/booking", opt=PUBLIC)
async def get_booking_root() -> Redirect:
    """The front of this service is finding one's appointment."""
    return see_other("/booking/find")


@get("/booking/find", opt=PUBLIC)
async def get_find_page(
    request: Req, number: Annotated[str, QueryParameter(name="number", max_length=TYPED_MAX_LENGTH)] = ""
) -> Template:
    """Number and code, please."""
    return page(request, "find.html", form=Form({"number": number}), outcome=None, locked_until=None)


@post("/booking/find", opt=PUBLIC)
async def post_find_page(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
) -> Template | Redirect:
    """Opens the appointment, or says how often one may still try."""
    form = Form(await read_form(request))
    for field, missing in (
        ("number", _("予約番号を入力してください。")),
        ("code", _("確認コードを入力してください。")),
    ):
        if not form.value(field).strip():
            form.errors[field] = missing
    if not form.ok:
        return page(request, "find.html", status=400, form=form, outcome="empty", locked_until=None)
    # What a wrong code costs is committed, therefore the outcome is no exception.
    async with db.begin(town.code) as session:
        found = await try_code(session, town.code, form.value("number"), form.value("code"), keys, now=now)
    if found.outcome == "open":
        return Redirect(
            f"/booking/appointments/{found.number}",
            status_code=303,
            cookies=[access_cookie(keys, town.code, found, secure=secure, now=now)],
        )
    status = 429 if found.outcome == "locked" else 400
    return page(request, "find.html", status=status, form=form, outcome=found.outcome, locked_until=found.locked_until)


def make_calendar(found: AppointmentView, *, host: str, method: str) -> bytes:
    """An iCalendar file (RFC 5545, 5546). A procedure that others should not see is not named."""
    event = icalendar.Event()
    event.add("uid", f"{found.appointment_id}@{host}")
    event.add("dtstamp", found.changed_at)
    event.add("sequence", found.sequence)
    event.add("dtstart", found.starts_at.astimezone(JST))
    event.add("dtend", found.ends_at.astimezone(JST))
    what = _("窓口の予約") if found.discreet else _("窓口の予約：%(name)s", name=found.procedure_name)
    event.add("summary", what)
    event.add("location", _where(found))
    event.add("description", _("予約番号：%(number)s", number=show_number(found.number)))
    event.add("status", "CANCELLED" if found.state == "cancelled" else "CONFIRMED")
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Choudo//Booking//JA")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(event)
    calendar.add_missing_timezones()
    written: bytes = calendar.to_ical()
    return written


async def _open(
    request: Req, typed: str, db: Database, keys: Keys, town: Town, *, now: datetime
) -> AppointmentView | None:
    found = await find_open_appointment(request, typed, db, keys, town, now=now)
    if found is None:
        token = token_of(request)
        if token is not None and token.is_expired(now):
            # Perhaps the guest who booked it: routing can tell.
            raise RenewSession
    return found


def _ask_for_code(typed: str) -> Redirect:
    """The same for a number that does not exist as for one of somebody else."""
    number = typed if typed.isascii() and typed.replace("-", "").isalnum() else ""
    return see_other(f"/booking/find?number={number[:TYPED_MAX_LENGTH]}")


def _where(found: AppointmentView) -> str:
    return place_label(found.counter_place, found.counter_number, found.counter_name)


async def _details(
    request: Req, found: AppointmentView, db: Database, keys: Keys, town: Town, *, now: datetime
) -> dict[str, Any]:
    identity = find_identity(request)
    code = None
    async with db.begin(town.code) as session:
        facts = await find_town_facts(session, town.code)
        if found.visit_id is not None and identity is not None and identity.ref == found.guest_ref:
            code = await _code(session, town, found.visit_id, identity.ref, keys)
    qr = segno.make(found.number, error="m", micro=False).svg_data_uri(scale=QR_SCALE, border=QR_BORDER)
    return {
        "appointment": found,
        "number": show_number(found.number),
        "where": _where(found),
        "code": code,
        "facts": facts,
        "qr": qr,
        "is_over": found.starts_at <= now,
    }


async def _code(session: Any, town: Town, visit_id: UUID, visitor: str, keys: Keys) -> str | None:
    try:
        return (await get_visit(session, town.code, visit_id, visitor, keys)).code
    except Refusal:
        return None


async def _can_change(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> bool:
    try:
        await _refuse_too_late(db, town, found, now=now)
    except Refusal:
        return False
    return True


async def _refuse_too_late(db: Database, town: Town, found: AppointmentView, *, now: datetime) -> None:
    async with db.begin(town.code) as session:
        policy = (await get_rules(session, town.code)).policy
    refuse_too_late(policy, state=found.state, starts_at=found.starts_at, now=now)


async def _change_page(
    request: Req,
    found: AppointmentView,
    db: Database,
    town: Town,
    *,
    day: str,
    first_day: str = "",
    slot: str = "",
    now: datetime,
    refusal: Refusal | None = None,
) -> Template:
    await _refuse_too_late(db, town, found, now=now)
    async with db.begin(town.code) as session:
        procedure = await find_procedure(session, town.code, found.procedure)
        if procedure is None:
            raise Refusal("procedure_unknown", 409)
        choice = await read_choice(
            session,
            town.code,
            procedure,
            typed_day=day,
            typed_from=first_day,
            without=found.slot_id,
            now=now,
        )
    chosen: OpenSlot | None = next(
        (item for times in choice.times for item in times.slots if str(item.slot_id) == slot and item.free), None
    )
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "change.html",
        status=refusal.status if refusal else 200,
        appointment=found,
        number=show_number(found.number),
        where=_where(found),
        choice=choice,
        chosen=chosen,
        chosen_where=_label_of(choice.times, chosen),
        counter_label=counter_label,
        say_when=say_when,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
        alternatives=read_alternatives(refusal),
        key=str(uuid4()),
        base=f"/booking/appointments/{found.number}/change",
    )


def _label_of(times: Any, chosen: OpenSlot | None) -> str:
    return next(
        (
            place_label(item.counter.place_ja, item.counter.number, item.counter.name_ja)
            for item in times
            if chosen in item.slots
        ),
        "",
    )


def _version(fields: dict[str, str]) -> int:
    text = fields.get("version", "")
    if not (text.isascii() and text.isdigit()) or int(text[:10]) > VERSION_MAX:
        raise Refusal("form_unreadable", 400)
    return int(text[:10])


def _key(fields: dict[str, str]) -> str:
    return fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or str(uuid4())
