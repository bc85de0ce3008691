"""Routing on a real database: two towns with a catalogue, the application, and visitors with a browser's cookies."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from deploy.local.servers import Servers
from services.routing.app import create_app
from services.routing.commands.catalogue import publish_catalogue
from services.routing.keys import Keys, make_keys
from services.routing.settings import Settings, load_settings
from shared.db import Database
from shared.web.middleware import AroundRequest
from tests.conftest import Beginnings, TestDatabase, own_database
from tests.routing.makers import HOST, NOW, OTHER_HOST, OTHER_TOWN, TOWN, make_pack, new_key

SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


class TestClock:
    """A clock that stands still until it is moved."""

    __test__ = False

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, step: timedelta) -> None:
        self.now += step


async def publish_in_two_towns(database: TestDatabase) -> None:
    """Two towns, each with the same small catalogue."""
    towns = ((TOWN, HOST), (OTHER_TOWN, OTHER_HOST))
    async with database.admin_engine().begin() as connection:
        for code, host in towns:
            await connection.execute(
                text(
                    "INSERT INTO town.municipality (code, name_ja, name_kana, name_en) VALUES (:c, '町', 'マチ', 'T')"
                ),
                {"c": code},
            )
            await connection.execute(
                text("INSERT INTO town.host (host, municipality) VALUES (:h, :c)"), {"h": host, "c": code}
            )
    opened = Database(load_settings(database.environ).database_url, service="routing", pool_size=4)
    for code, host in towns:
        async with opened.begin(code) as session:
            await publish_catalogue(session, make_pack(code, host=host), public_url=f"http://{host}", now=NOW)
    await opened.dispose()


@pytest_asyncio.fixture
async def database(
    servers: Servers, template_environ: dict[str, str], beginnings: Beginnings, redis_url: str
) -> AsyncIterator[TestDatabase]:
    """A database of this test's own, in which two towns have a catalogue."""
    clones = await beginnings.after(publish_in_two_towns)
    async with own_database(servers, template_environ, clones) as clone:
        yield clone


@pytest.fixture
def settings(database: TestDatabase) -> Settings:
    return load_settings(database.environ)


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return make_keys(settings)


@pytest_asyncio.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    """Routing's access to its database."""
    opened = Database(settings.database_url, service="routing", pool_size=8)
    yield opened
    await opened.dispose()


@pytest.fixture
def clock() -> TestClock:
    return TestClock(NOW)


@pytest.fixture
def app(settings: Settings, clock: TestClock, db: Database) -> AroundRequest:
    return create_app(settings, clock=clock, db=db)


class Visitor:
    """A browser: keeps cookies, sends where a form came from, and follows nothing by itself."""

    def __init__(self, app: AroundRequest, host: str = HOST, client: str = "127.0.0.1") -> None:
        transport = httpx.ASGITransport(app=app, client=(client, 123))
        self.http = httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=SAME_ORIGIN)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(path, **more)

    async def post(self, path: str, data: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return await self.http.post(path, data=data or {}, **more)

    async def open_case(self, procedure: str = "CHI02", channel: str = "counter", behalf: str = "") -> str:
        """Begin a procedure by a channel (staff: for somebody by phone or at the desk); return the case's path."""
        path = f"/office/behalf/{procedure}" if behalf else "/cases"
        fields = {"procedure": procedure, "channel": channel, "behalf": behalf, "idempotency_key": new_key()}
        answer = await self.post(path, fields)
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
        return "/".join(answer.headers["location"].split("/")[:3])

    async def tell(self, case: str, **fields: str) -> httpx.Response:
        """Fill in the form about oneself."""
        return await self.post(
            f"{case}/you", {"name": "", "kana": "", "reach": "none", "email": "", "phone": "", **fields}
        )


@pytest_asyncio.fixture
async def new_visitor(app: AroundRequest) -> AsyncIterator[Callable[..., Visitor]]:
    """Makes visitors, each with a browser of their own."""
    visitors: list[Visitor] = []

    def make(host: str = HOST, client: str = "127.0.0.1") -> Visitor:
        visitors.append(Visitor(app, host, client))
        return visitors[-1]

    yield make
    for visitor in visitors:
        await visitor.http.aclose()


@pytest.fixture
def visitor(new_visitor: Callable[..., Visitor]) -> Visitor:
    return new_visitor()
