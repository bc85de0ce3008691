"""The identity step (本人確認): leaving for who can say who somebody is, coming back, and the ways round it."""

import contextlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.identity import (
    begin_identity,
    find_proof,
    get_asking_case,
    has_older_proof,
    keep_proof,
    take_return,
)
from services.routing.commands.identity_claims import offer_claims, read_postal_code
from services.routing.commands.online import OnlineCase, get_online_case
from services.routing.commands.open_pages import note_page
from services.routing.commands.submit import Incomplete, ready_items
from services.routing.domain.channels import READY_CHANNELS
from services.routing.domain.identity import DECLINED, PROBLEMS, Problem
from services.routing.identity_client import IdentityClient, NotProven, ProviderAway
from services.routing.keys import Keys
from services.routing.pages.identity_claims import claims_page, read_claims
from services.routing.pages.identity_wording import PROBLEM_WORDS
from services.routing.pages.item_fields import item_name
from services.routing.pages.tries import Tries
from services.routing.queries.catalogue import get_town
from shared.clock import jst_day
from shared.db import Database
from shared.log import get_logger
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import parse_uuid
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.middleware import SECURITY_HEADERS
from shared.web.pages import page, see_other

STATE_BYTES = 32
CODE_MAX_LENGTH = 2_000
STATE_MAX_LENGTH = 200
ERROR_MAX_LENGTH = 200
RETURN_PATH = "/identity/callback"

Req = Request[Any, Any, Any]
Clients = Mapping[str, IdentityClient]
log = get_logger(__name__)


@get("/cases/{case_id:str}/identity", guards=[require_visitor])
async def show_identity(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    identity_clients: NamedDependency[Clients],
    problem: Annotated[str, QueryParameter(name="problem", max_length=20)] = "",
) -> Template | Redirect:
    """What will happen, who is asked, and that a counter or the post do as well."""
    case = parse_uuid(case_id, code="case_unknown")
    known = next((each for each in PROBLEMS if each == problem), None)
    async with db.begin(identity.municipality) as session:
        answer, client = await _page(request, session, identity, case, identity_clients, known, now=now)
    if client is not None:
        # Asked with nothing open in the database. Of who does not answer, the press says so.
        with contextlib.suppress(ProviderAway):
            answer.headers["content-security-policy"] = _policy_with(await client.find_origin(now=now))
    return answer


@post("/cases/{case_id:str}/identity", guards=[require_visitor])
async def post_identity(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    identity_clients: NamedDependency[Clients],
    tries: NamedDependency[Tries],
) -> Template | Redirect:
    """Off to the provider, which is asked for its address first: nobody is sent where nobody answers."""
    case = parse_uuid(case_id, code="case_unknown")
    tries.count_identity(identity.municipality, network_of_visitor(request))
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case, now=now)
        if (elsewhere := elsewhere_of(online)) is not None:
            return elsewhere
        row, provider = await get_asking_case(session, identity, case, now=now)
        items = await ready_items(session, row)
    if isinstance(items, Incomplete):
        return see_other(f"/cases/{case}/{items.page}")
    client = identity_clients.get(provider)
    if client is None or online.behalf is not None:
        return see_other(f"/cases/{case}/identity?problem=away")
    state = secrets.token_urlsafe(STATE_BYTES)
    try:
        departure = await client.depart(state=state, redirect_uri=_return_address(request), now=now)
    except ProviderAway:
        return see_other(f"/cases/{case}/identity?problem=away")
    async with db.begin(identity.municipality) as session:
        await begin_identity(
            session,
            identity=identity,
            case_id=case,
            provider=provider,
            items=items,
            state=state,
            nonce=departure.nonce,
            verifier=departure.verifier,
            now=now,
        )
    return see_other(departure.url)


