"""Who may open an application: the guest who sent it, or whoever has its cookie (by link, or number and code)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import Cookie
from litestar.response import Redirect
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.access import Found
from services.routing.keys import ACCESS_LIFETIME, Keys
from services.routing.queries.applications import find_application
from shared.reference_number import APPLICATION_LENGTH, TYPED_MAX_LENGTH, read_number
from shared.tokens import Identity
from shared.web.cookies import cookie_name, gone_cookie, make_cookie, read_cookie
from shared.web.identity import RenewSession, find_identity, token_of
from shared.web.pages import see_other
from shared.web.town import Town

COOKIE_PREFIX = "choudo_application_"


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An application that this visitor may see. Only its owner sees what was typed, and may correct it."""

    row: Any
    identity: Identity
    is_owner: bool


async def open_application(
    request: Request[Any, Any, Any], session: AsyncSession, typed: str, keys: Keys, town: Town, *, now: datetime
) -> Opened | None:
    """The application, if this visitor may open it; None if not, and equally if there is none.

    Raises:
        RenewSession: the visitor's token has run out; perhaps it is theirs.
    """
    number = read_number(typed, length=APPLICATION_LENGTH)
    row: Row[Any] | None = await find_application(session, town.code, number) if number else None
    identity = find_identity(request)
    if row is not None:
        if identity is not None and identity.ref == row.guest_ref:
            return Opened(row=row, identity=identity, is_owner=True)
        cookie = read_cookie(request, COOKIE_PREFIX + row.number)
        if cookie and keys.has_access(cookie, town.code, row.application_id, now=now):
            bearer = Identity(municipality=town.code, kind="resident", ref=row.number, session_id="")
            return Opened(row=row, identity=bearer, is_owner=False)
    token = token_of(request)
    if token is not None and token.is_expired(now):
        raise RenewSession
    return None


def ask_for_code(typed: str) -> Redirect:
    """The same for a number that does not exist as for one of somebody else."""
    number = typed if typed.isascii() and typed.replace("-", "").isalnum() else ""
    return see_other(f"/applications/find?number={number[:TYPED_MAX_LENGTH]}")


def access_cookie(keys: Keys, municipality: str, found: Found, *, secure: bool, now: datetime) -> Cookie:
    """The cookie that opens this application and no other."""
    if found.application_id is None or found.number is None:
        raise ValueError("nothing was found")
    return make_cookie(
        COOKIE_PREFIX + found.number,
        keys.grant_access(municipality, found.application_id, now=now),
        max_age_s=int(ACCESS_LIFETIME.total_seconds()),
        secure=secure,
    )


def forgotten_cookies(sent: Mapping[str, str], *, secure: bool) -> list[Cookie]:
    """What makes a browser drop every application's cookie that it sent."""
    beginning = cookie_name(COOKIE_PREFIX, secure=secure)
    numbers = [name.removeprefix(beginning) for name in sent if name.startswith(beginning)]
    return [
        gone_cookie(COOKIE_PREFIX + number, secure=secure)
        for number in numbers
        if read_number(number, length=APPLICATION_LENGTH) is not None
    ]
