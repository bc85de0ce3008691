"""Two hundred seeded days: whatever happens in them, nothing is lost, nothing is done twice, and nothing is told wrong."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import TestDatabase
from tests.simulation.driver import House

SEEDS = 200
AT_ONCE = 25


@pytest_asyncio.fixture
async def house(database: TestDatabase) -> AsyncIterator[House]:
    """The services on a database of this test's own."""
    opened = await House.open(database.admin_url, database.environ)
    yield opened
    await opened.close()


@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
async def test_nothing_breaks_in_any_of_the_fixed_seeds(house: House, first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        await house.run(seed)


async def test_a_seed_is_one_history(house: House) -> None:
    assert await house.run(4) == await house.run(4) != await house.run(5)
