"""Signing in without a password: a link and a code, sent to the phone or mail that an account is known by."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.askings import find_asking
from services.routing.commands.sign_in import ask_sign_in, sign_in_by_code, sign_in_by_link
from services.routing.domain.sessions import safe_next
from services.routing.domain.sign_in import ANSWER_AFTER_S, Address
from services.routing.keys import Keys
from services.routing.pages.carried import read_carried
from services.routing.pages.entering import enter
from services.routing.pages.tries import Tries
from shared.db import Database
from shared.errors import Refusal
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, is_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town

LINK = "/sign-in/link"
MAIL_SIGNS = ("@", "＠")

Req = Request[Any, Any, Any]


@get(LINK, opt=PUBLIC)
async def show_ask(request: Req) -> Template:
    """The phone number or mail address, please."""
    return _ask_page(request, Form({}), safe_next(request.query_params.get("next"), ""))


@post(LINK, opt=PUBLIC)
async def post_ask(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    tries: NamedDependency[Tries],
) -> Template:
    """Send a link and a code if somebody signs in by this. What is answered, and when, is the same if nobody does."""
    form = Form(await read_form(request))
    next_path = safe_next(form.value("next"), "")
    address = _read_address(form)
    if address is None:
        return _ask_page(request, form, next_path)
    tries.count_asking(town.code, network_of_visitor(request), keys.contacts.hashes(town.code, address.hashed)[0].hex())
    asked, _waited = await asyncio.gather(_ask(db, keys, town, address, now=now), asyncio.sleep(ANSWER_AFTER_S))
    return code_page(request, Form({}), asked=str(asked or uuid4()), next_path=next_path)


@get("/sign-in/code", opt=PUBLIC)
async def get_code_address() -> Redirect:
    """Where the code is sent, opened as a page."""
    return see_other(LINK)


@post("/sign-in/code", opt=PUBLIC)
async def post_code(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    tries: NamedDependency[Tries],
    secure: NamedDependency[bool],
) -> Template | Redirect:
    """The code as typed on the page that asked for it. Wrong, over, or of nobody: that is one answer."""
    form = Form(await read_form(request))
    next_path, asked = safe_next(form.value("next"), ""), form.value("asked")
    if not is_uuid(asked):
        return see_other(LINK)
    if not form.value("code").strip():
        form.errors["code"] = _("メッセージにある、6けたの番号を入力してください。")
        return code_page(request, form, asked=asked, next_path=next_path)
    tries.count_code(town.code, network_of_visitor(request))
    # What a wrong code costs is committed, therefore it is no exception.
    async with db.begin(town.code) as session:
        started = await sign_in_by_code(
            session, keys, municipality=town.code, asking_id=UUID(asked), code=form.value("code"), now=now
        )
    if started is None:
        form.errors["code"] = _("番号がちがうか、時間がすぎています。確かめるか、もう一度送ってもらってください。")
        return code_page(request, form, asked=asked, next_path=next_path)
    carried = read_carried(form.values)
    return enter(request, started, next_path, keys, carried=carried, now=now, secure=secure)


@get("/sign-in/link/{token:str}", opt=PUBLIC)
async def show_link(
    request: Req,
    token: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """Asks before it lets anybody in: whoever only looks at a link, as filters of mail do, does not use it up.

    The link that came to prove a contact lets nobody in: it may have gone to a stranger. The code is typed by whoever
    is signed in.
    """
    async with db.begin(town.code) as session:
        asking = await find_asking(session, town.code, token, now=now)
    if asking is None:
        raise Refusal("sign_in_link_unknown", 404)
    if asking.purpose == "prove":
        return see_other("/account/code")
    return page(request, "sign_in_link.html", action=f"{LINK}/{token}")


@post("/sign-in/link/{token:str}", opt=PUBLIC)
async def post_link(
    request: Req,
    token: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    tries: NamedDependency[Tries],
    secure: NamedDependency[bool],
) -> Template | Redirect:
    """Lets whoever has the link in, once."""
    tries.count_code(town.code, network_of_visitor(request))
    async with db.begin(town.code) as session:
        started = await sign_in_by_link(session, municipality=town.code, token=token, now=now)
    if started is None:
        raise Refusal("sign_in_link_unknown", 404)
    return enter(request, started, "", keys, now=now, secure=secure)


async def _ask(db: Database, keys: Keys, town: Town, address: Address, *, now: datetime) -> UUID | None:
    async with db.begin(town.code) as session:
        return await ask_sign_in(session, keys, municipality=town.code, address=address, now=now)


def _read_address(form: Form) -> Address | None:
    """One field for either: nobody has to say first what it is."""
    typed = form.value("contact")
    if not typed.strip():
        form.errors["contact"] = _("携帯電話の番号か、メールアドレスを入力してください。")
    elif any(sign in typed for sign in MAIL_SIGNS):
        mail = form.email("contact")
        return Address(reach="email", value=mail) if mail else None
    else:
        number = form.mobile_phone("contact")
        return Address(reach="sms", value=number) if number else None
    return None


def _ask_page(request: Req, form: Form, next_path: str) -> Template:
    return page(
        request, "sign_in_ask.html", status=422 if form.errors else 200, form=form, next_path=next_path, asked=None
    )


def code_page(request: Req, form: Form, *, asked: str, next_path: str) -> Template:
    """The code that came, please. What the form brings along (`carried`, `proof`) it brings to the next one."""
    return page(
        request,
        "sign_in_code.html",
        status=422 if form.errors else 200,
        form=form,
        next_path=next_path,
        asked=asked,
        carried=read_carried(form.values),
        # Asked for on `/account/proof`, by whoever is signed in.
        is_proof=bool(form.value("proof")),
    )
