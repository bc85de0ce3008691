"""Fixtures for the shared packages: services' databases as their applications use them, and time that obeys."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text

from deploy.cli import main
from shared.db import Database
from shared.messaging.broker import ChoudoBroker, make_broker
from tests.conftest import TestDatabase
from tests.logs import Logged, reading_the_log
from tests.shared.makers import make_stamps

START = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
TOWNS = ("143421", "999999")

MakeDb = Callable[[str], Database]
Run = Callable[..., tuple[int, str]]


class TestClock:
    """A clock that only moves when told to."""

    __test__ = False

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **parts: float) -> None:
        """Move on, as in `pass_time(seconds=15)`."""
        self.now += timedelta(**parts)


@pytest.fixture
def clock() -> TestClock:
    """Time stands still until a test moves it."""
    return TestClock()


@pytest_asyncio.fixture
async def make_db(database: TestDatabase) -> AsyncIterator[MakeDb]:
    """Makes a service's database access, with its application role and a pool of its own."""
    made: list[Database] = []

    def make(service: str) -> Database:
        made.append(Database(database.environ[f"CHOUDO_{service.upper()}_DATABASE_URL"], service=service))
        return made[-1]

    yield make
    for db in made:
        await db.dispose()


@pytest_asyncio.fixture
async def towns(database: TestDatabase) -> tuple[str, ...]:
    """Two towns with their hosts."""
    async with database.admin_engine().begin() as connection:
        for code in TOWNS:
            await connection.execute(
                text("INSERT INTO town.municipality VALUES (:code, :name, :name, :name, :phone)"),
                {"code": code, "name": f"町{code}", "phone": f"0463-{code}"},
            )
            await connection.execute(
                text("INSERT INTO town.host VALUES (:host, :code)"), {"host": f"t{code}.test", "code": code}
            )
    return TOWNS


@pytest.fixture
def broker(redis_url: str) -> ChoudoBroker:
    """The queue, emptied, for what booking publishes."""
    return make_broker(redis_url, make_stamps("booking"))


@pytest.fixture
def logged() -> Iterator[Logged]:
    """The log as processes configure it, read instead of written."""
    with reading_the_log() as logged:
        yield logged


@pytest.fixture
def run(database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `choudo town …`; gives its exit status and what it said."""
    for name, value in database.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", database.admin_url)

    def call(*arguments: object) -> tuple[int, str]:
        status = main(["town", *map(str, arguments)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return call
