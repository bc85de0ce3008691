"""Who makes the request: guards for routes, and the way back to routing when a token has run out.

A route carries one of the guards below, or `opt=PUBLIC`; a structure test checks that every route does. Guards are
asynchronous though they never wait: Litestar sends others to a thread, which costs more than the rest of the guard.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from shared.errors import Refusal
from shared.tokens import Identity, Token

# Named so over plain HTTP: `shared/web/cookies.py` says what browsers call it.
SESSION_COOKIE = "choudo_token"
PUBLIC = {"public": True}
STAFF_KINDS = ("staff", "helper")
# The only role of a machine's account (発券機): whoever stands there is nobody of the town.
MACHINE_ROLES = ("kiosk",)


class RenewSession(Exception):
    """The token is missing or has run out: routing can give another one, without the visitor noticing."""


class SignInNeeded(Exception):
    """Only signed-in staff or helpers may go on."""


def token_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Token | None:
    """The verified token of a request, expired or not."""
    token: Token | None = connection.scope["state"].get("token")
    return token


async def require_visitor(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Any visitor with a live token: a guest's is enough. It owns their holds and cases. A machine has none.

    Raises:
        Refusal: `role_missing` (403).
    """
    if _live_identity(connection).roles == MACHINE_ROLES:
        raise Refusal("role_missing", 403)


def require_role(*roles: str) -> Any:
    """Signed-in people with this role only, or one of these."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        token = token_of(connection)
        if token is None or token.identity.kind not in STAFF_KINDS:
            raise SignInNeeded
        identity = _live_identity(connection)
        if not any(identity.has_role(role) for role in roles):
            raise Refusal("role_missing", 403)

    guard.__name__ = f"require_{'_or_'.join(roles)}"
    return guard


def provide_identity(request: ASGIConnection[Any, Any, Any, Any]) -> Identity:
    """The identity, for handlers behind a guard."""
    return _live_identity(request)


def find_identity(connection: ASGIConnection[Any, Any, Any, Any]) -> Identity | None:
    """The identity of a live token, for pages that are public but know their visitor."""
    state = connection.scope["state"]
    token = token_of(connection)
    if token is None or token.is_expired(state["now"]) or state.get("session_ended"):
        return None
    return token.identity


def staff_of(identity: Identity | None) -> Identity | None:
    """Whoever of the town's people acts for somebody: their deeds are audited. None: a visitor, for themselves, at a
    machine in the lobby, too."""
    if identity is None or identity.kind not in STAFF_KINDS or identity.roles == MACHINE_ROLES:
        return None
    return identity


def _live_identity(connection: ASGIConnection[Any, Any, Any, Any]) -> Identity:
    identity = find_identity(connection)
    if identity is None:
        raise RenewSession
    return identity
