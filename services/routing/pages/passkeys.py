"""Signing in by a passkey, and adding one: a challenge by JSON, and the phone's answer in a form (passkey.js)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.passkeys import (
    Challenge,
    Site,
    add_passkey,
    begin_passkey,
    begin_sign_in,
    remove_passkey,
    sign_in_by_passkey,
    take_challenge,
)
from services.routing.domain.sessions import safe_next
from services.routing.domain.sign_in import PASSKEY_NAME_MAX_LENGTH
from services.routing.keys import Keys
from services.routing.pages.account import account_page
from services.routing.pages.carried import read_carried
from services.routing.pages.entering import PEOPLE, account_of, enter
from services.routing.pages.proof import ask_proof_first
from services.routing.pages.tries import Tries
from shared.clock import jst_day
from shared.db import Database
from shared.reference_number import host_of
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC
from shared.web.pages import ACCOUNT, see_other
from shared.web.town import Town

NEW_PASSKEY = f"{ACCOUNT}/passkeys"

Req = Request[Any, Any, Any]


@post("/routing/api/passkeys/sign-in", opt=PUBLIC)
async def post_sign_in_challenge(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    tries: NamedDependency[Tries],
    secure: NamedDependency[bool],
) -> Response[bytes]:
    """What the phone has to sign to sign in: WebAuthn's options, and a reference to send back with the answer."""
    tries.count_passkey(town.code, network_of_visitor(request))
    async with db.begin(town.code) as session:
        challenge = await begin_sign_in(
            session, municipality=town.code, site=_site(request, town, secure=secure), now=now
        )
    return _as_json(challenge)


@post("/routing/api/passkeys/new", guards=PEOPLE)
async def post_new_challenge(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    tries: NamedDependency[Tries],
    secure: NamedDependency[bool],
) -> Response[bytes]:
    """What the phone needs to make a passkey for whoever is signed in."""
    tries.count_passkey(town.code, network_of_visitor(request))
    async with db.begin(town.code) as session:
        challenge = await begin_passkey(
            session,
            identity=identity,
            account_id=account_of(identity),
            site=_site(request, town, secure=secure),
            now=now,
        )
    return _as_json(challenge)


@post("/sign-in/passkey", opt=PUBLIC)
async def post_passkey_sign_in(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    tries: NamedDependency[Tries],
    secure: NamedDependency[bool],
) -> Template | Redirect:
    """The phone's answer: whoever opened it is in."""
    fields = await read_form(request)
    tries.count_passkey(town.code, network_of_visitor(request))
    async with db.begin(town.code) as session:
        challenge = await take_challenge(session, municipality=town.code, challenge_id=_challenge_of(fields), now=now)
    async with db.begin(town.code) as session:
        started = await sign_in_by_passkey(
            session,
            municipality=town.code,
            challenge=challenge,
            credential=fields.get("credential", ""),
            site=_site(request, town, secure=secure),
            now=now,
        )
    next_path, carried = safe_next(fields.get("next"), ""), read_carried(fields)
    return enter(request, started, next_path, keys, carried=carried, now=now, secure=secure)


@get("/sign-in/passkey", opt=PUBLIC)
async def get_passkey_address() -> Redirect:
    """Where the answer is sent, opened as a page."""
    return see_other("/sign-in")


@post(NEW_PASSKEY, guards=PEOPLE)
async def post_passkey(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
    secure: NamedDependency[bool],
) -> Template | Redirect:
    """Keep what the phone made, under the name that its owner gives it.

    Without anything made, the page to make it: a phone that is refused a challenge sends the name alone, and whoever
    has shown who they are comes here with it.
    """
    form = Form(await read_form(request))
    if not form.value("challenge") and not form.value("credential"):
        asked = await ask_proof_first(request, db, identity, keys, NEW_PASSKEY, form.values, now=now)
        return asked or await account_page(request, db, identity, name=form.value("name"), now=now)
    # Without a name that can be shown it is told apart by its day.
    name = form.text("name", max_length=PASSKEY_NAME_MAX_LENGTH, required=False) or jst_day(now).isoformat()
    account_id = account_of(identity)
    async with db.begin(town.code) as session:
        challenge = await take_challenge(
            session,
            municipality=town.code,
            challenge_id=_challenge_of(form.values),
            account_id=account_id,
            now=now,
        )
    async with db.begin(town.code) as session:
        await add_passkey(
            session,
            identity=identity,
            account_id=account_id,
            challenge=challenge,
            credential=form.value("credential"),
            name=name,
            site=_site(request, town, secure=secure),
            now=now,
        )
    return see_other(f"{ACCOUNT}?done=passkey")


@get(NEW_PASSKEY, guards=PEOPLE)
async def get_passkeys_address() -> Redirect:
    """Where a new one is sent, opened as a page."""
    return see_other(ACCOUNT)


@post("/account/passkeys/{passkey_id:str}/remove", guards=PEOPLE)
async def post_remove_passkey(
    passkey_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Nobody signs in by it any more."""
    passkey = parse_uuid(passkey_id, code="passkey_unknown")
    async with db.begin(identity.municipality) as session:
        await remove_passkey(session, identity=identity, account_id=account_of(identity), passkey_id=passkey, now=now)
    return see_other(f"{ACCOUNT}?done=removed")


@get("/account/passkeys/{passkey_id:str}/remove", guards=PEOPLE)
async def get_remove_passkey_address(passkey_id: FromPath[str]) -> Redirect:
    """Where the button is sent, opened as a page."""
    parse_uuid(passkey_id, code="passkey_unknown")
    return see_other(ACCOUNT)


def _site(request: Req, town: Town, *, secure: bool) -> Site:
    """The town's site by the name that it was asked by, which is one of the town's (shared/web/town.py)."""
    host = request.headers["host"]
    return Site(
        name=f"{_('ちょうど')} {town.name_ja}", host=host_of(host), origin=f"{'https' if secure else 'http'}://{host}"
    )


def _challenge_of(fields: dict[str, str]) -> UUID:
    return parse_uuid(fields.get("challenge", ""), code="passkey_refused", status=422)


def _as_json(challenge: Challenge) -> Response[bytes]:
    return Response(msgspec.json.encode(challenge), media_type="application/json")
