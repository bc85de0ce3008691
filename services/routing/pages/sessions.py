"""Renewing a visitor's token without their noticing, and signing in and out."""

from datetime import datetime
from typing import Any, Literal

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from services.routing.commands.accounts import Candidate, check_password, count_try, forget_tries, stronger_hash
from services.routing.commands.sessions import (
    NewSession,
    end_session,
    find_session,
    start_guest_session,
    start_staff_session,
)
from services.routing.domain.sessions import (
    LOGIN_MAX_LENGTH,
    PASSWORD_MAX_LENGTH,
    safe_next,
)
from services.routing.keys import Keys
from services.routing.pages.application_access import forgotten_cookies
from services.routing.pages.carried import read_carried, seal_carried
from services.routing.pages.case_access import forgotten_cases
from services.routing.pages.cookies import (
    give_probe,
    give_session,
    give_token,
    has_probe,
    read_refresh,
    take_probe,
    take_session,
)
from services.routing.pages.entering import enter
from services.routing.pages.tries import Tries
from shared.db import Database
from shared.errors import Refusal
from shared.web.addresses import network_of_visitor
from shared.web.forms import read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC, STAFF_KINDS, token_of
from shared.web.pages import page
from shared.web.town import Town

SEE_OTHER = 303
# Booking forgets its own cookies there and leads on: nothing stays on a shared computer.
FORGET = "/booking/forget"


@get("/session/renew", opt=PUBLIC)
async def renew_get(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    secure: NamedDependency[bool],
    tries: NamedDependency[Tries],
) -> Redirect:
    """A fresh token, and back to where the visitor came from."""
    return await _renew(request, db, town, keys, tries, now=now, secure=secure, status=303)


@post("/session/renew", opt=PUBLIC)
async def renew_post(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    secure: NamedDependency[bool],
    tries: NamedDependency[Tries],
) -> Redirect:
    """As for a GET, by 307: the browser brings the form's fields along, and nothing that was typed is lost."""
    return await _renew(request, db, town, keys, tries, now=now, secure=secure, status=307)


@get("/sign-in", opt=PUBLIC)
async def show_sign_in(request: Request[Any, Any, Any]) -> Template:
    """The form for staff."""
    return _sign_in_page(request, next_path=safe_next(request.query_params.get("next"), ""))


@post("/sign-in", opt=PUBLIC)
async def post_sign_in(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    secure: NamedDependency[bool],
    tries: NamedDependency[Tries],
) -> Template | Redirect:
    """Check a password. An unknown account and a wrong password look the same, and take as long.

    A form whose session ran out arrives here by 307, told by `next` in the address: it waits on the page, sealed.
    """
    fields = await read_form(request)
    if "next" in request.query_params:
        return _keep_form(request, fields, town, keys, now=now, secure=secure)
    login, password = fields.get("login", "").replace("\x00", "").strip(), fields.get("password", "")
    next_path, carried = safe_next(fields.get("next"), ""), read_carried(fields)
    errors = {}
    if not login:
        errors["login"] = _("ログインIDを入力してください。")
    if not password:
        errors["password"] = _("パスワードを入力してください。")
    if errors:
        return _sign_in_page(request, next_path=next_path, login=login, errors=errors, carried=carried)
    login, password = login[:LOGIN_MAX_LENGTH], password[:PASSWORD_MAX_LENGTH]

    address = network_of_visitor(request)
    tries.count(town.code, address, login)
    # Counted and committed first; then nothing is held while the password is checked.
    async with db.begin(town.code) as session:
        candidate = await count_try(session, municipality=town.code, login=login, now=now)
    started = None
    if await check_password(candidate, password) and candidate is not None:
        new_hash = await stronger_hash(candidate, password)
        started = await _start_session(db, town, candidate, new_hash, now=now)
    if started is None:
        errors = {"password": _("ログインIDかパスワードがちがいます。確かめて、もう一度入力してください。")}
        return _sign_in_page(request, next_path=next_path, login=login, errors=errors, carried=carried)
    tries.forget(town.code, address, login)
    return enter(request, started, next_path, keys, carried=carried, now=now, secure=secure)


@post("/sign-out", opt=PUBLIC)
async def post_sign_out(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    secure: NamedDependency[bool],
) -> Redirect:
    """End the session everywhere, at once, and leave nothing in the browser.

    A token that has run out may end its session, too.
    """
    token = token_of(request)
    is_staff = token is not None and token.identity.kind in STAFF_KINDS
    if token is not None:
        async with db.begin(town.code) as session:
            await end_session(session, municipality=town.code, session_id=token.identity.session_id, now=now)
    response = Redirect(FORGET, query_params={"next": "/sign-in" if is_staff else "/"}, status_code=303)
    response.headers["Clear-Site-Data"] = '"cookies"'
    # Browsers heed that header over HTTPS only, and not all of them do.
    take_session(response, secure=secure)
    for cookie in (
        *forgotten_cookies(request.cookies, secure=secure),
        *forgotten_cases(request.cookies, secure=secure),
    ):
        response.set_cookie(cookie)
    return response