@get(RETURN_PATH, guards=[require_visitor])
async def get_return(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    identity_clients: NamedDependency[Clients],
    keys: NamedDependency[Keys],
    tries: NamedDependency[Tries],
    returned: Annotated[str, QueryParameter(name="state", max_length=STATE_MAX_LENGTH)] = "",
    code: Annotated[str, QueryParameter(name="code", max_length=CODE_MAX_LENGTH)] = "",
    error: Annotated[str, QueryParameter(name="error", max_length=ERROR_MAX_LENGTH)] = "",
) -> Template | Redirect:
    """Back from the provider. Nothing is open in the database while it is asked."""
    tries.count_identity(identity.municipality, network_of_visitor(request))
    async with db.begin(identity.municipality) as session:
        back = await take_return(session, identity=identity, state=returned, now=now)
    if back.case_id is None:
        # Whose case it is nobody is told who did not leave for it.
        return _lost_page(request, back.problem or "unknown")
    problem = back.problem
    if problem is None and error:
        problem = "declined" if error == DECLINED else "failed"
    client = identity_clients.get(back.provider)
    if problem is None and (client is None or not code):
        problem = "failed"
    if problem is not None:
        return see_other(f"/cases/{back.case_id}/identity?problem={problem}")
    assert client is not None
    assert back.attempt_id is not None
    try:
        proven = await client.arrive(
            code=code, nonce=back.nonce, verifier=back.verifier, redirect_uri=_return_address(request), now=now
        )
    except ProviderAway:
        return see_other(f"/cases/{back.case_id}/identity?problem=away")
    except NotProven as refused:
        log.warning("identity_not_proven", reason=str(refused))
        return see_other(f"/cases/{back.case_id}/identity?problem=failed")
    async with db.begin(identity.municipality) as session:
        await keep_proof(session, keys, identity=identity, attempt_id=back.attempt_id, proven=proven, now=now)
        code = ""
        if "address" in proven.claims:
            code = await read_postal_code(session, keys.vault, identity=identity, case_id=back.case_id, now=now)
        values = read_claims(proven.claims, jst_day(now), postal_code=code)
        differing = await offer_claims(
            session, keys.vault, identity=identity, case_id=back.case_id, values=values, now=now
        )
        online = await get_online_case(session, identity, back.case_id, now=now)
    if not differing:
        return see_other(online.check_page)
    return claims_page(
        request,
        keys,
        identity,
        back.case_id,
        back.attempt_id,
        {item: values[item] for item in differing},
        provider=client.provider.label,
        now=now,
    )


def elsewhere_of(online: OnlineCase) -> Redirect | None:
    """A case that was sent has its own page; one that goes on another way is there."""
    if online.sent is not None:
        return see_other(f"/applications/{online.sent}")
    return see_other(f"/cases/{online.case_id}/handover") if online.channel != "online" else None


async def _page(
    request: Req,
    session: AsyncSession,
    identity: Identity,
    case_id: UUID,
    clients: Clients,
    problem: Problem | None,
    *,
    now: datetime,
) -> tuple[Template | Redirect, IdentityClient | None]:
    """The page, and who is asked from it."""
    online = await get_online_case(session, identity, case_id, now=now)
    if (elsewhere := elsewhere_of(online)) is not None:
        return elsewhere, None
    row, provider = await get_asking_case(session, identity, case_id, now=now)
    items = await ready_items(session, row)
    if isinstance(items, Incomplete):
        return see_other(f"/cases/{case_id}/{items.page}"), None
    if await find_proof(session, row, provider, items, now=now) is not None:
        return see_other(online.check_page), None
    if problem is None and await has_older_proof(session, row):
        problem = "changed"
    await note_page(session, identity.municipality, case_id, "identity")
    client = clients.get(provider) if online.behalf is None else None
    words = PROBLEM_WORDS[problem] if problem is not None else None
    town = await get_town(session, identity.municipality)
    answer = page(
        request,
        "identity.html",
        case=online,
        behalf=online.behalf,
        provider=translate(client.provider.label) if client is not None else None,
        claims=[item_name(item) for item in client.provider.claims] if client is not None else [],
        problem_title=translate(words.title) if words else None,
        problem_advice=translate(words.advice) if words else None,
        ways={
            "counter": online.counter and online.correcting is None and "counter" in READY_CHANNELS,
            "helper": online.helper and online.correcting is None and "helper" in READY_CHANNELS,
        },
        address=town.address_ja,
        phone=town.phone,
        town_name=town.name_ja,
        office=online.office,
    )
    return answer, client


def _policy_with(origin: str) -> str:
    # A form that leads on to another site is stopped by the browser, unless its page says which.
    policy = SECURITY_HEADERS["content-security-policy"]
    return policy.replace("form-action 'self'", f"form-action 'self' {origin}")


def _lost_page(request: Req, problem: Problem) -> Template:
    words = PROBLEM_WORDS[problem]
    return page(
        request,
        "identity_lost.html",
        status=409,
        problem_title=translate(words.title),
        problem_advice=translate(words.advice),
    )


def _return_address(request: Req) -> str:
    # The host is one of the town's: others were refused. The proxy may speak plain HTTP with us.
    scheme = "https" if request.scope["state"]["secure"] else "http"
    return f"{scheme}://{request.headers['host']}{RETURN_PATH}"
