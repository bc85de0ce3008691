"""A waitlist under fire: bookers beside looks, two workers, looks that die, and answers in the last moment."""

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands import waitlist_offers
from services.booking.commands.changes import ChangeAppointment, change_appointment
from services.booking.domain.rules import SlotTaken
from services.booking.domain.waitlist import OFFER_LIFETIME
from services.booking.flow import Rush
from services.booking.worker import DUE_HANDLERS
from shared.errors import Refusal
from shared.messaging.due import DueLoop
from tests.booking.closing_town import offers_of, told
from tests.booking.conftest import TOWN, BookingTown, TownAfter
from tests.booking.waiting_town import (
    FRIDAY,
    THURSDAY,
    TUESDAY,
    book_at,
    cancel,
    decline,
    look,
    on_list,
    open_small,
    settle,
    slot_at,
    states_of,
    stop,
    version_of,
    wait,
    waiters,
)


@pytest_asyncio.fixture
async def small(town_after: TownAfter) -> BookingTown:
    return await town_after(open_small)


@pytest.mark.parametrize("late_s", [0.0, 0.002, 0.005, 0.01, 0.02])
async def test_a_booker_and_a_look_race_for_a_place_and_one_of_them_has_it(small: BookingTown, late_s: float) -> None:
    taken = await book_at(small, "x", TUESDAY)
    await book_at(small, "y", TUESDAY, "afternoon")
    [first] = await waiters(small, "a")
    visit_id = await small.visit("z")
    slot = await slot_at(small, TUESDAY)
    await cancel(small, taken)

    async def book() -> bool:
        await asyncio.sleep(late_s)
        try:
            await small.hold(visit_id, "z", slot.slot_id)
        except SlotTaken:
            return False
        return True

    is_held, _ = await asyncio.gather(book(), look(small))
    await settle(small)
    offered = await states_of(small, first)
    assert (is_held, offered) in ((True, []), (False, ["open"]))


async def test_two_workers_offer_each_place_once(small: BookingTown) -> None:
    """At one counter the look is leased to one of them; and if it were not, nobody has two offers."""
    full = [await book_at(small, guest, TUESDAY, part) for guest, part in (("x", "morning"), ("y", "afternoon"))]
    people = await waiters(small, "a", "b", "c", "d")
    await settle(small)
    for each in full:
        await cancel(small, each)
    for _ in range(3):
        small.now += timedelta(seconds=1)
        loops = [DueLoop(small.db, DUE_HANDLERS, small.clock) for _ in range(3)]
        await asyncio.gather(*(loop.run_once() for loop in loops))
        await asyncio.gather(*(loop.run_once() for loop in loops), *(look(small) for _ in range(3)))
    await settle(small)
    assert [await states_of(small, each) for each in people] == [["open"], ["open"], [], []]
    assert [len(await told(small, each)) for each in people] == [2, 2, 1, 1]


async def test_two_counters_have_one_offer_for_one_person(bare_town: BookingTown) -> None:
    town = await open_small(bare_town, counters=("7", "3"))
    [first] = await waiters(town, "a")
    await asyncio.gather(*(look(town, counter) for counter in ("7", "3", "7", "3")))
    await settle(town)
    assert await states_of(town, first) == ["open"]


async def test_whom_another_look_was_faster_to_ask_is_not_asked(small: BookingTown) -> None:
    """What a look found before the other had committed. Seen to fail (IntegrityError) without the second question."""
    [first] = await waiters(small, "a")
    slot = await slot_at(small, TUESDAY, "afternoon")
    found = SimpleNamespace(appointment_id=first.appointment_id, slot_id=slot.slot_id, starts_at=slot.starts_at)
    await look(small)
    until = small.now + OFFER_LIFETIME
    async with small.db.begin(TOWN) as session:
        assert not await waitlist_offers._offer(session, TOWN, found, until=until, now=small.now)
    await stop(small, first)
    async with small.db.begin(TOWN) as session:
        assert not await waitlist_offers._offer(session, TOWN, found, until=until, now=small.now)
    assert await states_of(small, first) == ["declined"]


