"""When it is matched again: at once when something changes, and by the clock less and less often."""

from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from services.booking.commands.availability import on_availability_check_due, on_availability_due
from services.booking.commands.skills import tell_skills
from services.booking.domain.help_requests import LOOK_LAST, LOOK_LATEST, next_look, next_plan
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.help_town import HelpTown, open_for_help, wish
from tests.booking.helpers_town import HALL, PHONE_HELP

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 6, 1, 3, tzinfo=UTC)
FAR = NOON + timedelta(days=7)


@pytest_asyncio.fixture
async def helps(town_after: TownAfter) -> HelpTown:
    """A town with one helper."""
    helps = HelpTown(await town_after(open_for_help))
    await helps.helper()
    return helps


@pytest.mark.parametrize(
    ("waited_min", "until", "after_min"),
    [
        (0, FAR, 1),
        (4, FAR, 4),
        (600, FAR, 15),
        (600, NOON + 12 * MINUTE, 7),
        (600, NOON + 3 * MINUTE, 15),
    ],
    ids=["soon", "as long again", "at the latest", "before the deadline", "which is too near"],
)
def test_who_waits_long_is_looked_for_less_often(waited_min: int, until: datetime, after_min: int) -> None:
    since = NOON - waited_min * MINUTE
    assert next_look(waits_since=since, until=until, now=NOON) == NOON + after_min * MINUTE


def test_each_plan_that_fails_doubles_the_time_to_the_next() -> None:
    times = [next_plan(dropped=dropped, until=FAR, now=NOON) - NOON for dropped in (1, 2, 3, 4, 5, 6, 60)]
    assert times == [minutes * MINUTE for minutes in (1, 2, 4, 8, 16, 16, 16)]
    assert next_plan(dropped=9, until=NOON + 10 * MINUTE, now=NOON) == NOON + 10 * MINUTE - LOOK_LAST


async def test_who_cannot_be_matched_is_not_tried_every_minute(helps: HelpTown) -> None:
    """Nobody signs, and nothing changes: in a day it is tried about four times an hour."""
    await helps.ask(wanted=wish(sign_need="needed"))
    begun = helps.town.now
    tries = 0
    while helps.town.now - begun < timedelta(days=1):
        await helps.plan()
        tries += 1
        following = await helps.matched_at()
        assert following is not None
        assert MINUTE <= following - helps.town.now <= LOOK_LATEST
        helps.at(following)
    assert tries <= 24 * 4 + 6
    # The looks at a venue's places, once a minute, ask for nothing.
    before = await helps.matched_at()
    async with helps.town.db.begin(TOWN) as session:
        await on_availability_check_due(session, TOWN, HALL, helps.town.now)
    assert await helps.matched_at() == before


async def test_nobody_waits_and_nothing_is_tried(helps: HelpTown) -> None:
    await helps.ask()
    await helps.match()
    await helps.plan()
    assert await helps.matched_at() is None


async def test_who_tells_what_they_can_do_is_asked_at_once(helps: HelpTown) -> None:
    request_id = await helps.ask(wanted=wish(sign_need="needed"))
    await helps.plan()
    helps.at(helps.town.now + timedelta(hours=2))
    await helps.plan()
    async with helps.town.db.begin(TOWN) as session:
        await tell_skills(session, helps.identity(), topics=[], signs=True, now=helps.town.now)
    assert await helps.matched_at() == helps.town.now
    await helps.match()
    assert await helps.state(request_id) == ("open", True)


async def test_what_changes_at_a_venue_is_matched_within_a_second(helps: HelpTown) -> None:
    await helps.ask(wanted=wish(sign_need="needed"))
    helps.at(helps.town.now + timedelta(hours=2))
    await helps.plan()
    async with helps.town.db.begin(TOWN) as session:
        await on_availability_due(session, TOWN, HALL, helps.town.now)
    assert await helps.matched_at() == helps.town.now + timedelta(seconds=1)


async def test_a_hold_that_runs_out_lets_who_waits_have_the_place(helps: HelpTown) -> None:
    await helps.ask(wanted=wish(sign_need="needed"))
    slot_id = (await helps.town.slots(HALL))[0].slot_id
    visit_id = await helps.town.visit("faster", procedure=PHONE_HELP, channel="helper")
    await helps.town.hold(visit_id, "faster", slot_id)
    held_until = (await helps.town.rows("SELECT max(held_until) AS at FROM booking.place"))[0].at  # type: ignore[attr-defined]
    helps.at(held_until - timedelta(seconds=10))
    await helps.plan()
    for moment, is_asked in ((held_until - timedelta(seconds=1), False), (held_until, True)):
        async with helps.town.db.begin(TOWN) as session:
            await on_availability_check_due(session, TOWN, HALL, moment)
        soon = await helps.matched_at() == moment + timedelta(seconds=1)
        assert soon == is_asked
