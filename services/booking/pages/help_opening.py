"""Opening a request for help: by whoever asked, or with its number and code."""

from datetime import datetime
from typing import Any

from litestar import Request

from services.booking.keys import Keys
from services.booking.pages.opening import COOKIE_PATH, COOKIE_PREFIX
from services.booking.queries.help_requests import RequestView, find_request
from shared.db import Database
from shared.reference_number import read_number
from shared.web.cookies import read_cookie
from shared.web.identity import RenewSession, find_identity, token_of
from shared.web.town import Town

OWN_PATH = "/booking/help"
# What its page says of a refusal.
SHOWN_HERE = frozenset(
    {"help_met", "help_busy", "help_over", "class_taken", "class_entered", "class_offer_over", "class_off"}
)

Req = Request[Any, Any, Any]


async def open_request(
    request: Req, typed: str, db: Database, keys: Keys, town: Town, *, now: datetime
) -> RequestView | None:
    """The request, if this visitor may open it; None if not, and equally if there is none.

    Raises:
        RenewSession: perhaps it is the guest who asked.
    """
    number = read_number(typed)
    if number is None:
        return None
    async with db.begin(town.code) as session:
        found = await find_request(session, town.code, number, keys, now=now)
    if found is None:
        return None
    identity = find_identity(request)
    if identity is not None and identity.ref == found.guest_ref:
        return found
    cookie = read_cookie(request, COOKIE_PREFIX + number, path=COOKIE_PATH)
    if cookie and keys.has_access(cookie, town.code, found.request_id, now=now):
        return found
    token = token_of(request)
    if token is not None and token.is_expired(now):
        raise RenewSession
    return None
