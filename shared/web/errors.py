"""One renderer for everything that is not success: a page in plain Japanese, or problem+json for an API."""

import socket
from collections.abc import Mapping
from typing import Any, Literal

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect, Template
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.erasure import is_erased
from shared.errors import Refusal
from shared.log import describe, get_logger
from shared.web.documented import wrong_parameters
from shared.web.i18n import translate, without_readings
from shared.web.identity import RenewSession, SignInNeeded
from shared.web.municipality_words import set_municipality
from shared.web.pages import page
from shared.web.parts import parts_of
from shared.web.refusals import REFUSALS, RefusalText
from shared.web.town_texts import set_town_texts

Answer = Response[Any] | Template | Redirect

log = get_logger(__name__)

STATUS_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 429: "too_many_tries"}
# PostgreSQL's words for "try again": serialisation, deadlock, lock or statement timeout, too many connections.
BUSY_SQLSTATES = frozenset({"40001", "40P01", "55P03", "57014", "53300", "57P01", "57P03"})
RETRY_AFTER_S = 5


class ErrorPages:
    """The exception handlers of a service, with its own refusals' texts."""

    def __init__(self, texts: Mapping[str, RefusalText]) -> None:
        self._texts = {**REFUSALS, **texts}

    def for_http(self, request: Request[Any, Any, Any], error: HTTPException) -> Answer:
        """What Litestar refuses: unknown path, wrong method, unreadable parameters."""
        if error.status_code >= 500:  # an absent template, an answer that cannot be encoded
            return self.for_any(request, error)
        code = STATUS_CODES.get(error.status_code, "bad_request")
        wrong = wrong_parameters(request, error)
        answer = self._answer(request, Refusal(code, error.status_code, **({"fields": wrong} if wrong else {})))
        # Which methods there are.
        answer.headers.update(error.headers or {})
        return answer

    def for_any(self, request: Request[Any, Any, Any], error: Exception) -> Answer:
        """A refusal is an answer; a busy database is 503; anything else is a bug, logged once, without its values."""
        if isinstance(error, Refusal):
            return self._answer(request, error)
        if is_erased(error):
            return self._answer(request, Refusal("subject_erased", 410))
        if _is_busy(error):
            log.warning("database_busy", **describe(error))
            answer = self._answer(request, Refusal("unavailable", 503))
            answer.headers["retry-after"] = str(RETRY_AFTER_S)
            return answer
        log.error("bug", **describe(error))
        return self._answer(request, Refusal("internal", 500))

    def for_renewal(self, request: Request[Any, Any, Any], _: RenewSession) -> Answer:
        """To routing and back. A GET comes back as a GET; 307 makes the browser bring a form's fields both ways."""
        return self._send_to(request, "/session/renew")

    def for_sign_in(self, request: Request[Any, Any, Any], _: SignInNeeded) -> Answer:
        """To routing's sign-in page, which returns here and keeps a form's fields meanwhile."""
        return self._send_to(request, "/sign-in")

    def _send_to(self, request: Request[Any, Any, Any], path: str) -> Answer:
        if wants_json(request):
            return self._answer(request, Refusal("session_needed", 401))
        status: Literal[303, 307] = 303 if request.method in ("GET", "HEAD") else 307
        return Redirect(path, query_params={"next": _return_path(request)}, status_code=status)

    def _answer(self, request: Request[Any, Any, Any], refusal: Refusal) -> Answer:
        text = self._texts.get(refusal.code, self._texts["bad_request"])
        if wants_json(request):
            with without_readings():
                title, advice = translate(text.title), translate(text.advice)
            problem = {
                "type": f"/problems/{refusal.code}",
                "title": title,
                "detail": advice,
                "status": refusal.status,
                "code": refusal.code,
                **refusal.details,
            }
            wait_s = refusal.details.get("retry_after_s")
            headers = {} if wait_s is None else {"retry-after": str(wait_s)}
            return Response(problem, status_code=refusal.status, media_type="application/problem+json", headers=headers)
        # A path that no route has was refused before its town was looked for.
        parts = parts_of(request.scope)
        town = request.scope["state"].setdefault("town", parts.towns.recall(request.headers.get("host", "")))
        if town is not None:
            set_municipality(town.name_ja)
            set_town_texts(parts.town_texts.recall(town.code))
        return page(
            request,
            "error.html",
            status=refusal.status,
            title=translate(text.title),
            advice=translate(text.advice),
            code=refusal.code,
            details=refusal.details,
            onward_href=text.href,
            onward_link=translate(text.link),
        )


def _return_path(request: Request[Any, Any, Any]) -> str:
    # As the browser sent it: unquoted, a `?` or a letter beyond ASCII would come back as another address.
    path, query = request.scope["raw_path"].decode("ascii", "ignore"), request.scope["query_string"].decode("latin-1")
    return path + (f"?{query}" if query else "")


def wants_json(request: Request[Any, Any, Any]) -> bool:
    """Whether a program asked, rather than a person's browser."""
    # Not `request.url`, which cannot be built from every Host header that a scanner may send.
    segments = request.scope["path"].split("/")
    return "api" in segments[1:3] or request.headers.get("accept", "").startswith(
        ("application/json", "application/problem")
    )


def _is_busy(error: Exception) -> bool:
    if isinstance(error, PoolTimeoutError):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in BUSY_SQLSTATES
    return isinstance(error, ConnectionError | TimeoutError | socket.gaierror)