async def _start_session(
    db: Database, town: Town, candidate: Candidate, new_hash: str | None, *, now: datetime
) -> NewSession | None:
    """A session with the roles of this moment; None: the account was closed or changed while it was checked."""
    async with db.begin(town.code) as session:
        current = await forget_tries(session, municipality=town.code, candidate=candidate, new_hash=new_hash)
        if current is None:
            return None
        return await start_staff_session(
            session,
            municipality=town.code,
            account_id=current.account_id,
            roles=current.roles,
            office=current.office,
            now=now,
        )


async def _renew(
    request: Request[Any, Any, Any],
    db: Database,
    town: Town,
    keys: Keys,
    tries: Tries,
    *,
    now: datetime,
    secure: bool,
    status: Literal[303, 307],
) -> Redirect:
    next_path = safe_next(request.query_params.get("next"))
    refresh_token = read_refresh(request)
    token = token_of(request)
    if refresh_token:
        async with db.begin(town.code) as session:
            live = await find_session(session, municipality=town.code, refresh_token=refresh_token, now=now)
        if live is not None:
            response = Redirect(next_path, status_code=status)
            give_token(response, live.identity, keys, expires_at=live.expires_at, now=now, secure=secure)
            return response
    if token is not None and token.identity.kind in STAFF_KINDS:
        response = Redirect("/sign-in", query_params={"next": next_path}, status_code=status)
        # A form goes on to the sign-in page with the token beside it: that page must know who typed it. So does a form
        # that is being filled in while its page asks for news in the background.
        if status == SEE_OTHER and request.headers.get("sec-fetch-mode", "navigate") == "navigate":
            take_session(response, secure=secure)
        return response
    if not refresh_token and token is None and not has_probe(request):
        if "probe" in request.query_params:
            # We gave a cookie a moment ago and it did not come back: without one this would go round for ever.
            raise Refusal("cookies_needed", 400)
        # Nothing is kept of a visitor before we know that their browser keeps something of us.
        probe = {"next": next_path, "probe": "1"}
        response = Redirect("/session/renew", query_params=probe, status_code=status)
        give_probe(response, secure=secure)
        return response
    tries.count_guest(town.code, network_of_visitor(request))
    async with db.begin(town.code) as session:
        started = await start_guest_session(session, municipality=town.code, now=now)
    response = Redirect(next_path, status_code=status)
    give_session(response, started, keys, now=now, secure=secure)
    take_probe(response, secure=secure)
    return response


def _keep_form(
    request: Request[Any, Any, Any],
    fields: dict[str, str],
    town: Town,
    keys: Keys,
    *,
    now: datetime,
    secure: bool,
) -> Template:
    """Keep a form for whoever typed it. The token that has run out says who that was; without one nobody gets it."""
    next_path = safe_next(request.query_params["next"], "")
    token = token_of(request)
    typist = token.identity if token is not None and token.identity.kind in STAFF_KINDS else None
    # From here on nobody is signed in.
    request.scope["state"].pop("token", None)
    carried = seal_carried(keys, town.code, typist.ref, next_path, fields, now=now) if typist and next_path else ""
    # A path that takes forms is no page to go back to without them: the page where the form stands is.
    response = _sign_in_page(
        request,
        next_path=next_path if carried else _page_of_form(request),
        carried=carried,
        is_late=True,
        is_lost=bool(next_path and fields and not carried),
    )
    if typist is not None:
        take_session(response, secure=secure)
    return response


def _page_of_form(request: Request[Any, Any, Any]) -> str:
    """The page of ours from which a browser says that it sent a form; empty when it does not say so."""
    host, _slash, path = request.headers.get("referer", "").partition("://")[2].partition("/")
    page = safe_next(f"/{path}", "") if host == request.headers.get("host") else ""
    # After signing in nobody wants to sign in.
    return "" if page.startswith("/sign-in") else page


def _sign_in_page(
    request: Request[Any, Any, Any],
    *,
    next_path: str,
    login: str = "",
    errors: dict[str, str] | None = None,
    carried: str = "",
    is_late: bool = False,
    is_lost: bool = False,
) -> Template:
    return page(
        request,
        "sign_in.html",
        status=422 if errors else 200,
        next_path=next_path,
        login=login,
        errors=errors or {},
        login_max_length=LOGIN_MAX_LENGTH,
        carried=carried,
        is_late=is_late,
        is_lost=is_lost,
    )
