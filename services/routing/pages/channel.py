"""Going on another way from the form: what is right on it is kept, and what becomes of the rest is told."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.form import (
    fill_items,
    save_form,
)
from services.routing.commands.online import get_online_case
from services.routing.commands.switching import change_channel
from services.routing.keys import Keys
from services.routing.pages.form import form_page
from services.routing.pages.item_fields import (
    fill_fields,
    item_name,
    read_items,
)
from services.routing.pages.online_case import fee_of, stays_booked
from services.routing.queries.switching import list_booked
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

CODE_MAX_LENGTH = 20
UNSAVED_MAX_LENGTH = 500

Req = Request[Any, Any, Any]


@post("/cases/{case_id:str}/channel", guards=[require_visitor])
async def post_channel(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Go on another way. What is on the form and right is kept; what is not right yet is told on the next page, and so
    is what becomes of an appointment and of what was sent.

    A way that is not open (any more) leads back to the form, with everything that is on it.
    """
    case = parse_uuid(case_id, code="case_unknown")
    form = Form(await read_form(request))
    channel = form.value("channel")[:CODE_MAX_LENGTH]
    unsaved: tuple[str, ...] = ()
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        has_form = (online.channel == "online" or online.is_draft) and online.sent is None
        if has_form:
            typed = read_items(form, online.needed, jst_day(now), complete=False, plan=online.form)
            await save_form(session, keys.vault, identity=identity, case_id=case, values=typed.values, now=now)
            unsaved = typed.unsaved
        try:
            await change_channel(session, identity=identity, case_id=case, channel=channel, now=now)
        except Refusal as refusal:
            if not has_form:
                raise
            # Nothing was changed by it, and what was typed is kept.
            filled = await fill_items(session, keys.vault, identity=identity, case_id=case, now=now)
            fields = fill_fields(filled.values) | form.values
            fee = await fee_of(session, identity, online, filled.values)
            return form_page(request, online, fields, form.errors, filled=filled, refusal=refusal, fee=fee)
        booked = await list_booked(session, identity.municipality, case, now=now)
    number = online.sent or online.correcting
    if channel == "online" and number is not None:
        return see_other(f"/applications/{number}")
    if channel != online.channel and (booked or unsaved or number is not None):
        told = f"?unsaved={'.'.join(unsaved)}" if unsaved else ""
        return see_other(f"/cases/{case}/switched{told}")
    return see_other(f"/cases/{case}/{'reuse' if channel == 'online' else 'handover'}")


@get("/cases/{case_id:str}/switched", guards=[require_visitor])
async def show_switched(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """What could not be kept on the way to another channel, by name; what stays, and until when."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        booked = await list_booked(session, identity.municipality, case, now=now)
    named = request.query_params.get("unsaved", "")[:UNSAVED_MAX_LENGTH].split(".")
    unsaved = [item_name(item) for item in online.needed if item in named]
    # An appointment of the same channel is the way on.
    others = [each for each in booked if each.channel != online.channel]
    return page(
        request,
        "switched.html",
        behalf=online.behalf,
        case=online,
        unsaved=unsaved,
        sent=online.sent or online.correcting,
        booked=others,
        stays_booked=stays_booked(online, others),
    )
