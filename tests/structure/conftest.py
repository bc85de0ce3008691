"""What the rules are checked against: the three applications as they are served, without a server."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from deploy.front import MAKERS
from deploy.secrets import load_environment


class Route(msgspec.Struct, frozen=True):
    """One way into a service."""

    service: str
    method: str
    path: str
    handler: HTTPRouteHandler

    @property
    def answer(self) -> Any:
        """What its function says that it returns."""
        return self.handler.parsed_fn_signature.return_type.annotation

    @property
    def name(self) -> str:
        """For a list: `booking GET /counter`."""
        return f"{self.service} {self.method} {self.path}"


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Everything that the processes need to start; nobody listens at these addresses."""
    nowhere = "127.0.0.1:9"
    made = load_environment(
        tmp_path_factory.mktemp("secrets"),
        database_url=f"postgresql://postgres:x@{nowhere}/choudo",
        redis_url=f"redis://{nowhere}/0",
        environ={},
    )
    return made | {
        "CHOUDO_ENVIRONMENT": "local",
        "CHOUDO_SMTP_URL": f"smtp://{nowhere}",
        "CHOUDO_SMS_GATEWAY_URL": f"http://{nowhere}/sms",
    }


@pytest.fixture(scope="session")
def apps(environ: dict[str, str]) -> dict[str, Litestar]:
    """The applications, by service."""
    made: dict[str, Any] = {service: make(environ) for service, make in MAKERS.items()}
    return {service: app.litestar for service, app in made.items()}


@pytest.fixture(scope="session")
def routes(apps: dict[str, Litestar]) -> list[Route]:
    """Every route of every service, but for OPTIONS, which Litestar answers itself."""
    return sorted(_routes(apps), key=lambda route: route.name)


def _routes(apps: dict[str, Litestar]) -> Iterator[Route]:
    for service, app in apps.items():
        for route in app.routes:
            if not isinstance(route, HTTPRoute):
                raise TypeError(f"{service} {route.path}: neither guarded nor listed here, so not allowed")
            for handler in route.route_handlers:
                for method in handler.http_methods - {"OPTIONS"}:
                    yield Route(service, str(method), route.path_format, handler)
