"""Two hundred seeded days: whatever happens in them, nothing is lost, nothing done twice, and nothing told wrong.

A seed and its invariant that broke with a guard removed; a new action gives the seeds other histories:

- the inbox's claim: 4, `an_event_takes_effect_at_most_once`
- the predicate that a held place is not free: 28, `a_hold_is_kept`; with its trigger left, 28 by the database's refusal
- the predicate that a lapsed hold is free: 51, `a_hold_lapses` was refused
- predicate, trigger and unique index of places: 9, `two_want_the_same_place` both won
- publishing again what has no receipt: 1, `everything_has_arrived`
- publishing what is new whatever the clock says: 38, `nothing_waits_for_long` (a defect that this seed found)
- a projection's version check: 3, `versions_never_go_back`
- the sealer's lock: 33, the chain's own key refused a second entry of that number
- the lease of a notice, and that one in flight is left alone: 16, `what_was_accepted_is_not_tried_again`
- inbox, version check and the notices' unique key together: 27, `a_state_is_told_once`; without one of them nothing
  breaks, because the others stand
- idempotency keys: 3, two tickets for one walk-in

Not seen in fifty seeds: the exclusion of a helper's two appointments (helpers are booked too seldom here), and a due
row that is gone before its work is committed. `tests/booking/test_helpers.py` and `tests/shared/test_messaging_due.py`
are about those.
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
from tests.simulation.seeds import Place, run_side_by_side

pytestmark = pytest.mark.alone

SEEDS = range(1, 201)
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
