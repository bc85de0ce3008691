"""`/counter/{id}/finish`: the end of somebody's turn: what was delivered, and what was paid."""

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.finishing import Finish, finish
from services.booking.domain.cash import HANDED, MEANS, RECEIPT_MAX_LENGTH, Delivered, Paid, read_paid
from services.booking.flow import Rush
from services.booking.pages.cash_wording import handed_label, means_label
from services.booking.pages.counter import GUARDS
from services.booking.pages.line_rows import called_number, state_label
from services.booking.pages.told import VERSION_DIGITS, path_after
from services.booking.queries.appointments import AppointmentView, find_appointment_by_id
from services.booking.queries.cash import Deliverable, find_last_paid, list_deliverable, list_means
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.pages import page, see_other
from shared.web.town import Town

QUANTITY_MAX_DIGITS = 2
# Said at the field that they are about; everything else is said at the head of the sheet.
FIELDS = {
    "payment_incomplete": "amount",
    "amount_unreadable": "amount",
    "means_not_taken": "means",
    "receipt_unreadable": "receipt",
    "receipt_known": "receipt",
}
UNTYPED = {"handed": "counter", "means": "", "amount": "", "receipt": ""}

Req = Request[Any, Any, Any]


@get("/counter/{appointment_id:str}/finish", guards=GUARDS)
async def get_finish(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    counter: FromQuery[str] = "",
) -> Template:
    """The sheet, filled in with what the person came for; or with what was said before it was taken back."""
    key = parse_uuid(appointment_id, code="appointment_unknown")
    async with db.begin(town.code) as session:
        found = await _find(session, identity, key)
        paid = await find_last_paid(session, town.code, key)
        offered = await list_deliverable(session, town.code, key)
        means = await list_means(session, town.code, found.counter)
    typed = {f"quantity-{each.code}": str(each.quantity) for each in offered}
    if paid is not None:
        typed |= {"means": paid.means, "amount": str(paid.amount_yen), "receipt": paid.receipt_no}
    return _sheet(request, found, offered, means, typed, counter=counter)


@post("/counter/{appointment_id:str}/finish", guards=GUARDS)
async def post_finish(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Written down; what cannot be is said at its field, and what was typed is kept."""
    fields = await read_form(request)
    key = parse_uuid(appointment_id, code="appointment_unknown")
    version = fields.get("version", "")
    if not (version.isascii() and version.isdigit()):
        raise Refusal("form_unreadable", 400)
    async with db.begin(town.code) as session:
        found = await _find(session, identity, key)
        offered = await list_deliverable(session, town.code, key)
        means = await list_means(session, town.code, found.counter)
    try:
        order = Finish(
            appointment_id=key,
            version=int(version[:VERSION_DIGITS]),
            delivered=_read_delivered(offered, fields),
            handed=next((each for each in HANDED if each == fields.get("handed")), "counter"),
            paid=_read_paid(fields),
        )
        moved = await rush.run(db, town.code, lambda session: finish(session, identity, order, now=now))
    except Refusal as refusal:
        counter = fields.get("counter", "")
        return _sheet(request, found, offered, means, fields, counter=counter, refused=refusal)
    return see_other(path_after(moved, "done", counter=fields.get("counter") or None))


async def _find(session: AsyncSession, identity: Identity, appointment_id: UUID) -> AppointmentView:
    found = await find_appointment_by_id(session, identity.municipality, appointment_id)
    if found is None or found.state in ("booked", "cancelled"):
        raise Refusal("appointment_unknown", 404)
    if identity.office not in (None, found.office):
        raise Refusal("other_office", 403)
    return found


def _read_paid(fields: Mapping[str, str]) -> Paid | None:
    return read_paid(fields.get("means", ""), fields.get("amount", ""), fields.get("receipt", ""))


def _read_delivered(offered: list[Deliverable], fields: Mapping[str, str]) -> tuple[Delivered, ...]:
    delivered = []
    for each in offered:
        typed = unicodedata.normalize("NFKC", fields.get(f"quantity-{each.code}", "")).strip() or "0"
        if not (typed.isascii() and typed.isdigit() and len(typed) <= QUANTITY_MAX_DIGITS):
            raise Refusal("delivered_unfit", 400)
        if int(typed) > 0:
            delivered.append(Delivered(procedure=each.code, quantity=int(typed)))
    return tuple(delivered)


def _sheet(
    request: Req,
    found: AppointmentView,
    offered: list[Deliverable],
    means: tuple[str, ...],
    typed: Mapping[str, str],
    *,
    counter: str,
    refused: Refusal | None = None,
) -> Template:
    text = (REFUSALS.get(refused.code) or REFUSALS["step_impossible"]) if refused is not None else None
    field = FIELDS.get(refused.code) if refused is not None else None
    came = [each for each in offered if each.quantity]
    fee = sum(each.fee_yen * each.quantity for each in came)
    return page(
        request,
        "finish.html",
        status=refused.status if refused is not None else 200,
        appointment=found,
        number=called_number(found),
        state=state_label(found.state),
        can_finish=found.state in ("called", "serving"),
        came=came,
        others=[each for each in offered if not each.quantity],
        fee=fee,
        handed=[{"value": each, "label": handed_label(each)} for each in HANDED],
        means=[{"value": each, "label": means_label(each)} for each in MEANS if each in (means or MEANS)],
        typed=UNTYPED | {f"quantity-{each.code}": "0" for each in offered} | dict(typed),
        receipt_max=RECEIPT_MAX_LENGTH,
        refused_title=translate(text.title) if text is not None else None,
        refused_advice=translate(text.advice) if text is not None else None,
        refused_field=field,
        counter=counter,
        back="/counter" + (f"?{urlencode({'counter': counter})}" if counter else ""),
    )
