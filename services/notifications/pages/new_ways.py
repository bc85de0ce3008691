"""`/notices/mine/ways/new` and `…/code`: another way to be reached, and the code that proves it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.notifications.commands.way_changes import give_way
from services.notifications.commands.way_codes import ask_code, try_code
from services.notifications.commands.ways import NewWay
from services.notifications.commands.wishes import ShownWay, read_wishes
from services.notifications.domain.proofs import CODE_LENGTH, CODE_LIFETIME, PROVED_BY_CODE
from services.notifications.domain.ways import WayKind
from services.notifications.keys import Keys
from services.notifications.pages.wish_access import WISHES, CodeTries, contact_of
from services.notifications.providers.chosen import sms_gateways
from services.notifications.providers.line_channels import line_channels
from services.notifications.settings import Settings
from shared.db import Database
from shared.errors import Refusal
from shared.web.forms import NAME_MAX_LENGTH, Form, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town

# What somebody may add: a way of their own, or somebody who reads it for them.
Choice = Literal["sms", "email", "line", "relay", "letter", "call"]
STREET_MAX_LENGTH = 120
# Of a postal code, those before the hyphen.
POST_OFFICE_DIGITS = 3

Req = Request[Any, Any, Any]


def choices(settings: Settings, town: Town) -> tuple[Choice, ...]:
    """What can be added here: no SMS without a gateway, no LINE where the town has no account there."""
    has = {"sms": bool(sms_gateways(settings)), "line": town.code in line_channels(settings)}
    return tuple(each for each in get_args(Choice) if has.get(each, True))


@get("/notices/mine/ways/new", opt=PUBLIC)
async def get_new_way(
    request: Req,
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    settings: NamedDependency[Settings],
    by: FromQuery[str] = "",
) -> Template:
    """First what kind of way, then the form that it needs."""
    contact_of(request, keys, town, now=now)
    return _new_page(request, settings, town, by if by in choices(settings, town) and by != "line" else "", Form({}))


@post("/notices/mine/ways/new", opt=PUBLIC)
async def post_new_way(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    settings: NamedDependency[Settings],
    tries: NamedDependency[CodeTries],
) -> Template | Redirect:
    """Keep it, and send a code there; with a problem, the form again as it was typed."""
    contact_ref = contact_of(request, keys, town, now=now)
    form = Form(await read_form(request))
    by = form.value("by")
    # LINE is linked from LINE itself: `pages/line_link.py`.
    if by not in choices(settings, town) or by == "line":
        raise Refusal("bad_request", 400)
    new = _read_way(form, by, settings)
    if new is None:
        return _new_page(request, settings, town, by, form)
    if new.needs_proof:
        tries.count(request, town.code)
    async with db.begin(town.code) as session:
        way_no = await give_way(session, keys, town.code, contact_ref, new, now=now)
    return see_other(f"{WISHES}/ways/{way_no}/code" if new.needs_proof else f"{WISHES}?done=added#ways")


@get("/notices/mine/ways/{way_no:int}/code", opt=PUBLIC)
async def get_way_code(
    request: Req,
    way_no: FromPath[int],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """Where the code is typed."""
    return await _code_page(request, db, keys, town, way_no, Form({}), now=now)


@post("/notices/mine/ways/{way_no:int}/code", opt=PUBLIC)
async def post_way_code(
    request: Req,
    way_no: FromPath[int],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    tries: NamedDependency[CodeTries],
) -> Template | Redirect:
    """The code that came, or please another one (`again`)."""
    contact_ref = contact_of(request, keys, town, now=now)
    form = Form(await read_form(request))
    again = form.value("again")
    if not again and not form.value("code").strip():
        form.errors["code"] = _("メッセージにある、6けたの番号を入力してください。")
        return await _code_page(request, db, keys, town, way_no, form, now=now)
    tries.count(request, town.code)
    if again:
        async with db.begin(town.code) as session:
            await ask_code(session, keys, town.code, contact_ref, way_no, now=now)
        return see_other(f"{WISHES}/ways/{way_no}/code")
    # What a wrong code costs is committed, therefore it is no exception.
    async with db.begin(town.code) as session:
        typed = form.digits("code", length=CODE_LENGTH) if form.ok else ""
        outcome = await try_code(session, keys, town.code, contact_ref, way_no, typed, now=now)
    if outcome == "proved":
        return see_other(f"{WISHES}?done=proved#ways")
    form.errors["code"] = (
        _("番号がちがいます。確かめて、もう一度入れてください。")
        if outcome == "wrong"
        else _("この番号は、もう使えません。「もう一度送ってもらう」を押してください。")
    )
    return await _code_page(request, db, keys, town, way_no, form, now=now)


def _read_way(form: Form, by: str, settings: Settings) -> NewWay | None:
    """What was typed; None: something is to be mended."""
    is_relay = by == "relay"
    kinds = ("sms", "email") if sms_gateways(settings) else ("email",)
    kind = form.choice("kind", kinds) if is_relay else by
    address = _ADDRESSES[kind](form) if kind else ""
    if not form.ok:
        return None
    way = msgspec.convert(kind, WayKind)
    return NewWay(kind=way, address=address, is_relay=is_relay, needs_proof=way in PROVED_BY_CODE)


def _read_letter(form: Form) -> str:
    """As it stands on an envelope, the postal code first."""
    code = form.postal_code("postal_code")
    street = form.text("street", max_length=STREET_MAX_LENGTH)
    name = form.text("name", max_length=NAME_MAX_LENGTH)
    return f"〒{code[:POST_OFFICE_DIGITS]}-{code[POST_OFFICE_DIGITS:]}\n{street}\n{name}"


_ADDRESSES: dict[str, Callable[[Form], str]] = {
    "email": lambda form: form.email("email"),
    "sms": lambda form: form.mobile_phone("phone"),
    "call": lambda form: form.phone("phone"),
    "letter": _read_letter,
}


def _new_page(request: Req, settings: Settings, town: Town, by: str, form: Form) -> Template:
    return page(
        request,
        "way_new.html",
        status=422 if form.errors else 200,
        by=by,
        choices=choices(settings, town),
        form=form,
    )


async def _code_page(
    request: Req, db: Database, keys: Keys, town: Town, way_no: int, form: Form, *, now: datetime
) -> Template:
    contact_ref = contact_of(request, keys, town, now=now)
    async with db.begin(town.code) as session:
        wishes = await read_wishes(session, keys.vault, town.code, contact_ref)
    way = _find(wishes.ways if wishes else (), way_no)
    return page(
        request,
        "way_code.html",
        status=422 if form.errors else 200,
        way=way,
        is_done=way.is_proved and not way.is_dead,
        minutes=int(CODE_LIFETIME.total_seconds()) // 60,
        form=form,
    )


def _find(ways: tuple[ShownWay, ...], way_no: int) -> ShownWay:
    for way in ways:
        if way.way_no == way_no and way.kind in PROVED_BY_CODE:
            return way
    raise Refusal("not_found", 404)
