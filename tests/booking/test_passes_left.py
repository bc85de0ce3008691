"""A pass that was made before its case went on by another channel books nothing any more."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from services.booking.commands.tidying import tidy_up
from services.booking.consumers import make_handlers
from shared.events.routing import CaseChannel, CaseSwitched
from tests.booking.conftest import TOWN, BookingTown
from tests.booking.test_api import problem

SEE_OTHER = httpx.codes.SEE_OTHER
# Long enough that whoever does not wait is done.
WAITS_S = 0.5
SECOND = timedelta(seconds=1)


def switched(town: BookingTown, case_id: UUID, channel: CaseChannel, *, ago: timedelta = timedelta(0)) -> CaseSwitched:
    """What routing tells."""
    return CaseSwitched(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(case_id),
        aggregate_version=5,
        occurred_at=town.now - ago,
        case_id=case_id,
        channel=channel,
        is_settled=False,
    )


async def switch(town: BookingTown, case_id: UUID, channel: CaseChannel, *, ago: timedelta = timedelta(0)) -> None:
    """As booking's consumer hears it."""
    async with town.db.begin(TOWN) as session:
        await make_handlers(town.keys)[CaseSwitched](session, switched(town, case_id, channel, ago=ago), now=town.now)


async def bring(town: BookingTown, case_id: UUID, **changes: object) -> httpx.Response:
    sealed = town.seal(town.make_pass("guest", case_id=case_id, **changes))
    async with town.browser() as browser:
        return await browser.post("/booking/arrive", data={"pass": sealed})


@pytest.mark.parametrize("to", ["helper", "online"])
@pytest.mark.parametrize(("issued_after", "is_good"), [(timedelta(0), False), (SECOND, True)])
async def test_a_pass_from_before_leads_back_to_its_case_and_one_from_after_books(
    town: BookingTown, to: CaseChannel, issued_after: timedelta, is_good: bool
) -> None:
    """To the moment. Seen to fail without `_LEFT`: for a quarter of an hour it booked what the person had left."""
    case_id, issued_at = uuid4(), town.now + issued_after
    await switch(town, case_id, to)
    town.now += timedelta(minutes=1)
    answer = await bring(town, case_id, issued_at=issued_at)
    assert answer.status_code == SEE_OTHER
    assert (answer.headers["location"] == f"/cases/{case_id}/pass?late=1") is not is_good
    assert len(await town.rows("SELECT 1 FROM booking.visit")) == is_good
    async with town.browser() as browser:
        sealed = town.seal(town.make_pass("guest", case_id=case_id, issued_at=issued_at))
        answer = await browser.post("/booking/api/visits", json={"pass": sealed})
    assert is_good or problem(answer) == (httpx.codes.GONE, "pass_expired")


async def test_back_again_a_pass_for_the_counter_is_good_and_what_comes_late_takes_nothing_back(
    town: BookingTown,
) -> None:
    """Seen to fail when the last that is heard counts, not the last that happened."""
    case_id, issued_at = uuid4(), town.now - timedelta(minutes=3)
    await switch(town, case_id, "counter", ago=SECOND)
    await switch(town, case_id, "helper", ago=timedelta(minutes=2))
    assert "/booking/visits/" in (await bring(town, case_id, issued_at=issued_at)).headers["location"]


async def test_brought_in_the_moment_of_the_switch_it_books_nothing(town: BookingTown) -> None:
    """Seen to fail without `stay_alone` in `follow_switch`: it was opened beside it, and stayed."""
    case_id, issued_at = uuid4(), town.now
    async with town.db.begin(TOWN) as session:
        await make_handlers(town.keys)[CaseSwitched](session, switched(town, case_id, "helper"), now=town.now)
        bringing = asyncio.create_task(bring(town, case_id, issued_at=issued_at))
        await asyncio.sleep(WAITS_S)
    assert (await bringing).headers["location"] == f"/cases/{case_id}/pass?late=1"
    assert await town.rows("SELECT 1 FROM booking.visit WHERE draft_sealed IS NOT NULL") == []


async def test_once_no_pass_from_before_can_come_it_is_forgotten(town: BookingTown) -> None:
    await switch(town, uuid4(), "helper")
    for left, later in ((1, timedelta(days=1)), (0, timedelta(days=2))):
        town.now += later
        async with town.db.begin(TOWN) as session:
            await tidy_up(session, TOWN, now=town.now)
        assert len(await town.rows("SELECT 1 FROM booking.case_switched")) == left
