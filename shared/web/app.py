"""Makes a service's web application: the same middleware, errors, health and templates for all three."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.di import Provide
from litestar.exceptions import HTTPException, ServiceUnavailableException
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.routes import HTTPRoute
from litestar.template import TemplateConfig
from litestar.types import ControllerRouterHandler

from shared.clock import Clock, utc_now
from shared.db import Database
from shared.log import describe, get_logger
from shared.timekeeping import is_agreed, wait_for_time
from shared.web.dead_letters import dead_letter_routes
from shared.web.errors import ErrorPages
from shared.web.identity import PUBLIC, RenewSession, SignInNeeded, provide_identity
from shared.web.language import language_route
from shared.web.ledger_proofs import ledger_routes
from shared.web.middleware import AroundRequest, KnowVisitor
from shared.web.openapi import schema_routes
from shared.web.parts import EnterTown, IsSessionEnded, Parts, parts_of
from shared.web.refusals import REFUSALS, RefusalText
from shared.web.static_files import static_router
from shared.web.templating import make_environment
from shared.web.town import Town, TownDirectory
from shared.web.town_texts import TownTextDirectory

log = get_logger(__name__)

FORM_MAX_BYTES = 65_536

Req = Request[Any, Any, Any]


class ServiceRoutes:
    """The routes of a service: declared once, made once in a process, whatever they are to work on.

    Handlers may ask for `db`, `now`, `town`, `secure` and (behind a guard) `identity`, and for what `create_app` names.
    """

    def __init__(
        self,
        *,
        service: str,
        handlers: Sequence[ControllerRouterHandler],
        template_dirs: Sequence[Path],
        refusals: Mapping[str, RefusalText] | None = None,
    ) -> None:
        self.service = service
        self._handlers = handlers
        self._template_dirs = template_dirs
        self._refusals = refusals or {}
        self._made: dict[tuple[bool, frozenset[str]], Litestar] = {}

    def create_app(
        self,
        *,
        db: Database,
        token_public_keys: Sequence[str],
        is_session_ended: IsSessionEnded,
        asked: Mapping[str, Any] | None = None,
        clock: Clock = utc_now,
        default_municipality: str | None = None,
        secure: bool = True,
        enter_town: EnterTown | None = None,
        on_shutdown: Callable[[], Awaitable[None]] | None = None,
    ) -> AroundRequest:
        """The ASGI application: the routes, and what they work on. `asked` is handed to handlers by name.

        `secure` marks cookies and adds HSTS; only `make run` and tests, which speak plain HTTP on one machine, turn it
        off.
        """
        parts = Parts(
            service=self.service,
            db=db,
            clock=clock,
            towns=TownDirectory(db, default_municipality=default_municipality),
            town_texts=TownTextDirectory(db),
            token_public_keys=tuple(token_public_keys),
            is_session_ended=is_session_ended,
            secure=secure,
            asked=asked or {},
            enter_town=enter_town,
            on_shutdown=on_shutdown,
        )
        key = (secure, frozenset(parts.asked))
        if key not in self._made:
            self._made[key] = self._make(secure=secure, asked=parts.asked)
        return AroundRequest(self._made[key], parts)

    def _make(self, *, secure: bool, asked: Iterable[str]) -> Litestar:
        errors = ErrorPages(self._refusals)
        environment = make_environment(*self._template_dirs)
        app = Litestar(
            route_handlers=[
                *self._handlers,
                *_health(self.service),
                *dead_letter_routes(self.service),
                *ledger_routes(self.service),
                *schema_routes(self.service, {**REFUSALS, **self._refusals}, secure=secure),
                language_route(self.service),
                static_router(),
            ],
            middleware=[KnowVisitor],
            exception_handlers={
                RenewSession: errors.for_renewal,
                SignInNeeded: errors.for_sign_in,
                HTTPException: errors.for_http,
                Exception: errors.for_any,
            },
            dependencies={
                "db": Provide(_provide_db, sync_to_thread=False),
                "now": Provide(_provide_now, sync_to_thread=False),
                "town": Provide(_provide_town, sync_to_thread=False),
                "identity": Provide(provide_identity, sync_to_thread=False),
                "secure": Provide(_provide_secure, sync_to_thread=False),
                **{name: Provide(_provide_asked(name), sync_to_thread=False) for name in asked},
            },
            template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment)),
            request_max_body_size=FORM_MAX_BYTES,
            # Ours is made by `shared/web/openapi.py`.
            openapi_config=None,
            logging_config=None,
        )
        _provide_one_by_one(app)
        return app


def _provide_one_by_one(app: Litestar) -> None:
    """Litestar starts a task for each dependency that could wait beside another: 0.15 ms a request for six of them.
    Ours hand over what is there and never wait, so each is a batch of its own, in the same order."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for _, model in route.route_handler_map.values():
                model.dependency_batches = [{one} for batch in model.dependency_batches for one in batch]


def _provide_db(request: Req) -> Database:
    return parts_of(request.scope).db


def _provide_now(request: Req) -> datetime:
    if not is_agreed(parts_of(request.scope).clock):
        raise ServiceUnavailableException
    told: datetime = request.scope["state"]["now"]
    return told


def _provide_secure(request: Req) -> bool:
    return parts_of(request.scope).secure


def _provide_asked(name: str) -> Callable[[Req], Any]:
    def provide(request: Req) -> Any:
        return parts_of(request.scope).asked[name]

    return provide


def _provide_town(request: Req) -> Town:
    town: Town = request.scope["state"]["town"]
    return town


def _health(service: str) -> list[ControllerRouterHandler]:
    prefix = "" if service == "routing" else f"/{service}"

    @get(["/healthz", f"{prefix}/healthz"] if prefix else "/healthz", opt=PUBLIC, media_type=MediaType.TEXT)
    async def healthz() -> str:
        return "ok"

    @get(["/readyz", f"{prefix}/readyz"] if prefix else "/readyz", opt=PUBLIC, media_type=MediaType.TEXT)
    async def readyz(request: Req) -> Response[str]:
        parts = parts_of(request.scope)
        try:
            await parts.db.ping()
            if not is_agreed(parts.clock):
                await wait_for_time(parts.db, parts.clock)
        except Exception as error:  # noqa: BLE001 - whatever it is, this process cannot serve now
            log.warning("not_ready", **describe(error))
            return Response("not ready", status_code=503, media_type=MediaType.TEXT)
        return Response("ready", media_type=MediaType.TEXT)

    return [healthz, readyz]