async def test_a_look_waits_for_nobody(small: BookingTown) -> None:
    """Seen to fail (it waits for the lock) without SKIP LOCKED: a look holds what others mark."""
    [first] = await waiters(small, "a")
    async with small.db.begin(TOWN) as session:
        await session.execute(
            text("SELECT 1 FROM appointment WHERE appointment_id = :id FOR UPDATE"), {"id": first.appointment_id}
        )
        async with asyncio.timeout(2):
            await look(small)
    assert await states_of(small, first) == []
    await settle(small)
    assert await states_of(small, first) == ["open"]


async def test_killed_anywhere_nobody_is_offered_twice_or_forgotten(small: BookingTown) -> None:
    full = [await book_at(small, guest, TUESDAY, part) for guest, part in (("x", "morning"), ("y", "afternoon"))]
    people = await waiters(small, "a", "b", "c")
    for each in full:
        await cancel(small, each)

    def work(seconds: float, fault: str | None) -> int:
        # Each after the lease of the one before.
        now = (small.now + timedelta(seconds=seconds)).isoformat()
        environ = {**os.environ, **small.environ, "CHOUDO_ENVIRONMENT": "local", "NOW": now}
        if fault is not None:
            environ["CHOUDO_FAULT"] = fault
        command = [sys.executable, "-m", "tests.booking.closing_worker"]
        return subprocess.run(command, env=environ, timeout=60, check=False).returncode

    ends = [await asyncio.to_thread(work, 60 * number, f"transaction.written:{number}") for number in range(1, 7)]
    assert ends[:3] == [-9, -9, -9]
    assert await asyncio.to_thread(work, 420, None) == 0
    # All within the half hour of the first offer.
    assert [await states_of(small, each) for each in people] == [["open"], ["open"], []]
    assert [len(await told(small, each)) for each in people] == [2, 2, 1]


async def test_taken_at_the_very_moment_at_which_it_lapses_one_of_both_is_true(small: BookingTown) -> None:
    [first] = await waiters(small, "a")
    await look(small)
    [offer] = await offers_of(small, first)
    rows = await small.rows("SELECT offer_id FROM booking.offered_place")
    order = ChangeAppointment(
        municipality=TOWN,
        appointment_id=first.appointment_id,
        slot_id=offer.slot_id,
        version=await version_of(small, first),
        key="k",
    )

    async def lapse() -> None:
        async with small.db.begin(TOWN) as session:
            await waitlist_offers.on_waiting_answer_due(session, TOWN, str(rows[0].offer_id), small.now)  # type: ignore[attr-defined]

    async with small.db.begin(TOWN) as session:
        await change_appointment(session, order, now=small.now)
        lapsing = asyncio.create_task(lapse())
        await asyncio.sleep(0.3)
        assert not lapsing.done()
    await lapsing
    assert await states_of(small, first) == ["taken"]
    assert [name for name, *_ in await told(small, first)] == ["booked", "progressed", "changed"]


async def test_yes_and_no_at_once_are_one_answer(small: BookingTown) -> None:
    [first] = await waiters(small, "a")
    await look(small)
    [offer] = await offers_of(small, first)
    version = await version_of(small, first)
    rush = Rush()

    async def say_yes() -> bool:
        order = ChangeAppointment(
            municipality=TOWN,
            appointment_id=first.appointment_id,
            slot_id=offer.slot_id,
            version=version,
            key=str(uuid4()),
        )
        try:
            await rush.run(small.db, TOWN, lambda session: change_appointment(session, order, now=small.now))
        except Refusal:
            return False
        return True

    async def say_no() -> None:
        await decline(small, first)

    answers = await asyncio.gather(say_yes(), say_yes(), say_no(), return_exceptions=True)
    moved = [answer for answer in answers[:2] if answer is True]
    states = await states_of(small, first)
    assert (len(moved), states) in ((1, ["taken"]), (0, ["declined"]))


async def test_joining_stopping_and_looking_at_once_end_in_order(small: BookingTown) -> None:
    """Nobody waits for each other: whoever joins waits for a look, and no look for whoever joins."""
    first, second = await book_at(small, "a", THURSDAY), await book_at(small, "b", FRIDAY)
    async with asyncio.timeout(20):
        for _ in range(5):
            await asyncio.gather(wait(small, first), wait(small, second), look(small), settle(small))
    await settle(small)
    assert set(await on_list(small)) == {first.appointment_id, second.appointment_id}
    assert {tuple(await states_of(small, each)) for each in (first, second)} == {("open",)}
