"""The three services' web applications in one process behind one URL: `make run`, tests and trials.

In production each service runs by itself (`python -m deploy.front --only booking`), behind a proxy with these prefixes.
"""

import argparse
import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from types import FrameType
from typing import Any

import uvicorn

from services.booking.app import create_app as create_booking
from services.booking.settings import load_settings as load_booking
from services.notifications.app import create_app as create_notifications
from services.notifications.settings import load_settings as load_notifications
from services.routing.app import create_app as create_routing
from services.routing.settings import load_settings as load_routing
from shared.clock import clock_from
from shared.log import configure_logging
from shared.stopping import end_in_time
from shared.telemetry import serve_metrics
from shared.web.lifespan import live
from shared.web.middleware import AroundRequest
from shared.web.prefixes import service_for

DEFAULT_PORT = 8000
# For requests in hand; what is left of `STOP_WITHIN_S` is for closing the applications, one after the other.
GRACEFUL_STOP_S = 10
KEEP_ALIVE_S = 30
BACKLOG = 2_048

MAKERS: dict[str, Callable[[Mapping[str, str]], AroundRequest]] = {
    "routing": lambda environ: create_routing(load_routing(environ), clock=clock_from(environ)),
    "booking": lambda environ: create_booking(load_booking(environ), clock=clock_from(environ)),
    "notifications": lambda environ: create_notifications(load_notifications(environ), clock=clock_from(environ)),
}


class Front:
    """Sends each request to the service whose prefix it has, and starts and stops all of them together."""

    def __init__(self, apps: Mapping[str, AroundRequest]) -> None:
        self._apps = apps

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(self._run(), receive, send)
        else:
            await self._apps[service_for(scope["path"])](scope, receive, send)

    @contextlib.asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for app in self._apps.values():
                await stack.enter_async_context(app.parts.run())
            yield


def create_front(environ: Mapping[str, str]) -> Front:
    """All three applications, from the environment."""
    return Front({service: make(environ) for service, make in MAKERS.items()})


class _Server(uvicorn.Server):
    """Ends in time, whatever the database does; and with status 0, where uvicorn's own dies of the signal after all."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.should_exit:
            self.force_exit = sig == signal.SIGINT
        else:
            self.should_exit = True
            end_in_time()


def make_server(app: AroundRequest | Front, *, host: str, port: int) -> uvicorn.Server:
    """The HTTP server as production runs it."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_STOP_S,
        access_log=False,
        log_config=None,
        server_header=False,
        # The proxy tells the visitor's address and scheme; without one nobody is believed.
        proxy_headers="CHOUDO_PROXY_ADDRESS" in os.environ,
        forwarded_allow_ips=os.environ.get("CHOUDO_PROXY_ADDRESS"),
    )
    return _Server(config)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="deploy.front", description=__doc__)
    parser.add_argument("--only", choices=sorted(MAKERS), help="serve one service instead of all three")
    parser.add_argument("--host", default=os.environ.get("CHOUDO_HOST", "127.0.0.1"))
    arguments = parser.parse_args()
    configure_logging(arguments.only or "front")
    serve_metrics(os.environ.get("CHOUDO_METRICS_ADDRESS"))
    app: AroundRequest | Front = MAKERS[arguments.only](os.environ) if arguments.only else create_front(os.environ)
    # What the applications are made of stays until the end: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    make_server(app, host=arguments.host, port=int(os.environ.get("CHOUDO_PORT", DEFAULT_PORT))).run()


if __name__ == "__main__":
    main()
