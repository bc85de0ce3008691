"""`/helpers/roster`: coordinators see who helps when, and ask somebody else where it is needed."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.assignments import reassign
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.help_wording import say_help_window
from services.booking.pages.shifts import shift_label
from services.booking.pages.wording import language_name
from services.booking.queries.help_requests import RequestView, list_open, list_unmet
from services.booking.queries.helpers import list_open_requests, list_roster
from services.booking.refusals import REFUSALS
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
HELPER_REF_MAX_LENGTH = 64
SHOWN_HERE = frozenset({"request_unknown", "request_over", "helper_unknown", "helper_busy"})

Req = Request[Any, Any, Any]


@get("/helpers/roster", guards=GUARDS)
async def get_roster(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """Helpers with their times, and the requests that lie ahead."""
    return await _roster_page(request, db, keys, town, identity, now=now, told=bool(told))


@get("/helpers/roster/{assignment_id:str}/reassign", guards=GUARDS)
async def get_reassign_address() -> Redirect:
    """Where a reassignment is sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other("/helpers/roster")


@post("/helpers/roster/{assignment_id:str}/reassign", guards=GUARDS)
async def post_reassign(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Ask another helper for this."""
    fields = await read_form(request)
    wanted = parse_uuid(assignment_id, code="request_unknown")
    helper_ref = fields.get("helper", "")[:HELPER_REF_MAX_LENGTH]
    try:
        await rush.run(db, town.code, lambda session: reassign(session, identity, wanted, helper_ref, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return await _roster_page(request, db, keys, town, identity, now=now, refusal=refusal)
    return see_other("/helpers/roster?told=1")


async def _roster_page(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    *,
    now: datetime,
    told: bool = False,
    refusal: Refusal | None = None,
) -> Template:
    async with db.begin(town.code) as session:
        helpers = await list_roster(session, town.code, keys)
        requests = await list_open_requests(session, town.code, now=now)
        unmet = await list_unmet(session, town.code, now=now)
        looked_for = await list_open(session, town.code)
        await record_deed(session, identity, "view-roster", town.code, now=now)
    names = {helper.helper_ref: helper.name or _("お名前なし") for helper in helpers}
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "roster.html",
        status=refusal.status if refusal else 200,
        helpers=[
            {
                "name": names[helper.helper_ref],
                "languages": "・".join(language_name(code) for code in helper.languages),
                "shifts": helper.shifts,
            }
            for helper in helpers
        ],
        requests=[
            {
                "id": item.assignment_id,
                "number": show_number(item.number),
                "helper": names.get(item.helper_ref, _("お名前なし")),
                "is_accepted": item.is_accepted,
                "starts_at": item.starts_at,
                "venue": item.venue_name,
                "others": [{"value": ref, "label": names[ref]} for ref in item.free if ref in names],
            }
            for item in requests
        ],
        unmet=[_help_item(each) for each in unmet],
        looked_for=[_help_item(each) for each in looked_for],
        shift_label=shift_label,
        told=told,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _help_item(found: RequestView) -> dict[str, Any]:
    return {"found": found, "number": show_number(found.number), "when": say_help_window(found.window)}
