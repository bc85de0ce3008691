"""A venue closes: no helper need come, and whoever keeps or takes a time there has somebody asked anew."""

import pytest_asyncio

from tests.booking.closing_town import close, closure_of, offers_of, open_again, run_due
from tests.booking.conftest import TownAfter
from tests.booking.helpers_town import HALL, SUZUKI, TANAKA, HelperTown, open_with_venues


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    return HelperTown(await town_after(open_with_venues))


async def test_its_helper_is_released_and_another_time_is_kept(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book()
    await close(helpers.town, counter=HALL, day=helpers.town.now.date())
    await run_due(helpers.town)
    assert await helpers.states() == {TANAKA: "released"}
    assert await closure_of(helpers.town, booked) == ("booked", "asked")
    # The next Monday: helpers come on Mondays.
    [offer] = await offers_of(helpers.town, booked)
    assert (offer.starts_at - booked.starts_at).days == 7


async def test_reopened_somebody_is_asked_anew(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    await helpers.helper(SUZUKI)
    booked = await helpers.book()
    closing_id = await close(helpers.town, counter=HALL, day=helpers.town.now.date())
    await run_due(helpers.town)
    await open_again(helpers.town, closing_id)
    await run_due(helpers.town)
    assert await helpers.appointment(booked) == ("booked", "asked")
    assert sorted(row.state for row in await helpers.requests()) == ["asked", "released"]
