"""The ways in without an account: the link of a message, or number and code."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect, Template

from services.booking.commands.access import Found, open_link, try_code
from services.booking.commands.class_entries import open_class_link, try_class_code
from services.booking.commands.help_access import open_request_link, try_request_code
from services.booking.keys import Keys
from services.booking.pages.at_door import cookies_gone
from services.booking.pages.opening import access_cookie, forgotten_cookies
from services.booking.pages.tries import CodeTries
from shared.clock import JST
from shared.db import Database
from shared.errors import Refusal
from shared.local_path import is_local_path
from shared.reference_number import TYPED_MAX_LENGTH, read_number, show_number, typed_as_number
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC
from shared.web.pages import CLASS_ENTRIES, page, see_other
from shared.web.town import Town

FORGET_PATH = "/booking/forget"
# To the minute, in Japan.
UNTIL_FORMAT = "%Y%m%d-%H%M"

Req = Request[Any, Any, Any]


class Way(NamedTuple):
    """How something is opened without an account, and where its page is."""

    by_link: Callable[..., Awaitable[Found]]
    by_code: Callable[..., Awaitable[Found]]
    path: str


# One number is one of these, and so is one link.
WAYS = (
    Way(open_link, try_code, "/booking/appointments"),
    Way(open_class_link, try_class_code, CLASS_ENTRIES),
    Way(open_request_link, try_request_code, "/booking/help"),
)


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
    found, path = Found(outcome="wrong"), ""
    async with db.begin(town.code) as session:
        for way in WAYS:
            found, path = await way.by_link(session, town.code, token, now=now), way.path
            if found.outcome == "open":
                break
    if found.outcome != "open":
        raise Refusal("link_unknown", 404)
    return Redirect(
        f"{path}/{found.number}",
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
    request: Req,
    number: Annotated[str, QueryParameter(name="number", max_length=TYPED_MAX_LENGTH)] = "",
    refused: FromQuery[str] = "",
    until: FromQuery[str] = "",
) -> Template:
    """Number and code, please; after a try, why it did not open (`refused`), and until when it is locked."""
    known = read_number(number)
    form = Form({"number": show_number(known) if known else number})
    missing = {"number": _("予約番号を入力してください。"), "code": _("確認コードを入力してください。")}
    form.errors.update({field: text for field, text in missing.items() if refused in (f"no_{field}", "no_both")})
    locked_until = _read_until(until) if refused == "locked" else None
    # A lock without its time is as good as none: it is over soon.
    outcome = refused if refused in ("wrong", "too_many") or locked_until else None
    return page(request, "find.html", form=form, outcome=outcome, locked_until=locked_until)


@post("/booking/find", opt=PUBLIC)
async def post_find_page(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
    tries: NamedDependency[CodeTries],
) -> Redirect:
    """Opens the appointment, or leads back to the page that says why not: so that going back asks for no form."""
    form = Form(await read_form(request))
    missing = [field for field in ("number", "code") if not form.value(field).strip()]
    if missing:
        return _ask_again(form, "no_both" if len(missing) > 1 else f"no_{missing[0]}")
    if not tries.count(town.code, network_of_visitor(request)):
        return _ask_again(form, "too_many")
    typed = form.value("number"), form.value("code")
    found, path = Found(outcome="wrong"), ""
    # What a wrong code costs is committed, therefore the outcome is no exception.
    async with db.begin(town.code) as session:
        for way in WAYS:
            found, path = await way.by_code(session, town.code, *typed, keys, now=now), way.path
            if found.nobodys is None:
                break
    if found.outcome == "open":
        return Redirect(
            f"{path}/{found.number}",
            status_code=303,
            cookies=[access_cookie(keys, town.code, found, secure=secure, now=now)],
        )
    locked_until = found.locked_until
    if found.nobodys is not None:
        locked_until = tries.fail_nobodys(town.code, found.nobodys, now=now)
    return _ask_again(form, "locked" if locked_until else "wrong", until=locked_until)


def _ask_again(form: Form, refused: str, *, until: datetime | None = None) -> Redirect:
    asked = {"refused": refused}
    typed = typed_as_number(form.value("number"))
    if typed:
        asked["number"] = typed
    if until is not None:
        asked["until"] = until.astimezone(JST).strftime(UNTIL_FORMAT)
    return see_other(f"/booking/find?{urlencode(asked)}")


def _read_until(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, UNTIL_FORMAT).replace(tzinfo=JST)
    except ValueError:
        return None


@get(FORGET_PATH, opt=PUBLIC)
async def get_forget(
    request: Req, secure: NamedDependency[bool], next_path: Annotated[str, QueryParameter(name="next")] = "/"
) -> Redirect:
    """After signing out, routing sends the browser by here: on a shared computer, no appointment stays open.

    Only the browser knows which cookies it has, and shows them to booking's own paths alone.
    """
    cookies = [*forgotten_cookies(request.cookies, secure=secure), *cookies_gone(secure=secure)]
    target = next_path if is_local_path(next_path) and not next_path.startswith(FORGET_PATH) else "/"
    return Redirect(target, status_code=303, cookies=cookies)
