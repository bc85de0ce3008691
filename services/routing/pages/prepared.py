"""A case of a counter: what was written and what was booked, side by side; and sheets of paper, filled in or not."""

from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.online import get_online_case
from services.routing.commands.prepared import list_written, read_sheet
from services.routing.domain.channels import things_not_typed
from services.routing.domain.items import typed_items
from services.routing.keys import Keys
from services.routing.pages.item_fields import item_name, make_groups, show_value
from services.routing.pages.open_data import make_qr
from services.routing.pages.wording import BRING, place_of
from services.routing.queries.catalogue import get_procedure, list_counters
from services.routing.queries.desk import find_booked
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.i18n import translate
from shared.web.identity import PUBLIC, require_visitor
from shared.web.pages import page, see_other
from shared.web.town import Town

# Read and written on paper, by everybody.
LARGE = "xlarge"

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/prepared", guards=[require_visitor])
async def show_prepared(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """書いたもの and 予約: each can be changed without the other. No values."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if not online.is_draft:
            return see_other(f"/cases/{case}")
        written = await list_written(session, identity=identity, case_id=case, now=now)
        booked = await find_booked(session, identity.municipality, case)
        counters = await list_counters(session, identity.municipality)
    return page(
        request,
        "prepared.html",
        behalf=online.behalf,
        case=online,
        items=[{"name": item_name(item), "is_written": item in written} for item in online.needed],
        is_begun=any(item in written for item in online.needed),
        at_counter=[translate(BRING[code]) for code in things_not_typed(online.items)],
        booked=booked,
        place=place_of(counters[booked.counter]) if booked is not None and booked.counter in counters else None,
    )


@get("/cases/{case_id:str}/sheet", guards=[require_visitor])
async def show_sheet(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """What was written, on paper: one's own values, the number of the case as a QR code, and room for a signature."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if not online.is_draft:
            return see_other(f"/cases/{case}")
        values = await read_sheet(session, keys.vault, identity=identity, case_id=case, now=now)
    return page(
        request,
        "sheet.html",
        text_size=LARGE,
        behalf=online.behalf,
        case=online,
        rows=[{"term": item_name(item), "text": show_value(item, values.get(item, ""))} for item in online.needed],
        at_counter=[translate(BRING[code]) for code in things_not_typed(online.items)],
        qr=make_qr(online.case_number),
    )


@get("/procedures/{code:str}/sheet", opt=PUBLIC)
async def show_blank_sheet(
    request: Req, code: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Template:
    """A sheet to fill in by hand. Its QR code is the procedure's address, and nobody's."""
    async with db.begin(town.code) as session:
        procedure = await get_procedure(session, town.code, code)
    address = f"{str(request.base_url).rstrip('/')}/p/{procedure.code}"
    return page(
        request,
        "blank_sheet.html",
        text_size=LARGE,
        procedure=procedure,
        groups=make_groups(typed_items(procedure.items), {}, {}),
        at_counter=[translate(BRING[code]) for code in things_not_typed(procedure.items)],
        address=address,
        qr=make_qr(address),
    )
