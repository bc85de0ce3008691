"""The two cookies: the signed token for the whole site, and the refresh secret that only `/session` sees."""

from datetime import datetime
from typing import Any

from litestar import Response
from litestar.datastructures import Cookie

from services.routing.commands.sessions import NewSession
from services.routing.keys import Keys
from shared.tokens import Identity, sign_token
from shared.web.identity import SESSION_COOKIE

REFRESH_COOKIE = "choudo_session"
REFRESH_PATH = "/session"
# Holds nothing: whether it comes back tells whether the browser keeps cookies.
PROBE_COOKIE = "choudo_probe"
PROBE_MAX_AGE_S = 60


def give_token(
    response: Response[Any], identity: Identity, keys: Keys, *, expires_at: datetime, now: datetime, secure: bool
) -> None:
    """Set a fresh token. The cookie outlives the token: an expired one still says who must be renewed."""
    token = sign_token(identity, keys.token_private_key, now=now)
    response.set_cookie(_cookie(SESSION_COOKIE, token, "/", expires_at, now, secure=secure))


def give_session(response: Response[Any], started: NewSession, keys: Keys, *, now: datetime, secure: bool) -> None:
    """Set both cookies of a session that was just started."""
    give_token(response, started.identity, keys, expires_at=started.expires_at, now=now, secure=secure)
    refresh = _cookie(REFRESH_COOKIE, started.refresh_token, REFRESH_PATH, started.expires_at, now, secure=secure)
    response.set_cookie(refresh)


def take_session(response: Response[Any]) -> None:
    """Remove both cookies."""
    response.delete_cookie(SESSION_COOKIE, path="/")
    response.delete_cookie(REFRESH_COOKIE, path=REFRESH_PATH)


def give_probe(response: Response[Any], *, secure: bool) -> None:
    """Set a cookie that only tells whether cookies come back."""
    response.set_cookie(
        Cookie(
            key=PROBE_COOKIE,
            value="1",
            path=REFRESH_PATH,
            max_age=PROBE_MAX_AGE_S,
            httponly=True,
            secure=secure,
            samesite="lax",
        )
    )


def take_probe(response: Response[Any]) -> None:
    """Remove it: it has told us."""
    response.delete_cookie(PROBE_COOKIE, path=REFRESH_PATH)


def _cookie(key: str, value: str, path: str, expires_at: datetime, now: datetime, *, secure: bool) -> Cookie:
    return Cookie(
        key=key,
        value=value,
        path=path,
        max_age=max(0, int((expires_at - now).total_seconds())),
        httponly=True,
        secure=secure,
        samesite="lax",
    )
