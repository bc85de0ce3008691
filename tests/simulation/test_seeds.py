"""More than two hundred seeded days: whatever happens, nothing is lost, nothing done twice, and nothing told wrong.

Whether they can break at all is in `guards`: what the product stands on, and which seed and invariant break without it.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from deploy.local.servers import Servers
from shared.migrations import SERVICES
from tests.conftest import Clones, TestDatabase, in_database
from tests.simulation.driver import digest_of, run
from tests.simulation.house import House
from tests.simulation.seeds import SEEDS, Place, run_side_by_side

pytestmark = pytest.mark.alone
PROCESSES = min(2, os.cpu_count() or 1)


@pytest.fixture
def places(servers: Servers, template_environ: dict[str, str], clones: Clones) -> Iterator[list[Place]]:
    """A database for each process."""
    names = [clones.take() for _ in range(PROCESSES)]
    variables = [f"CHOUDO_{service.upper()}_DATABASE_URL" for service in SERVICES]
    yield [
        (
            in_database(servers.database_url, name),
            template_environ | {variable: in_database(template_environ[variable], name) for variable in variables},
        )
        for name in names
    ]
    for name in names:
        clones.drop(name)


@pytest_asyncio.fixture
async def house(database: TestDatabase) -> AsyncIterator[House]:
    """The services on a database of this test's own."""
    opened = await House.open(database.admin_url, database.environ)
    yield opened
    await opened.close()


def test_nothing_breaks_in_any_of_the_fixed_seeds(places: list[Place]) -> None:
    reports = run_side_by_side(places, SEEDS)
    assert not reports, "\n\n".join(reports)


async def test_a_seed_is_one_history(house: House) -> None:
    """Whatever its ids and keys are, and whichever town it is run in."""
    first, again, other = [digest_of(await run(house, seed)) for seed in (38, 38, 39)]
    assert first == again != other


async def test_a_town_is_nobody_elses(house: House) -> None:
    """§7: a seed in one town leaves every row of another as it was, in all three services."""
    await run(house, 1)
    before = await house.fingerprint()
    await run(house, 2)
    after = await house.fingerprint()
    assert before == {table: after[table] for table in before}
