"""A closing and whoever holds places that reach into its time wait for each other in one direction only."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands import closings
from services.booking.commands.visits import release_hold
from shared.clock import JST
from tests.booking.closing_town import close
from tests.booking.conftest import TOWN, BookingTown, TownAfter
from tests.booking.long_town import assert_whole, long_visit, open_town, slot_at, taken
from tests.booking.test_deadlocks import until_somebody_waits

Deed = Literal["release", "book", "hold"]
_LOCK = text("SELECT 1 FROM place WHERE (municipality, slot_id) = (:town, :slot) ORDER BY place_no FOR UPDATE")


@pytest_asyncio.fixture
async def house(town_after: TownAfter) -> BookingTown:
    return await town_after(open_town)


async def held(town: BookingTown, visit_id: UUID, hour: int) -> Sequence[Any]:
    """What a visit holds from then on, in the order of locking."""
    await town.hold(visit_id, "guest", await slot_at(town, hour))
    return await town.rows(
        """SELECT s.slot_id, s.starts_at, p.part FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
           WHERE p.visit_id = :visit AND p.hold_id IS NOT NULL ORDER BY s.slot_id""",
        visit=visit_id,
    )


async def close_at(town: BookingTown, starts_at: datetime) -> None:
    """The slot that begins then, and nothing of the others."""
    local = starts_at.astimezone(JST)
    from_min = local.hour * 60 + local.minute
    await close(town, day=local.date(), from_min=from_min, to_min=from_min + 30)


async def do(town: BookingTown, deed: Deed, visit_id: UUID) -> None:
    if deed == "release":
        async with town.db.begin(TOWN) as session:
            await release_hold(session, TOWN, visit_id, "guest", now=town.now)
    elif deed == "book":
        await town.book(visit_id, "guest")
    else:
        await town.hold(visit_id, "guest", await slot_at(town, 15))


async def test_the_rest_of_a_hold_is_locked_with_the_part_that_closes(
    house: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails (seen: a deadlock) where a closing locks the places in its own time only."""
    visit_id = await long_visit(house)
    *_, last = await held(house, visit_id, 10)
    at_work = asyncio.Event()
    look = closings._take_back_offers

    async def look_slowly(*asked: Any) -> Any:
        at_work.set()
        await until_somebody_waits(house)
        return await look(*asked)

    monkeypatch.setattr(closings, "_take_back_offers", look_slowly)
    closing = asyncio.create_task(close_at(house, last.starts_at))
    await at_work.wait()
    await asyncio.gather(closing, do(house, "release", visit_id))
    assert await taken(house) == []


@pytest.mark.parametrize("deed", ["release", "book", "hold"])
async def test_who_does_something_with_a_long_hold_locks_in_the_same_order(house: BookingTown, deed: Deed) -> None:
    """Fails (seen: a deadlock), for booking and for holding another time, where the places are just updated.

    Somebody has the first place to be locked, so both come to it: the closing before the other.
    """
    visit_id = await long_visit(house)
    first = (await held(house, visit_id, hour := 10))[0]
    while first.part == 1:
        first = (await held(house, visit_id, hour := hour + 1))[0]
    async with house.db.begin(TOWN) as session:
        await session.execute(_LOCK, {"town": TOWN, "slot": first.slot_id})
        closing = asyncio.create_task(close_at(house, first.starts_at))
        await until_somebody_waits(house)
        other = asyncio.create_task(do(house, deed, visit_id))
        await until_somebody_waits(house, 2)
    told = await asyncio.gather(closing, other, return_exceptions=True)
    assert "deadlock" not in " ".join(map(str, told)), told
    assert told[0] is None, told
    await assert_whole(house)
