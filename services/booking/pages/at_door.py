"""What a phone keeps from the door: that it was there today, and whose tickets are its own. Nothing of a person."""

from datetime import datetime
from typing import Any

from litestar import Request
from litestar.datastructures import Cookie

from services.booking.keys import Keys
from services.booking.pages.opening import COOKIE_PATH
from shared.clock import jst_day
from shared.web.cookies import gone_cookie, make_cookie, read_cookie
from shared.web.town import Town

DOOR_COOKIE, HOLDER_COOKIE = "choudo_door", "choudo_phone"
COOKIE_LIFETIME_S = 24 * 60 * 60
HOLDER_MAX_LENGTH = 64

Req = Request[Any, Any, Any]


def holder_of(request: Req) -> str | None:
    """What says whose phone this is."""
    holder = read_cookie(request, HOLDER_COOKIE, path=COOKIE_PATH)
    return holder if holder and len(holder) <= HOLDER_MAX_LENGTH and holder.isascii() else None


def is_at_door(request: Req, keys: Keys, town: Town, *, now: datetime) -> bool:
    """Whether this phone has read the code at the door today."""
    code = read_cookie(request, DOOR_COOKIE, path=COOKIE_PATH)
    return code is not None and keys.is_door_code(code, town.code, jst_day(now))


def own_cookie(name: str, value: str, *, secure: bool) -> Cookie:
    """For booking's pages, until the day is over."""
    return make_cookie(name, value, max_age_s=COOKIE_LIFETIME_S, secure=secure, path=COOKIE_PATH)


def cookies_gone(*, secure: bool) -> list[Cookie]:
    """What makes a browser forget both."""
    return [gone_cookie(name, secure=secure, path=COOKIE_PATH) for name in (DOOR_COOKIE, HOLDER_COOKIE)]


def call_mark(called_at: datetime | None) -> str:
    """What tells one call from the next: called again, a phone trembles again."""
    return f"{called_at.timestamp():.3f}" if called_at else ""
