"""What the database calls a fit is what the plain rule calls one; and helpers' times, and people who are erased."""

import random
from datetime import timedelta

import pytest
import pytest_asyncio

from services.booking.commands.assignments import reassign
from services.booking.commands.erasure import erase_subject
from services.booking.commands.line import MoveAlong, move_along
from services.booking.domain.line import Action
from services.booking.domain.waitlist import PARTS, Window
from services.booking.queries.waitlist import count_waiting, find_window
from shared.clock import jst_day
from tests.booking.closing_town import MANAGER, book_on, offers_of, told
from tests.booking.conftest import TOWN, BookingTown, TownAfter
from tests.booking.helpers_town import SUZUKI, TANAKA, HelperTown
from tests.booking.waiting_town import (
    FRIDAY,
    THURSDAY,
    TUESDAY,
    book_at,
    cancel,
    look,
    move,
    on_list,
    open_small,
    settle,
    slot_at,
    states_of,
    wait,
    waiters,
)

SEEDS = range(6)
NEXT_WEEK = timedelta(days=7)


@pytest_asyncio.fixture
async def small(town_after: TownAfter) -> BookingTown:
    return await town_after(open_small)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_database_and_the_rule_agree_about_what_fits(small: BookingTown, seed: int) -> None:
    """Everything is free: each is offered the earliest of theirs, by the plain rule, that nobody before them has."""
    chance = random.Random(seed)
    people = [
        await book_at(small, f"p{part}{day}", day + NEXT_WEEK, part)
        for day in (THURSDAY, FRIDAY)
        for part in ("morning", "afternoon")
    ]
    windows = []
    for each in people:
        first = TUESDAY + timedelta(days=chance.randrange(6))
        window = Window(
            first_day=first,
            last_day=first + timedelta(days=chance.randrange(3)),
            weekdays=tuple(sorted(chance.sample(range(1, 8), chance.randrange(1, 8)))),
            part=chance.choice(PARTS),  # type: ignore[arg-type]
            counter=chance.choice((None, "7")),
        )
        windows.append(window)
        await wait(
            small, each, first=window.first_day, last=window.last_day, weekdays=window.weekdays, part=window.part,
            counter=window.counter,
        )  # fmt: skip
    free = [slot for slot in await small.slots("7") if slot.free]
    await look(small)
    for each, window in zip(people, windows, strict=True):
        fitting = [slot for slot in free if window.fits("7", slot.starts_at)]
        offered = [offer.slot_id for offer in await offers_of(small, each)]
        assert offered == [slot.slot_id for slot in fitting[:1]], (seed, window)
        free = [slot for slot in free if slot.slot_id not in offered]


async def test_a_helpers_earlier_time_is_offered_as_well(bare_town: BookingTown) -> None:
    helpers = HelperTown(bare_town)
    await helpers.open()
    await helpers.helper()
    taken = await helpers.book("x", slot=2)
    own = await helpers.book("a", slot=2)
    first = jst_day(bare_town.now) + NEXT_WEEK
    await wait(bare_town, own, first=first, last=first)
    await settle(bare_town)
    assert await states_of(bare_town, own) == []
    await cancel(bare_town, taken)
    await settle(bare_town)
    [offer] = await offers_of(bare_town, own)
    await move(bare_town, own, offer.slot_id)
    rows = await bare_town.rows("SELECT helper, starts_at FROM booking.appointment WHERE guest_ref = 'a'")
    assert [tuple(row) for row in rows] == [("asked", offer.starts_at)]  # type: ignore[arg-type]


@pytest.mark.parametrize("deed", ["accepted", "passed on", "asked by a coordinator"])
async def test_what_a_helper_does_takes_no_earlier_time_from_them(bare_town: BookingTown, deed: str) -> None:
    """What is kept is told with it. Seen to fail (nothing is kept, for all that others know) without telling it."""
    helpers = HelperTown(bare_town)
    await helpers.open()
    await helpers.helper()
    own = await helpers.book("a", slot=2)
    first = jst_day(bare_town.now) + NEXT_WEEK
    await wait(bare_town, own, first=first - NEXT_WEEK, last=first)
    await settle(bare_town)
    [offer] = await offers_of(bare_town, own)
    assert offer.state == "open"
    await helpers.helper(SUZUKI)
    if deed == "accepted":
        await helpers.answer(TANAKA, "accept")
    elif deed == "passed on":
        await helpers.answer(TANAKA, "accept")
        await helpers.answer(TANAKA, "decline")
    else:
        [request] = await helpers.requests(TANAKA)
        async with bare_town.db.begin(TOWN) as session:
            await reassign(session, helpers.identity("boss"), request.assignment_id, SUZUKI, now=bare_town.now)
    kept = [offered for name, _, offered, _ in await told(bare_town, own) if name == "progressed"]
    assert kept == [offer.starts_at] * (3 if deed == "passed on" else 2)
    await settle(bare_town, minutes=31)
    assert (await told(bare_town, own))[-1][2] is None


async def test_a_check_in_that_is_undone_leaves_what_was_kept(town: BookingTown) -> None:
    """Seen to fail (nothing is kept, for all that others know) without telling it."""
    today = jst_day(town.now)
    own = await book_on(town, "a", day=today, slot=-1)
    await wait(town, own, first=today, last=today)
    await look(town)
    [offer] = await offers_of(town, own)
    actions: tuple[Action, ...] = ("check-in", "undo")
    for version, action in enumerate(actions, 2):
        order = MoveAlong(appointment_id=own.appointment_id, action=action, version=version)
        async with town.db.begin(TOWN) as session:
            await move_along(session, MANAGER, order, now=town.now)
    assert [kept for _, _, kept, _ in await told(town, own)][-3:] == [offer.starts_at, None, offer.starts_at]


async def test_nothing_of_an_erased_person_waits_or_is_kept(small: BookingTown) -> None:
    morning = await book_at(small, "x", TUESDAY)
    await book_at(small, "y", TUESDAY, "afternoon")
    first, second = await waiters(small, "a", "b")
    await cancel(small, morning)
    await settle(small)
    rows = await small.rows(
        "SELECT subject_ref FROM booking.appointment WHERE appointment_id = :id", id=first.appointment_id
    )
    async with small.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, rows[0].subject_ref, "resident", now=small.now)  # type: ignore[attr-defined]
    assert await on_list(small) == [second.appointment_id]
    await settle(small)
    assert [await states_of(small, each) for each in (first, second)] == [["withdrawn"], ["open"]]
    told_before = await told(small, first)
    await settle(small, minutes=31)
    assert await told(small, first) == told_before


async def test_the_number_of_those_who_wait_counts_only_whom_it_is_still_for(small: BookingTown) -> None:
    first, second = await book_at(small, "a", THURSDAY), await book_at(small, "b", FRIDAY)
    await wait(small, first)
    await wait(small, second, last=THURSDAY)

    async def count(*counters: str) -> int:
        async with small.db.begin(TOWN) as session:
            return await count_waiting(session, TOWN, list(counters), now=small.now)

    assert (await count("7"), await count("3"), await count("7", "3")) == (2, 0, 2)
    await cancel(small, first)
    assert await count("7") == 1
    small.now = (await slot_at(small, FRIDAY)).starts_at - timedelta(hours=2)
    assert await count("7") == 0
    async with small.db.begin(TOWN) as session:
        assert await find_window(session, TOWN, second.appointment_id, now=small.now) is None
