"""Who may open somebody's wishes: whoever has a message's link, or comes from the case or the appointment."""

from datetime import datetime
from typing import Any
from uuid import UUID

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from litestar import Request
from litestar.datastructures import Cookie

from services.notifications.keys import ACCESS_LIFETIME, Keys
from shared.errors import Refusal
from shared.web.addresses import network_of_visitor
from shared.web.cookies import gone_cookie, make_cookie, read_cookie
from shared.web.town import Town

WISHES = "/notices/mine"
_COOKIE = "choudo_wishes"
# Beside what one contact and one address are sent: phones of one carrier, and a town hall, come from one address.
CODES_PER_ADDRESS = parse("60 per 15 minutes")


def wishes_cookie(keys: Keys, municipality: str, contact_ref: UUID, *, secure: bool, now: datetime) -> Cookie:
    """The cookie that opens the wishes of this contact and no other; sent to their pages only."""
    granted = keys.grant_access(municipality, contact_ref, now=now)
    lifetime_s = int(ACCESS_LIFETIME.total_seconds())
    return make_cookie(_COOKIE, granted, max_age_s=lifetime_s, secure=secure, path=WISHES)


def gone_wishes_cookie(*, secure: bool) -> Cookie:
    """What makes a browser forget it."""
    return gone_cookie(_COOKIE, secure=secure, path=WISHES)


def contact_of(request: Request[Any, Any, Any], keys: Keys, town: Town, *, now: datetime) -> UUID:
    """The contact whose wishes this visitor may open.

    Raises:
        Refusal: `wishes_closed` (410).
    """
    cookie = read_cookie(request, _COOKIE, path=WISHES)
    contact_ref = keys.read_access(cookie, town.code, now=now) if cookie else None
    if contact_ref is None:
        raise Refusal("wishes_closed", 410)
    return contact_ref


class CodeTries:
    """Counts codes, those that are sent and those that are typed. One per process, kept in memory."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, request: Request[Any, Any, Any], municipality: str) -> None:
        """Count one.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        if not self._limiter.hit(CODES_PER_ADDRESS, "code", municipality, network_of_visitor(request)):
            raise Refusal("too_many_tries", 429)
