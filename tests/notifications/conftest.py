"""The service of a test."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from services.notifications.app import create_app
from tests.conftest import TestDatabase
from tests.notifications.harness import LoopTime, Notifications, running_notifications, sign_in


@pytest_asyncio.fixture
async def service(database: TestDatabase) -> AsyncIterator[Notifications]:
    """Notifications with its catalogue in place."""
    async with running_notifications(database) as running:
        await running.hear(running.catalogue())
        yield running


@pytest_asyncio.fixture
async def loop_time() -> LoopTime:
    """The time of the test's event loop, in the test's hands."""
    return LoopTime()


@pytest_asyncio.fixture
async def client(service: Notifications) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever asks the service over HTTP."""
    app = create_app(service.settings, clock=lambda: service.now, db=service.db)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ninomiya.example.jp") as made:
        yield made


@pytest.fixture
def signed_in(service: Notifications, database: TestDatabase, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Somebody at a counter."""
    return sign_in(service, database, client, roles=("counter",))


@pytest_asyncio.fixture
async def desk(service: Notifications, database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    """A manager, signed in however much time passes."""
    app = create_app(service.settings, clock=lambda: service.now, db=service.db)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ninomiya.example.jp") as client:

        async def show_token(request: httpx.Request) -> None:
            # However much time has passed: a token lives for minutes.
            sign_in(service, database, client, roles=("manager",))
            request.headers.update({name: client.headers[name] for name in ("cookie", "origin")})

        client.event_hooks["request"] = [show_token]
        yield client
