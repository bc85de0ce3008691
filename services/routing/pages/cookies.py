"""The two cookies of a session: the signed token, and the refresh secret that routing alone looks at."""

from datetime import datetime
from typing import Any

from litestar import Request, Response
from litestar.datastructures import Cookie

from services.routing.commands.sessions import NewSession
from services.routing.domain.sessions import CARRIED_LIFETIME
from services.routing.keys import Keys
from shared.tokens import Identity, sign_token
from shared.web.cookies import gone_cookie, make_cookie, read_cookie
from shared.web.identity import SESSION_COOKIE, STAFF_KINDS

# For the whole site, though only `/session` looks at it: the one name that no neighbour under the town's domain can
# put into a browser allows no narrower path, and a session that somebody else put there would hear what is typed.
REFRESH_COOKIE = "choudo_session"
# Holds nothing: whether it comes back tells whether the browser keeps cookies.
PROBE_COOKIE = "choudo_probe"
PROBE_MAX_AGE_S = 60


def give_token(
    response: Response[Any], identity: Identity, keys: Keys, *, expires_at: datetime, now: datetime, secure: bool
) -> None:
    """Set a fresh token. The cookie outlives the token: an expired one still says who must be renewed.

    Staff's outlives their session, too: a form that is sent the next morning still says who typed it.
    """
    token = sign_token(identity, keys.token_private_key, now=now)
    if identity.kind in STAFF_KINDS:
        expires_at += CARRIED_LIFETIME
    response.set_cookie(_until(SESSION_COOKIE, token, expires_at, now, secure=secure))


def give_session(response: Response[Any], started: NewSession, keys: Keys, *, now: datetime, secure: bool) -> None:
    """Set both cookies of a session that was just started."""
    give_token(response, started.identity, keys, expires_at=started.expires_at, now=now, secure=secure)
    response.set_cookie(_until(REFRESH_COOKIE, started.refresh_token, started.expires_at, now, secure=secure))


def read_refresh(request: Request[Any, Any, Any]) -> str | None:
    """The refresh secret that a browser sent."""
    return read_cookie(request, REFRESH_COOKIE)


def take_session(response: Response[Any], *, secure: bool) -> None:
    """Remove both cookies."""
    response.set_cookie(gone_cookie(SESSION_COOKIE, secure=secure))
    response.set_cookie(gone_cookie(REFRESH_COOKIE, secure=secure))


def give_probe(response: Response[Any], *, secure: bool) -> None:
    """Set a cookie that only tells whether cookies come back."""
    response.set_cookie(make_cookie(PROBE_COOKIE, "1", max_age_s=PROBE_MAX_AGE_S, secure=secure))


def has_probe(request: Request[Any, Any, Any]) -> bool:
    """Whether it came back."""
    return read_cookie(request, PROBE_COOKIE) is not None


def take_probe(response: Response[Any], *, secure: bool) -> None:
    """Remove it: it has told us."""
    response.set_cookie(gone_cookie(PROBE_COOKIE, secure=secure))


def _until(name: str, value: str, expires_at: datetime, now: datetime, *, secure: bool) -> Cookie:
    return make_cookie(name, value, max_age_s=max(0, int((expires_at - now).total_seconds())), secure=secure)
