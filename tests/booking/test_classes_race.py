"""Racers for the seats of a class, and for a helper's time. What decides is the database."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.assignments import reassign
from services.booking.commands.class_calling_off import call_off_class
from services.booking.commands.class_entries import enter_class, leave_class, take_offer
from services.booking.commands.class_times import set_staff
from services.booking.domain.classes import OFFER_FOR
from services.booking.flow import Rush
from shared.errors import Refusal
from tests.booking.classes_town import COORDINATOR, ClassTown
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.helpers_town import SUZUKI, TANAKA, open_with_venues

T = TypeVar("T")

RACERS = 20
OVERLAP_S = 0.3


@pytest_asyncio.fixture
async def classes(town_after: TownAfter) -> ClassTown:
    return ClassTown(await town_after(open_with_venues))


async def outcome(deed: Awaitable[object]) -> str:
    try:
        await deed
    except Refusal as refusal:
        return refusal.code
    return "done"


async def slowly(deed: Awaitable[T]) -> T:
    """Others come before it is committed."""
    done = await deed
    await asyncio.sleep(OVERLAP_S)
    return done


async def test_twenty_want_the_last_seat_and_one_gets_it(classes: ClassTown) -> None:
    """Seen to fail, with 18 people in 3 seats, without the lock in `class_seats._TAKE` and without the trigger
    `check_course_seat`; and without the lock alone, when the others wait until their statement is ended."""
    town, rush = classes.town, Rush(RACERS)
    course_id = await classes.opened(seats=3)
    await classes.enter_in_turn(course_id, "a", "b")

    async def enter(guest: str) -> None:
        order = classes.order(course_id, guest)
        await rush.run(town.db, TOWN, lambda session: slowly(enter_class(session, order, town.keys, now=town.now)))

    await asyncio.gather(*(enter(f"racer-{number}") for number in range(RACERS)))
    assert Counter((await classes.states()).values()) == {"entered": 3, "waiting": RACERS - 1}
    assert await classes.seated() == 3


async def test_one_guest_who_presses_twenty_times_has_one_seat(classes: ClassTown) -> None:
    """Seen to fail, with 16 entries of one guest, without the index `course_entry_one_per_guest_idx`."""
    town, rush = classes.town, Rush(RACERS)
    course_id = await classes.opened(seats=3)

    async def enter() -> str:
        order = classes.order(course_id, "guest")
        return await rush.run(town.db, TOWN, lambda session: enter_class(session, order, town.keys, now=town.now))

    assert len(set(await asyncio.gather(*(enter() for _ in range(RACERS))))) == 1
    assert await classes.seated() == 1


async def test_seats_that_are_given_back_at_once_go_to_as_many(classes: ClassTown) -> None:
    """Seen to fail, with one who waits offered two of the seats, without the locks of `lock_class`, the trigger
    `check_course_seat` and the key `course_seat_municipality_entry_id_key`; with any of them it does not."""
    town, rush = classes.town, Rush(RACERS)
    course_id = await classes.opened(seats=5)
    numbers = await classes.enter_in_turn(course_id, *(f"guest-{number}" for number in range(12)))
    ids = [await classes.entry_id(number) for number in numbers]

    async def leave(index: int) -> None:
        await rush.run(
            town.db, TOWN, lambda session: slowly(leave_class(session, TOWN, ids[index], town.keys, now=town.now))
        )

    await asyncio.gather(*(leave(index) for index in (0, 1, 2, 2, 1, 0)))
    states = list((await classes.states()).values())
    assert states == ["withdrawn"] * 3 + ["entered"] * 2 + ["offered"] * 3 + ["waiting"] * 4
    assert await classes.seated() == 5


async def test_an_offer_is_taken_or_lapses_but_not_both(classes: ClassTown) -> None:
    """They press just as its time is over: the seat is theirs, or the next one's.

    Seen to fail, with a yes to somebody whose seat went on, without the locks of `lock_class` and `lock_entry` and
    without the trigger `check_course_seat`.
    """
    town, rush = classes.town, Rush(RACERS)
    course_id = await classes.opened(seats=1)
    first, second, third = await classes.enter_in_turn(course_id, "a", "b", "c")
    await classes.leave(first)
    entry_id, before = await classes.entry_id(second), town.now + OFFER_FOR - timedelta(seconds=1)
    town.now += OFFER_FOR
    taken, _ = await asyncio.gather(
        outcome(rush.run(town.db, TOWN, lambda s: slowly(take_offer(s, TOWN, entry_id, town.keys, now=before)))),
        classes.do_what_is_due(),
    )
    states = await classes.states()
    expected = ("entered", "waiting") if taken == "done" else ("withdrawn", "offered")
    assert (states[second], states[third]) == expected
    assert await classes.seated() == 1


async def test_whoever_enters_while_it_is_called_off_is_told_or_refused(classes: ClassTown) -> None:
    """Seen to fail, with somebody in a class that does not take place, without the locks of `lock_class` and without
    the trigger `guard_course_entry`."""
    town, rush = classes.town, Rush(RACERS + 1)
    course_id = await classes.opened(seats=5)

    async def enter(guest: str) -> str:
        order = classes.order(course_id, guest)
        return await outcome(
            rush.run(town.db, TOWN, lambda session: enter_class(session, order, town.keys, now=town.now))
        )

    def call_off() -> Awaitable[None]:
        return rush.run(
            town.db, TOWN, lambda s: call_off_class(s, COORDINATOR, course_id, "大雨のため", town.keys, now=town.now)
        )

    entering = [enter(f"racer-{number}") for number in range(RACERS)]
    answers = await asyncio.gather(*entering[:10], call_off(), *entering[10:])
    states = await classes.states()
    assert set(states.values()) <= {"called_off"}
    assert Counter(answers)["done"] == len(states)
    for number in states:
        assert (await classes.told(number))[-1]["state"] == "called_off"


async def test_nobody_teaches_and_meets_somebody_at_once(classes: ClassTown) -> None:
    """Coordinators ask the same helper for a class and for somebody's visit.

    Seen to fail, with Tanaka in both places, without the trigger `guard_helper_time`.
    """
    town, helpers, rush = classes.town, classes.helpers, Rush(RACERS)
    await helpers.helper(SUZUKI)
    await helpers.hear(helpers.account(TANAKA))
    course_id = await classes.draft()
    taught = (await classes.view(course_id)).sessions[0]
    assert (await helpers.book("guest", slot=2)).starts_at == taught.starts_at
    asked = (await helpers.requests(SUZUKI))[0].assignment_id

    async def teach(session: AsyncSession) -> None:
        await set_staff(session, COORDINATOR, course_id, taught.session_id, TANAKA, "teacher", now=town.now)

    async def meet(session: AsyncSession) -> None:
        await reassign(session, COORDINATOR, asked, TANAKA, now=town.now)

    deeds = (lambda session, deed=deed: slowly(deed(session)) for deed in (teach, meet))
    answers = await asyncio.gather(*(outcome(rush.run(town.db, TOWN, deed)) for deed in deeds))
    assert sorted(answers) == ["done", "helper_busy"]
    teaches = len((await classes.view(course_id)).sessions[0].staff)
    meets = [row.state for row in await helpers.requests(TANAKA)].count("asked")
    assert teaches + meets == 1
