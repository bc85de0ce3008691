"""`/counter/…/transfer`: somebody is sent to another counter, with why and a note for the staff there."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.transfer import SendOn, send_on
from services.booking.domain.line import PRESENT
from services.booking.domain.transfer import NOTE_MAX_LENGTH, OTHER, REASONS
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.counter import GUARDS
from services.booking.pages.line_rows import called_number, reason_label, short_counter
from services.booking.pages.told import TRANSFER, VERSION_DIGITS, path_after, path_refused
from services.booking.pages.wording import counter_label
from services.booking.queries.appointments import find_appointment_by_id
from services.booking.queries.slots import list_counters
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other
from shared.web.town import Town

Req = Request[Any, Any, Any]


@get("/counter/{appointment_id:str}/transfer", guards=GUARDS)
async def get_transfer(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    counter: FromQuery[str] = "",
) -> Template | Redirect:
    """Where to, and why. Whoever is not here (any more) is nobody to send: back to the line."""
    async with db.begin(town.code) as session:
        return await _page(request, session, identity, appointment_id, Form({"counter": counter}))


@post("/counter/{appointment_id:str}/transfer", guards=GUARDS)
async def post_transfer(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Sends them. What was forgotten is told on the page, with what was chosen and written kept."""
    form = Form(await read_form(request))
    version = form.value("version")
    if not (version.isascii() and version.isdigit()):
        raise Refusal("form_unreadable", 400)
    note = form.text("note", max_length=NOTE_MAX_LENGTH, required=form.value("reason") == OTHER)
    if "note" in form.errors and not form.value("note").strip():
        form.errors["note"] = _("「その他」のときは、伝言を書いてください。")
    if not form.value("to"):
        form.errors["to"] = _("送る窓口を、ひとつ選んでください。")
    if form.value("reason") not in REASONS:
        form.errors["reason"] = _("理由を、ひとつ選んでください。")
    if not form.ok:
        async with db.begin(town.code) as session:
            return await _page(request, session, identity, appointment_id, form, status=422)
    order = SendOn(
        appointment_id=parse_uuid(appointment_id, code="appointment_unknown"),
        counter=form.value("to"),
        reason=form.value("reason"),
        note=note,
        version=int(version[:VERSION_DIGITS]),
    )
    counter = form.value("counter") or None
    try:
        moved = await rush.run(db, town.code, lambda session: send_on(session, identity, keys, order, now=now))
    except Refusal as refusal:
        if refusal.code == "transfer_unfit":
            form.errors["to"] = translate(REFUSALS["transfer_unfit"].advice)
            async with db.begin(town.code) as session:
                return await _page(request, session, identity, appointment_id, form, status=422)
        return see_other(path_refused(refusal, counter=counter, row=order.appointment_id, now=now))
    return see_other(path_after(moved, TRANSFER, counter=counter))


async def _page(
    request: Req, session: AsyncSession, identity: Identity, appointment_id: str, form: Form, *, status: int = 200
) -> Template | Redirect:
    key = parse_uuid(appointment_id, code="appointment_unknown")
    found = await find_appointment_by_id(session, identity.municipality, key)
    if found is None:
        raise Refusal("appointment_unknown", 404)
    counter = form.value("counter")
    back = f"/counter?{urlencode({'counter': counter})}" if counter else "/counter"
    is_theirs = identity.office in (None, found.office)
    if not is_theirs or found.state not in PRESENT or found.channel == "helper":
        return see_other(back)
    counters = await list_counters(session, identity.municipality)
    return page(
        request,
        "transfer.html",
        status=status,
        number=called_number(found),
        procedure=found.procedure_name,
        at=short_counter(found.counter_number),
        action=f"/counter/{found.appointment_id}/transfer",
        back=f"{back}#line-{found.appointment_id}",
        counter=counter,
        version=form.value("version") or str(found.version),
        targets=[
            {"value": each.code, "label": counter_label(each.number, each.name_ja)}
            for each in counters.values()
            if each.number and each.code != found.counter
        ],
        reasons=[{"value": reason, "label": reason_label(reason)} for reason in REASONS],
        note_max=NOTE_MAX_LENGTH,
        form=form,
    )
