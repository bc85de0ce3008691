"""`/account/proof`: before somebody changes how they sign in, they show once more who they are, by any of their ways.

They sign in anew, and go on where they were: the session is young then (`commands/sessions.py: is_proved_lately`). What
they have typed waits, sealed, as that of a session which has run out (`pages/carried.py`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from services.routing.commands.account_contact import get_contact, signs_in_by
from services.routing.commands.accounts import get_login
from services.routing.commands.passkeys import list_passkeys
from services.routing.commands.sessions import is_proved_lately
from services.routing.commands.sign_in import ask_own_sign_in
from services.routing.domain.sessions import safe_next
from services.routing.keys import Keys
from services.routing.pages.carried import read_carried, seal_carried
from services.routing.pages.entering import PEOPLE, account_of
from services.routing.pages.sign_in_link import code_page
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import Form, read_form
from shared.web.pages import ACCOUNT, page, see_other

PROOF = f"{ACCOUNT}/proof"

Req = Request[Any, Any, Any]


@get(PROOF, guards=PEOPLE)
async def show_proof(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """By which way; whoever has just signed in goes on at once."""
    next_path = safe_next(request.query_params.get("next"), ACCOUNT)
    return await ask_proof_first(request, db, identity, keys, next_path, now=now) or see_other(next_path)


@post(PROOF, guards=PEOPLE)
async def post_proof(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """Send a code to their own contact, and ask for it."""
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        asked = await ask_own_sign_in(
            session, keys, municipality=identity.municipality, account_id=account_of(identity), now=now
        )
    brought = Form({"proof": "1", "carried": read_carried(form.values)})
    return code_page(request, brought, asked=str(asked), next_path=safe_next(form.value("next"), ACCOUNT))


async def ask_proof_first(
    request: Req,
    db: Database,
    identity: Identity,
    keys: Keys,
    next_path: str,
    fields: Mapping[str, str] | None = None,
    *,
    now: datetime,
) -> Template | None:
    """The page that asks who they are before they go on to `next_path`, with what they typed; None: they have shown it
    lately."""
    town, account_id = identity.municipality, account_of(identity)
    async with db.begin(town) as session:
        if await is_proved_lately(session, identity, now=now):
            return None
        login = await get_login(session, town, account_id)
        contact = await get_contact(session, town, account_id)
        has_passkey = bool(await list_passkeys(session, town, account_id))
    return page(
        request,
        "proof.html",
        next_path=next_path,
        carried=seal_carried(keys, town, identity.ref, next_path, fields, now=now) if fields else "",
        login=login,
        contact=contact if signs_in_by(contact) else None,
        has_passkey=has_passkey,
    )
