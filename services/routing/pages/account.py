"""`/account`: how somebody with an account is told things, and by which ways they sign in."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from services.routing.commands.account_contact import ask_proof, change_contact, get_contact, prove_contact
from services.routing.commands.passkeys import list_passkeys
from services.routing.commands.sessions import is_proved_lately
from services.routing.domain.handover import REACHES
from services.routing.domain.sign_in import PASSKEY_NAME_MAX_LENGTH, PASSKEYS_MAX, Address
from services.routing.keys import Keys
from services.routing.pages.entering import PEOPLE, account_of, home_of
from services.routing.pages.proof import ask_proof_first
from services.routing.pages.tries import Tries
from shared.db import Database
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, read_form
from shared.web.i18n import current_language
from shared.web.i18n import gettext as _
from shared.web.pages import ACCOUNT, page, see_other

CONTACT, CODE = f"{ACCOUNT}/contact", f"{ACCOUNT}/code"

Req = Request[Any, Any, Any]


@get(ACCOUNT, guards=PEOPLE)
async def show_account(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], identity: NamedDependency[Identity]
) -> Template:
    """The contact, as its owner recognises it, and the passkeys."""
    return await account_page(request, db, identity, now=now)


async def account_page(request: Req, db: Database, identity: Identity, *, name: str = "", now: datetime) -> Template:
    """The same; with the `name` that somebody gave a passkey that is not made yet."""
    account_id = account_of(identity)
    async with db.begin(identity.municipality) as session:
        contact = await get_contact(session, identity.municipality, account_id)
        passkeys = await list_passkeys(session, identity.municipality, account_id)
        is_proved = await is_proved_lately(session, identity, now=now)
    return page(
        request,
        "account.html",
        contact=contact if contact is not None and contact.reach != "none" else None,
        passkeys=passkeys,
        may_add=len(passkeys) < PASSKEYS_MAX,
        is_proved=is_proved,
        passkey_name=name[:PASSKEY_NAME_MAX_LENGTH],
        name_max_length=PASSKEY_NAME_MAX_LENGTH,
        home=home_of(identity),
        done=request.query_params.get("done"),
    )


@get(CONTACT, guards=PEOPLE)
async def show_contact(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """By SMS, by mail, or not at all. Whoever signed in long ago shows first who they are."""
    asked = await ask_proof_first(request, db, identity, keys, CONTACT, now=now)
    if asked is not None:
        return asked
    async with db.begin(identity.municipality) as session:
        contact = await get_contact(session, identity.municipality, account_of(identity))
    return _contact_page(request, Form({"reach": contact.reach} if contact is not None else {}))


@post(CONTACT, guards=PEOPLE)
async def post_contact(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """What is said from now on; a code goes to the new address."""
    form = Form(await read_form(request))
    address = _read_address(form)
    if not form.ok:
        return _contact_page(request, form)
    asked = await ask_proof_first(request, db, identity, keys, CONTACT, form.values, now=now)
    if asked is not None:
        return asked
    async with db.begin(identity.municipality) as session:
        await change_contact(
            session,
            keys,
            identity=identity,
            account_id=account_of(identity),
            address=address,
            language=current_language().code,
            now=now,
        )
    return see_other(CODE if address else f"{ACCOUNT}?done=none")


@get(CODE, guards=PEOPLE)
async def show_code(request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]) -> Template:
    """The code that came, please."""
    return await _code_page(request, db, identity, Form({}))


@post(CODE, guards=PEOPLE)
async def post_code(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
    tries: NamedDependency[Tries],
) -> Template | Redirect:
    """Proves the contact by the code, or has another one sent (`again`)."""
    form, account_id = Form(await read_form(request)), account_of(identity)
    if form.value("again"):
        async with db.begin(identity.municipality) as session:
            await ask_proof(session, keys, identity=identity, account_id=account_id, now=now)
        return see_other(CODE)
    if not form.value("code").strip():
        form.errors["code"] = _("メッセージにある、6けたの番号を入力してください。")
        return await _code_page(request, db, identity, form)
    tries.count_code(identity.municipality, network_of_visitor(request))
    # What a wrong code costs is committed, therefore it is no exception.
    async with db.begin(identity.municipality) as session:
        is_proved = await prove_contact(
            session, keys, identity=identity, account_id=account_id, code=form.value("code"), now=now
        )
    if not is_proved:
        form.errors["code"] = _("番号がちがうか、時間がすぎています。確かめるか、もう一度送ってもらってください。")
        return await _code_page(request, db, identity, form)
    return see_other(f"{ACCOUNT}?done=contact")


def _read_address(form: Form) -> Address | None:
    reach = form.choice("reach", REACHES)
    if reach == "email":
        return Address(reach="email", value=form.email("email"))
    if reach == "sms":
        return Address(reach="sms", value=form.mobile_phone("phone"))
    return None


def _contact_page(request: Req, form: Form) -> Template:
    return page(request, "account_contact.html", status=422 if form.errors else 200, form=form)


async def _code_page(request: Req, db: Database, identity: Identity, form: Form) -> Template:
    async with db.begin(identity.municipality) as session:
        contact = await get_contact(session, identity.municipality, account_of(identity))
    waiting = contact is not None and contact.reach != "none" and contact.verified_at is None
    return page(
        request,
        "account_code.html",
        status=422 if form.errors else 200,
        form=form,
        hint=contact.hint if contact is not None and waiting else None,
        reach=contact.reach if contact is not None else "none",
    )
