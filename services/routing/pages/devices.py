"""「ほかの機械で続ける」: a link, a QR code, and a number with a code, that open one case at one other device, once."""

from datetime import datetime
from typing import Any

import segno
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.routing.commands.cases import get_own_case
from services.routing.commands.devices import (
    Tried,
    count_devices,
    end_devices,
    find_link,
    make_device,
    may_go_on,
    open_device,
    try_device_code,
)
from services.routing.commands.online import get_online_case
from services.routing.keys import Keys
from services.routing.pages.tries import Tries
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC, require_visitor
from shared.web.pages import page, see_other
from shared.web.town import Town

QR_SCALE, QR_BORDER, PAPER = 8, 2, "#fff"
RESUME = "/resume"
THEN_TOGETHER = "together"

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/device", guards=[require_visitor])
async def show_device(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """What it does, a button for the link, and how to take it back."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        row = await get_own_case(session, identity, case, now=now)
        devices = await count_devices(session, identity, case, now=now)
    return page(
        request,
        "device.html",
        case=online,
        is_possible=may_go_on(identity, row),
        is_first=row.guest_ref == identity.ref,
        devices=devices,
        made=None,
    )


@post("/cases/{case_id:str}/device", guards=[require_visitor])
async def post_device(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """The link, shown once. Asked for again, the one before is over."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        made = await make_device(session, keys, identity=identity, case_id=case, now=now)
        devices = await count_devices(session, identity, case, now=now)
    scheme = "https" if request.scope["state"]["secure"] else "http"
    host = request.headers["host"]
    address = f"{scheme}://{host}{RESUME}/{made.token}"
    return page(
        request,
        "device.html",
        case=online,
        is_possible=True,
        is_first=True,
        devices=devices,
        made=made,
        address=address,
        find_at=f"{host}{RESUME}",
        qr=segno.make(address, error="m", micro=False).svg_data_uri(scale=QR_SCALE, border=QR_BORDER, light=PAPER),
    )


@post("/cases/{case_id:str}/device/end", guards=[require_visitor])
async def post_device_end(
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """No other device has it any more, and no link opens it."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        await end_devices(session, identity=identity, case_id=case, now=now)
    return see_other(f"/cases/{case}/device")


@get("/cases/{case_id:str}/device/end", guards=[require_visitor])
async def get_device_end_address(case_id: FromPath[str]) -> Redirect:
    """Where the button is sent, opened as a page."""
    return see_other(f"/cases/{parse_uuid(case_id, code='case_unknown')}/device")


@get(RESUME, opt=PUBLIC)
async def show_resume(request: Req, then: FromQuery[str] = "") -> Template:
    """Number and code, please. `then`: whoever sits beside a helper goes back there."""
    return _resume_page(request, Form({"then": then} if then == THEN_TOGETHER else {}))


@post(RESUME, guards=[require_visitor])
async def post_resume(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
    tries: NamedDependency[Tries],
) -> Template | Redirect:
    """Opens the case here, or says how often one may still try."""
    form = Form(await read_form(request))
    for field, missing in (
        ("number", _("続きの番号を入力してください。")),
        ("code", _("確認コードを入力してください。")),
    ):
        if not form.value(field).strip():
            form.errors[field] = missing
    if not form.ok:
        return _resume_page(request, form)
    town = identity.municipality
    tries.count_code(town, network_of_visitor(request))
    # What a wrong code costs is committed, therefore the outcome is no exception.
    async with db.begin(town) as session:
        tried = await try_device_code(session, keys, town, form.value("number"), form.value("code"), now=now)
        if tried.device_id is not None:
            case = await open_device(session, identity=identity, device_id=tried.device_id, now=now)
            return see_other("/together" if form.value("then") == THEN_TOGETHER else f"/cases/{case}")
    locked_until = tried.locked_until
    if tried.nobodys is not None:
        locked_until = tries.fail_nobodys(town, tried.nobodys, now=now)
    return _resume_page(request, form, tried, locked_until)


@get("/resume/{token:str}", opt=PUBLIC)
async def show_resume_link(
    request: Req,
    token: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """Asks before it opens: whoever only looks at a link, as messengers do, does not use it up."""
    async with db.begin(town.code) as session:
        if await find_link(session, town.code, token, now=now) is None:
            raise Refusal("resume_unknown", 404)
    return page(request, "resume_link.html", action=f"{RESUME}/{token}")


@post("/resume/{token:str}", guards=[require_visitor])
async def post_resume_link(
    token: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Opens the case here."""
    async with db.begin(identity.municipality) as session:
        device_id = await find_link(session, identity.municipality, token, now=now)
        if device_id is None:
            raise Refusal("resume_unknown", 404)
        case = await open_device(session, identity=identity, device_id=device_id, now=now)
    return see_other(f"/cases/{case}")


def _resume_page(
    request: Req, form: Form, tried: Tried | None = None, locked_until: datetime | None = None
) -> Template:
    is_wrong = tried is not None
    return page(
        request,
        "resume.html",
        status=429 if locked_until else 422 if is_wrong or form.errors else 200,
        form=form,
        is_wrong=is_wrong,
        locked_until=locked_until,
    )
