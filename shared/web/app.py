"""Makes a service's web application: the same middleware, errors, health and templates for all three."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.di import Provide
from litestar.exceptions import HTTPException, ServiceUnavailableException
from litestar.middleware import DefineMiddleware
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.routes import HTTPRoute
from litestar.template import TemplateConfig
from litestar.types import ControllerRouterHandler

from shared.clock import Clock, utc_now
from shared.db import Database
from shared.log import describe, get_logger
from shared.timekeeping import agree_on_time, is_agreed, keep_time, wait_for_time
from shared.web.dead_letters import dead_letter_routes
from shared.web.errors import ErrorPages
from shared.web.identity import PUBLIC, RenewSession, SignInNeeded, provide_identity
from shared.web.language import language_route
from shared.web.ledger_proofs import ledger_routes
from shared.web.middleware import AroundRequest, EnterTown, IsSessionEnded, KnowVisitor
from shared.web.openapi import schema_routes
from shared.web.refusals import REFUSALS, RefusalText
from shared.web.static_files import static_router
from shared.web.templating import make_environment
from shared.web.town import Town, TownDirectory
from shared.web.town_texts import TownTextDirectory

log = get_logger(__name__)

FORM_MAX_BYTES = 65_536


def create_service_app(
    *,
    service: str,
    db: Database,
    route_handlers: Sequence[ControllerRouterHandler],
    template_dirs: Sequence[Path],
    token_public_keys: list[str],
    is_session_ended: Callable[[Database, str, str], Awaitable[bool]],
    refusals: Mapping[str, RefusalText] | None = None,
    dependencies: Mapping[str, Provide] | None = None,
    clock: Clock = utc_now,
    default_municipality: str | None = None,
    secure: bool = True,
    readiness: Callable[[], Awaitable[None]] | None = None,
    on_shutdown: Callable[[], Awaitable[None]] | None = None,
    enter_town: EnterTown | None = None,
) -> AroundRequest:
    """The ASGI application of a service. Handlers may ask for `db`, `now`, `town` and (behind a guard) `identity`.

    `secure` marks cookies and adds HSTS; only `make run` and tests, which speak plain HTTP on one machine, turn it off.
    `enter_town` is told the municipality before each request of one, for what stands around it beside the town's texts.
    """

    towns = TownDirectory(db, default_municipality=default_municipality)
    town_texts = TownTextDirectory(db)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await towns.prepare()
        await agree_on_time(db, clock)
        keeping = asyncio.create_task(keep_time(db, clock))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        if on_shutdown is not None:
            await on_shutdown()
        await db.dispose()

    async def ended(municipality: str, session_id: str) -> bool:
        return await is_session_ended(db, municipality, session_id)

    checked: IsSessionEnded = ended
    errors = ErrorPages(refusals or {}, towns, town_texts)

    def now(request: Request[Any, Any, Any]) -> datetime:
        if not is_agreed(clock):
            raise ServiceUnavailableException
        told: datetime = request.scope["state"]["now"]
        return told

    async def is_ready() -> None:
        if not is_agreed(clock):
            await wait_for_time(db, clock)
        if readiness is not None:
            await readiness()

    app = Litestar(
        route_handlers=[
            *route_handlers,
            *_health(db, is_ready),
            *dead_letter_routes(service),
            *ledger_routes(service),
            *schema_routes(service, {**REFUSALS, **(refusals or {})}, secure=secure),
            language_route(service),
            static_router(),
        ],
        middleware=[
            DefineMiddleware(
                KnowVisitor,
                towns=towns,
                town_texts=town_texts,
                token_public_keys=token_public_keys,
                is_session_ended=checked,
                secure=secure,
                enter_town=enter_town,
            )
        ],
        exception_handlers={
            RenewSession: errors.for_renewal,
            SignInNeeded: errors.for_sign_in,
            HTTPException: errors.for_http,
            Exception: errors.for_any,
        },
        dependencies={
            "db": Provide(lambda: db, sync_to_thread=False),
            "now": Provide(now, sync_to_thread=False),
            "town": Provide(_provide_town, sync_to_thread=False),
            "identity": Provide(provide_identity, sync_to_thread=False),
            "secure": Provide(lambda: secure, sync_to_thread=False),
            **(dependencies or {}),
        },
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(make_environment(*template_dirs))),
        lifespan=[lifespan],
        request_max_body_size=FORM_MAX_BYTES,
        # Ours is made by `shared/web/openapi.py`.
        openapi_config=None,
        logging_config=None,
    )
    _provide_one_by_one(app)
    return AroundRequest(app, service=service, clock=clock, secure=secure)


def _provide_one_by_one(app: Litestar) -> None:
    """Litestar starts a task for each dependency that could wait beside another: 0.15 ms a request for six of them.
    Ours hand over what is there and never wait, so each is a batch of its own, in the same order."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for _, model in route.route_handler_map.values():
                model.dependency_batches = [{one} for batch in model.dependency_batches for one in batch]


def _provide_town(request: Request[Any, Any, Any]) -> Town:
    town: Town = request.scope["state"]["town"]
    return town


def _health(db: Database, is_ready: Callable[[], Awaitable[None]]) -> list[ControllerRouterHandler]:
    prefix = "" if db.service == "routing" else f"/{db.service}"

    @get(["/healthz", f"{prefix}/healthz"] if prefix else "/healthz", opt=PUBLIC, media_type=MediaType.TEXT)
    async def healthz() -> str:
        return "ok"

    @get(["/readyz", f"{prefix}/readyz"] if prefix else "/readyz", opt=PUBLIC, media_type=MediaType.TEXT)
    async def readyz() -> Response[str]:
        try:
            await db.ping()
            await is_ready()
        except Exception as error:  # noqa: BLE001 - whatever it is, this process cannot serve now
            log.warning("not_ready", **describe(error))
            return Response("not ready", status_code=503, media_type=MediaType.TEXT)
        return Response("ready", media_type=MediaType.TEXT)

    return [healthz, readyz]
