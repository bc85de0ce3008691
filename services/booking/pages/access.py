"""The ways in without an account: the link of a message, or number and code."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Template

from services.booking.commands.access import open_link, try_code
from services.booking.keys import Keys
from services.booking.pages.opening import access_cookie, forgotten_cookies
from services.booking.pages.tries import CodeTries
from shared.db import Database
from shared.errors import Refusal
from shared.local_path import is_local_path
from shared.reference_number import TYPED_MAX_LENGTH
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town

FORGET_PATH = "/booking/forget"

Req = Request[Any, Any, Any]


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
        found = await open_link(session, town.code, token, now=now)
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
    tries: NamedDependency[CodeTries],
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
    if not tries.count(town.code, network_of_visitor(request)):
        return page(request, "find.html", status=429, form=form, outcome="too_many", locked_until=None)
    # What a wrong code costs is committed, therefore the outcome is no exception.
    async with db.begin(town.code) as session:
        found = await try_code(session, town.code, form.value("number"), form.value("code"), keys, now=now)
    if found.outcome == "open":
        return Redirect(
            f"/booking/appointments/{found.number}",
            status_code=303,
            cookies=[access_cookie(keys, town.code, found, secure=secure, now=now)],
        )
    locked_until = found.locked_until
    if found.nobodys is not None:
        locked_until = tries.fail_nobodys(town.code, found.nobodys, now=now)
    status, outcome = (429, "locked") if locked_until else (400, "wrong")
    return page(request, "find.html", status=status, form=form, outcome=outcome, locked_until=locked_until)


@get(FORGET_PATH, opt=PUBLIC)
async def get_forget(
    request: Req, secure: NamedDependency[bool], next_path: Annotated[str, QueryParameter(name="next")] = "/"
) -> Redirect:
    """After signing out, routing sends the browser by here: on a shared computer, no appointment stays open.

    Only the browser knows which cookies it has, and shows them to booking's own paths alone.
    """
    target = next_path if is_local_path(next_path) and not next_path.startswith(FORGET_PATH) else "/"
    return Redirect(target, status_code=303, cookies=forgotten_cookies(request.cookies, secure=secure))
