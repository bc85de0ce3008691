"""Real servers for the whole session, and a database of its own for every test that asks for one.

The template is provisioned and migrated once; a test gets a clone of it, which was made while the test before ran, and
an emptied Redis database. ``DATABASE_URL`` and ``REDIS_URL`` are used when given, else the embedded servers start in a
temporary folder. Of several processes (``-n auto``, as ``make test`` does) each has servers of its own: they start in
two seconds.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest
import pytest_asyncio
import redis
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from deploy.local.servers import Servers, embedded_servers
from deploy.provision import clone_database, drop_database, provision
from deploy.secrets import load_environment
from shared.migrations import SERVICES
from tests.memory import folder_in_memory
from tests.quick import quick_logins_to_the_database, quick_passwords, set_password_again, statements_compiled_once
from tests.turns import turn

TEMPLATE = "choudo_test"
# Never number 0: a server that was given may hold somebody's data there.
REDIS_DATABASE = 15
# Nobody listens there: a test that sends brings its own receiver.
NOWHERE = "127.0.0.1:9"
# Each has servers of its own, and all of them the room in memory.
MOST_PROCESSES = 4

T = TypeVar("T")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto` means. Servers that were given have one place for a template: then it is one."""
    return 0 if {"DATABASE_URL", "REDIS_URL"} & os.environ.keys() else min(MOST_PROCESSES, os.cpu_count() or 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs alone comes last, when nobody has anything else to do. Shared out, a file stays together."""
    items.sort(key=_is_alone)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Of several processes, let one run alone what asks for it."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with turn(Path(item.config.getoption("basetemp")).parent, alone=_is_alone(item)):
        return (yield)


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@dataclass
class TestDatabase:
    """A clone of the template, with everything a process needs to work on it."""

    __test__ = False

    name: str
    admin_url: str
    environ: dict[str, str]
    _engines: dict[str, AsyncEngine] = field(default_factory=dict)

    def engine(self, service: str) -> AsyncEngine:
        """An engine as the service's application role. It is disposed of after the test."""
        return self._engine(f"CHOUDO_{service.upper()}_DATABASE_URL")

    def owner_engine(self, service: str) -> AsyncEngine:
        """An engine as the owner of the service's schema, whom row-level security does not bind."""
        return self._engine(f"CHOUDO_{service.upper()}_OWNER_DATABASE_URL")

    def admin_engine(self) -> AsyncEngine:
        """An engine as the administrator, for what no service may do."""
        return self._engine("DATABASE_URL")

    def _engine(self, variable: str) -> AsyncEngine:
        if variable not in self._engines:
            url = self.admin_url if variable == "DATABASE_URL" else self.environ[variable]
            url = url.replace("postgresql://", "postgresql+asyncpg://", 1)
            self._engines[variable] = create_async_engine(url, poolclass=NullPool)
        return self._engines[variable]

    async def dispose(self) -> None:
        """Close every connection of the engines made here."""
        for engine in self._engines.values():
            await engine.dispose()


Happening = Callable[[TestDatabase], Awaitable[None]]


def in_database(url: str, name: str) -> str:
    """The same server, role and password with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """What no test is about costs little."""
    with quick_passwords(), statements_compiled_once():
        yield


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and the Redis-compatible server."""
    with folder_in_memory() as folder, embedded_servers(folder, durable=False, environ=os.environ) as running:
        yield running


@pytest.fixture(scope="session")
def template_environ(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The template database, provisioned and migrated; the variables of the processes that would work on it."""
    environ = load_environment(
        tmp_path_factory.mktemp("secrets"),
        database_url=servers.database_url,
        redis_url=in_database(servers.redis_url, str(REDIS_DATABASE)),
        environ={},
        database=TEMPLATE,
    )

    async def make() -> None:
        if servers.postgres:
            await set_password_again(servers.database_url)
        await drop_database(servers.database_url, TEMPLATE)
        await provision(servers.database_url, environ)

    with quick_logins_to_the_database():
        asyncio.run(make())
    return environ | {
        "CHOUDO_ENVIRONMENT": "local",
        "CHOUDO_SMTP_URL": f"smtp://{NOWHERE}",
        "CHOUDO_SMS_GATEWAY_URL": f"http://{NOWHERE}/sms",
    }


class Clones:
    """Clones of the template, the next one always under way: a copy takes as long as many a test."""

    def __init__(self, admin_url: str, environ: dict[str, str], template: str = TEMPLATE) -> None:
        self._admin_url = admin_url
        self._environ = environ
        self._template = template
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._next = self._make()
        self._dropped: list[Future[None]] = []

    def take(self) -> str:
        """The name of a clone that nobody has touched."""
        name = self._next.result()
        self._next = self._make()
        return name

    def drop(self, name: str) -> None:
        """Drop a clone with everybody in it, soon."""
        self._dropped.append(self._run(drop_database(self._admin_url, name)))

    def close(self) -> None:
        """Wait for everything; raise what went wrong."""
        self.drop(self._next.result())
        self._thread.shutdown()
        for future in self._dropped:
            future.result()

    def _make(self) -> Future[str]:
        async def make() -> str:
            name = f"{TEMPLATE}_{secrets.token_hex(6)}"
            await clone_database(self._admin_url, self._template, name, self._environ)
            return name

        return self._run(make())

    def _run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return self._thread.submit(asyncio.run, work)


@pytest.fixture(scope="session")
def clones(servers: Servers, template_environ: dict[str, str]) -> Iterator[Clones]:
    """Where tests get their databases from."""
    made = Clones(servers.database_url, template_environ)
    yield made
    made.close()


class Beginnings:
    """Where tests get databases from in which something has happened already. It happens once in a process."""

    def __init__(self, servers: Servers, environ: dict[str, str], clones: Clones) -> None:
        self._servers = servers
        self._environ = environ
        self._clones = clones
        self._after: dict[Happening, tuple[str, Clones]] = {}

    async def after(self, happening: Happening) -> Clones:
        """Clones of a database in which this happened, and nothing else. It is the same function every time."""
        if happening not in self._after:
            name = self._clones.take()
            database = at_database(self._servers, self._environ, name)
            await happening(database)
            await database.dispose()
            self._after[happening] = name, Clones(self._servers.database_url, self._environ, name)
        return self._after[happening][1]

    def close(self) -> None:
        """Wait for everything; raise what went wrong."""
        for name, clones in self._after.values():
            clones.close()
            self._clones.drop(name)


@pytest.fixture(scope="session")
def beginnings(servers: Servers, template_environ: dict[str, str], clones: Clones) -> Iterator[Beginnings]:
    """Where tests get their databases from that begin with the same."""
    made = Beginnings(servers, template_environ, clones)
    yield made
    made.close()


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """An empty Redis database."""
    url = in_database(servers.redis_url, str(REDIS_DATABASE))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@asynccontextmanager
async def own_database(
    servers: Servers, template_environ: dict[str, str], clones: Clones
) -> AsyncIterator[TestDatabase]:
    """A database that is nobody else's: migrated, empty, dropped afterwards."""
    clone = at_database(servers, template_environ, clones.take())
    try:
        yield clone
    finally:
        await clone.dispose()
        clones.drop(clone.name)


def at_database(servers: Servers, template_environ: dict[str, str], name: str) -> TestDatabase:
    """What a process needs to work on the database of this name."""
    environ = dict(template_environ)
    for service in SERVICES:
        for variable in (f"CHOUDO_{service.upper()}_DATABASE_URL", f"CHOUDO_{service.upper()}_OWNER_DATABASE_URL"):
            environ[variable] = in_database(environ[variable], name)
    return TestDatabase(name=name, admin_url=in_database(servers.database_url, name), environ=environ)


@pytest_asyncio.fixture
async def bare_database(
    servers: Servers, template_environ: dict[str, str], clones: Clones, redis_url: str
) -> AsyncIterator[TestDatabase]:
    """A database of this test's own in which there is nothing yet, and an empty Redis."""
    async with own_database(servers, template_environ, clones) as clone:
        yield clone


@pytest.fixture
def database(bare_database: TestDatabase) -> TestDatabase:
    """A database of this test's own. Where all begin with the same, it is there already (`Beginnings`)."""
    return bare_database


@pytest.fixture(scope="session")
def root_dir() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent
