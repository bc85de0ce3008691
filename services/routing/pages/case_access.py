"""Who may see the thread of a case: the guest or the staff who began it, or whoever opened what came out of it: its
application by link or code, or its appointment on booking's pages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.datastructures import Cookie
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.keys import ACCESS_LIFETIME, Keys
from services.routing.pages.application_access import COOKIE_PREFIX as APPLICATION_PREFIX
from services.routing.queries.applications import find_application
from services.routing.queries.thread import find_case_row, find_number_of_case
from shared.errors import Refusal
from shared.reference_number import APPLICATION_LENGTH, read_number
from shared.tokens import Identity
from shared.web.cookies import cookie_name, gone_cookie, make_cookie, read_cookie
from shared.web.identity import RenewSession, find_identity, token_of

COOKIE_PREFIX = "choudo_case_"
# A browser that was lent around has opened no more than these in twelve hours.
OPENED_MAX = 20

Req = Request[Any, Any, Any]


class OpenedCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case that this visitor may see. Only its owner goes on with it."""

    row: Any
    identity: Identity
    is_owner: bool


async def open_case_page(
    request: Req, session: AsyncSession, case_id: UUID, keys: Keys, municipality: str, *, now: datetime
) -> OpenedCase:
    """The case, if this visitor may see it.

    Raises:
        Refusal: `case_unknown` (404), equally if there is none.
        RenewSession: the visitor's token has run out; perhaps it is theirs.
    """
    row = await find_case_row(session, municipality, case_id)
    identity = find_identity(request)
    if row is not None:
        if identity is not None and identity.ref == row.guest_ref:
            return OpenedCase(row=row, identity=identity, is_owner=True)
        if await _is_here(session, identity, case_id, now=now) or await _has_cookie(
            request, session, row, keys, now=now
        ):
            bearer = Identity(municipality=municipality, kind="resident", ref=str(case_id), session_id="")
            return OpenedCase(row=row, identity=bearer, is_owner=False)
    token = token_of(request)
    if token is not None and token.is_expired(now):
        raise RenewSession
    raise Refusal("case_unknown", 404)


async def list_opened(
    request: Req, session: AsyncSession, keys: Keys, municipality: str, *, now: datetime
) -> list[UUID]:
    """The cases that this browser has opened by link, by number and code, or from an appointment's page."""
    secure = request.scope["state"]["secure"]
    found: dict[UUID, None] = {}
    for name, value in list(request.cookies.items())[: OPENED_MAX * 4]:
        case_id = _named(name, COOKIE_PREFIX, secure=secure)
        if case_id and _is_uuid(case_id) and keys.has_access(value, municipality, UUID(case_id), now=now):
            found[UUID(case_id)] = None
        number = read_number(_named(name, APPLICATION_PREFIX, secure=secure), length=APPLICATION_LENGTH)
        row = await find_application(session, municipality, number) if number else None
        if row is not None and keys.has_access(value, municipality, row.application_id, now=now):
            found[row.case_id] = None
    return list(found)[:OPENED_MAX]


def case_cookie(keys: Keys, municipality: str, case_id: UUID, *, secure: bool, now: datetime) -> Cookie:
    """The cookie that opens this case's thread and no other."""
    return make_cookie(
        COOKIE_PREFIX + case_id.hex,
        keys.grant_access(municipality, case_id, now=now),
        max_age_s=int(ACCESS_LIFETIME.total_seconds()),
        secure=secure,
    )


def forgotten_cases(sent: Mapping[str, str], *, secure: bool) -> list[Cookie]:
    """What makes a browser drop every case's cookie that it sent."""
    named = (_named(name, COOKIE_PREFIX, secure=secure) for name in sent)
    return [gone_cookie(COOKIE_PREFIX + case_id, secure=secure) for case_id in named if _is_uuid(case_id)]


async def _is_here(session: AsyncSession, identity: Identity | None, case_id: UUID, *, now: datetime) -> bool:
    """Whether it goes on at this device, which is not the one that it was begun with."""
    if identity is None:
        return False
    try:
        await get_own_case(session, identity, case_id, now=now)
    except Refusal:
        return False
    return True


async def _has_cookie(request: Req, session: AsyncSession, row: Any, keys: Keys, *, now: datetime) -> bool:
    own = read_cookie(request, COOKIE_PREFIX + row.case_id.hex)
    if own and keys.has_access(own, row.municipality, row.case_id, now=now):
        return True
    sent = await find_number_of_case(session, row.municipality, row.case_id)
    cookie = read_cookie(request, APPLICATION_PREFIX + sent.number) if sent is not None else None
    return bool(cookie and sent and keys.has_access(cookie, row.municipality, sent.application_id, now=now))


def _named(name: str, prefix: str, *, secure: bool) -> str:
    beginning = cookie_name(prefix, secure=secure)
    return name.removeprefix(beginning) if name.startswith(beginning) else ""


def _is_uuid(text: str) -> bool:
    try:
        return UUID(text).hex == text
    except ValueError:
        return False
