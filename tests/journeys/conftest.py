"""The whole product as processes, on a database of its own, on a Tuesday morning when the town hall is open."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

import pytest
import pytest_asyncio
import redis

from deploy.local.servers import Servers
from deploy.provision import clone_database, drop_database
from shared.clock import JST
from shared.town_pack import read_town_pack
from tests.conftest import TEMPLATE, TestDatabase, in_database
from tests.journeys.one_process import open_house
from tests.journeys.proxy import Proxy, new_proxy, running
from tests.journeys.switching import Place
from tests.stack import SAMPLE_TOWN, Stack, running_stack

MORNING = datetime(2026, 11, 24, 9, 10, tzinfo=JST)
DATABASE = "choudo_journeys"
JOURNEYS_REDIS_DATABASE = 8


@pytest.fixture(scope="module")
def stack(
    servers: Servers, template_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Front, three workers and the sink."""
    environ, admin_url = fresh_environ(servers, template_environ)
    with running_stack(environ, admin_url, tmp_path_factory.mktemp("journeys"), starts_at=MORNING) as running:
        yield running


@pytest.fixture(scope="module")
def stack_and_proxy(
    servers: Servers, template_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, Proxy]]:
    """Both, on the machine's clock: production has no other."""
    environ, admin_url = fresh_environ(servers, template_environ)
    made = new_proxy(tmp_path_factory.mktemp("proxy"))
    folder = tmp_path_factory.mktemp("apart")
    with running_stack(environ, admin_url, folder, proxied_at=made.url) as stack, running(made, stack.web_ports):
        yield stack, made


@pytest.fixture
def proxy(stack_and_proxy: tuple[Stack, Proxy]) -> Proxy:
    return stack_and_proxy[1]


def fresh_environ(servers: Servers, template_environ: dict[str, str]) -> tuple[dict[str, str], str]:
    """The variables of the processes on a fresh database, and its administrator's URL."""

    async def fresh() -> None:
        await drop_database(servers.database_url, DATABASE)
        await clone_database(servers.database_url, TEMPLATE, DATABASE, template_environ)

    asyncio.run(fresh())
    redis_url = in_database(servers.redis_url, str(JOURNEYS_REDIS_DATABASE))
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    environ = {
        name: in_database(value, DATABASE) if name.endswith("DATABASE_URL") else value
        for name, value in template_environ.items()
    } | {"CHOUDO_REDIS_URL": redis_url}
    return environ, in_database(servers.database_url, DATABASE)


@pytest_asyncio.fixture
async def place(database: TestDatabase) -> AsyncIterator[Place]:
    """The sample town in one process, with a resident, a helper and the desk."""
    pack = read_town_pack(SAMPLE_TOWN)
    async with open_house(database, pack) as house:
        helper = await house.add_helper("tanaka", pack.venues[0].code)
        desk = await house.staff("madoguchi", "counter", "back_office", "manager")
        yield Place(house, house.browser(), desk, helper)
