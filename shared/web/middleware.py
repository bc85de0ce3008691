"""What happens around every request of every service: town, visitor, origin, headers, timing, and one log line."""

import time
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from litestar import Litestar
from litestar.datastructures import Headers
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from shared.errors import Refusal
from shared.events.subscriptions import SERVICES
from shared.log import get_logger
from shared.practice import is_practice
from shared.telemetry import REQUEST_SECONDS
from shared.tokens import BadToken, Token, verify_token
from shared.web.cookies import OURS, cookie_name
from shared.web.i18n import LANGUAGE_COOKIE, SOURCE, current_language, use_language
from shared.web.identity import SESSION_COOKIE, STAFF_KINDS
from shared.web.lifespan import live
from shared.web.municipality_words import set_municipality
from shared.web.parts import Parts, parts_of
from shared.web.town_texts import set_town_texts

log = get_logger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
# Asked by machines that know no town.
TOWNLESS_PATHS = frozenset(
    f"{prefix}/{name}" for prefix in ("", *(f"/{service}" for service in SERVICES)) for name in ("healthz", "readyz")
)
STATIC_PREFIX = "/static/"

PUBLISHED = ("/open-data", "/quality")
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
}
HTTPS_ONLY_HEADERS = {"strict-transport-security": "max-age=31536000"}


class AroundRequest:
    """The outermost layer of a service: language, security headers, timing, metrics, one log line."""

    def __init__(self, app: Litestar, parts: Parts) -> None:
        self.litestar = app
        self.parts = parts
        headers = SECURITY_HEADERS | (HTTPS_ONLY_HEADERS if parts.secure else {}) | {"cache-control": "no-store"}
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(self.parts.run(), receive, send)
            return
        started = time.perf_counter()
        status = 500
        request_id = uuid4().hex[:12]
        parts = self.parts
        scope.setdefault("state", {}).update(parts=parts, now=parts.clock(), request_id=request_id, secure=parts.secure)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # What a page says for itself stands: a link's token must not be told to anybody, a static file is kept.
                given = {name for name, _ in message["headers"]}
                added = [header for header in self._headers if header[0] not in given]
                message["headers"] = [*message["headers"], *added, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            # Error pages speak it too: they are made outside of every other layer.
            with use_language(_cookie(Headers.from_scope(scope).get("cookie", ""), LANGUAGE_COOKIE), page=True):
                await self.litestar(scope, receive, send_with_headers)
        finally:
            # The route's pattern, never the path: a path may hold a link's token.
            route = scope.get("path_template") or "unmatched"
            # Nor a method that somebody made up: each would be a metric of its own.
            method = scope["method"] if scope["method"] in METHODS else "other"
            seconds = time.perf_counter() - started
            REQUEST_SECONDS.labels(parts.service, method, route, str(status)).observe(seconds)
            log.info("request", method=method, route=route, status=status, ms=round(seconds * 1_000, 1))


class KnowVisitor:
    """Finds the town and the visitor of a request, and refuses what another site sent.

    Whether a session has ended is asked for staff and helpers only.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (scope["path"] in TOWNLESS_PATHS or scope["path"].startswith(STATIC_PREFIX)):
            await self._look_at(cast("HTTPScope", scope))
        await self._app(scope, receive, send)

    async def _look_at(self, scope: HTTPScope) -> None:
        headers = Headers.from_scope(scope)
        state, parts = scope["state"], parts_of(scope)
        town = await parts.towns.find(headers.get("host", ""))
        if town is None or (is_practice(town.code) and _is_published(scope["path"])):
            raise NotFoundException
        state["town"] = town
        set_municipality(town.name_ja)
        # Japanese is the source of the town's texts as of ours.
        set_town_texts({} if current_language() is SOURCE else await parts.town_texts.find(town.code))
        if parts.enter_town is not None:
            await parts.enter_town(town.code)
        if scope["method"] not in SAFE_METHODS:
            _refuse_other_origins(headers)
        token = _token(headers, parts)
        # A token of another town is no token here.
        if token is None or token.identity.municipality != town.code:
            return
        state["token"] = token
        if token.identity.kind in STAFF_KINDS:
            state["session_ended"] = await parts.is_session_ended(parts.db, town.code, token.identity.session_id)


def _is_published(path: str) -> bool:
    """Whether somebody takes what is there for the town's own figures: a practice town has none."""
    return any(path == root or path.startswith(f"{root}/") for root in PUBLISHED)


def _token(headers: Headers, parts: Parts) -> Token | None:
    text = _cookie(headers.get("cookie", ""), cookie_name(SESSION_COOKIE, secure=parts.secure))
    if not text:
        return None
    try:
        return verify_token(text, parts.token_public_keys)
    except BadToken:
        return None


def _refuse_other_origins(headers: Headers) -> None:
    """Browsers say where a form was sent from; what came from elsewhere is refused (`docs/decisions`: no CSRF tokens).

    Raises:
        Refusal: `cross_site` (403).
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Refusal("cross_site", 403)
        return
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc == headers.get("host"):
        return
    # Neither header: not a browser of the last years. Without a cookie of ours there is nothing to abuse.
    if origin is not None or OURS in headers.get("cookie", ""):
        raise Refusal("cross_site", 403)


def _cookie(header: str, name: str) -> str | None:
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return None
