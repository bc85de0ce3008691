"""Whatever people do one after another, long and short: no place has two, no time is torn, and a plain model agrees."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.booking.domain.services import Service
from shared.clock import JST
from shared.errors import Refusal
from tests.booking.conftest import CHILD, BookingTown
from tests.booking.long_town import assert_whole, cancel, choose, move, open_town, slot_at

# Slots of half an hour with one place, from ten o'clock on, some days ahead.
DAY, FIRST, PLACES, SLOTS = 15, datetime(2026, 6, 15, 10, tzinfo=JST), 1, 5
SLOT, HOLD_MIN = timedelta(minutes=30), 10
# So many slots are needed for so many of it: 30, 50, 70 and 90 minutes.
PARTS = {1: 1, 2: 2, 3: 3, 4: 3}
# How many each guest wants at first.
WANTED = (1, 2, 3, 1)
# What nobody gets, and why.
NO = {"slot_taken", "services_no_room", "hold_missing", "hold_expired", "same_slot"}

guests, slots = st.integers(0, len(WANTED) - 1), st.integers(0, SLOTS - 1)
steps = st.one_of(
    st.tuples(st.just("choose"), guests, st.integers(1, 4)),
    st.tuples(st.just("hold"), guests, slots),
    st.tuples(st.just("book"), guests, st.just(0)),
    st.tuples(st.just("change"), guests, slots),
    st.tuples(st.just("cancel"), guests, st.just(0)),
    st.tuples(st.just("wait"), guests, st.sampled_from((1, 9, 10))),
)


class Guest:
    """What one person wants and has: slots from `first` on, until `lapses_at` if only held."""

    def __init__(self, quantity: int) -> None:
        self.quantity = quantity
        self.first: int | None = None
        self.parts = 0
        self.lapses_at: int | None = None


class World:
    """The same people on the real commands and in the model."""

    def __init__(self, town: BookingTown, name: str) -> None:
        self.town, self.name = town, name
        self.minute = 0
        self.guests = [Guest(quantity) for quantity in WANTED]
        self.visits: dict[int, UUID] = {}
        self.booked: dict[int, Any] = {}
        self.keys = 0

    def has(self, guest: Guest) -> bool:
        return guest.first is not None and (guest.lapses_at is None or guest.lapses_at > self.minute)

    def fits(self, who: int, first: int, parts: int) -> bool:
        others = [each for number, each in enumerate(self.guests) if number != who and self.has(each)]
        in_slot = Counter(each.first + at for each in others for at in range(each.parts))  # type: ignore[operator]
        return all(in_slot[slot] < PLACES for slot in range(first, first + parts))

    def expected(self) -> Counter[int]:
        return Counter(each.first + at for each in self.guests if self.has(each) for at in range(each.parts))  # type: ignore[operator]

    async def visit(self, who: int) -> UUID:
        if who not in self.visits:
            self.visits[who] = await self.town.visit(f"{self.name}-{who}")
            await choose(self.town, self.visits[who], Service(CHILD, WANTED[who]), guest=f"{self.name}-{who}")
            async with self.town.database.owner_engine("booking").begin() as connection:
                await connection.execute(text("UPDATE booking.visit SET expires_at = expires_at + interval '1 day'"))
        return self.visits[who]

    async def do(self, kind: str, who: int, what: int) -> None:
        """One step in both; what the commands refuse must be what the model says no to."""
        guest = self.guests[who]
        if kind == "wait":
            self.minute += what
            self.town.now += timedelta(minutes=what)
            return
        if (who in self.booked) != (kind in ("change", "cancel")):
            return
        try:
            await getattr(self, f"_{kind}")(who, what)
            done = True
        except Refusal as refusal:
            if refusal.code not in NO:
                raise
            done = False
        assert done == getattr(self, f"_may_{kind}")(who, guest, what), (kind, who, what)

    async def _choose(self, who: int, what: int) -> None:
        await choose(self.town, await self.visit(who), Service(CHILD, what), guest=f"{self.name}-{who}")

    def _may_choose(self, who: int, guest: Guest, what: int) -> bool:
        if what == guest.quantity:
            return True
        if self.has(guest):
            if not self.fits(who, guest.first or 0, PARTS[what]):
                return False
            guest.parts, guest.lapses_at = PARTS[what], self.minute + HOLD_MIN
        guest.quantity = what
        return True

    async def _hold(self, who: int, what: int) -> None:
        await self.town.hold(await self.visit(who), f"{self.name}-{who}", await self.slot(what))

    def _may_hold(self, who: int, guest: Guest, what: int) -> bool:
        if self.has(guest) and guest.first == what:
            return True
        if not self.fits(who, what, PARTS[guest.quantity]):
            return False
        guest.first, guest.parts, guest.lapses_at = what, PARTS[guest.quantity], self.minute + HOLD_MIN
        return True

    async def _book(self, who: int, _what: int) -> None:
        booked = await self.town.book(await self.visit(who), f"{self.name}-{who}")
        self.booked[who] = [booked.appointment_id, 1]

    def _may_book(self, _who: int, guest: Guest, _what: int) -> bool:
        if not self.has(guest):
            return False
        guest.lapses_at = None
        return True

    async def _change(self, who: int, what: int) -> None:
        self.keys += 1
        appointment_id, version = self.booked[who]
        moved = await move(self.town, appointment_id, await self.slot(what), version, f"k{self.keys}")
        self.booked[who][1] = moved.version

    def _may_change(self, who: int, guest: Guest, what: int) -> bool:
        if guest.first == what or not self.fits(who, what, guest.parts):
            return False
        guest.first = what
        return True

    async def _cancel(self, who: int, _what: int) -> None:
        await cancel(self.town, *self.booked.pop(who))
        del self.visits[who]

    def _may_cancel(self, who: int, _guest: Guest, _what: int) -> bool:
        self.guests[who] = Guest(WANTED[who])
        return True

    async def slot(self, number: int) -> UUID:
        at = FIRST + number * SLOT
        return await slot_at(self.town, at.hour, at.minute, day=DAY)

    async def taken(self) -> Counter[int]:
        rows = await self.town.rows(
            """SELECT s.starts_at FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
               WHERE p.appointment_id IS NOT NULL OR p.held_until > :now""",
            now=self.town.now,
        )
        return Counter(round((row.starts_at - FIRST) / SLOT) for row in rows)  # type: ignore[attr-defined]


@pytest_asyncio.fixture
async def house(bare_town: BookingTown) -> BookingTown:
    await open_town(bare_town, places=PLACES)
    return bare_town


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_steps=st.lists(steps, min_size=5, max_size=18))
async def test_long_and_short_in_any_order_agree_with_a_plain_model(
    house: BookingTown, given_steps: list[tuple[str, int, int]]
) -> None:
    """Seen to fail without the comparison of counts in `TAKE`."""
    world = World(house, f"w{len(await house.rows('SELECT 1 FROM booking.visit'))}")
    for kind, who, what in given_steps:
        await world.do(kind, who, what)
        await assert_whole(house)
        assert await world.taken() == world.expected()
    # The next example finds the day empty.
    for who in list(world.booked):
        await world.do("cancel", who, 0)
    await world.do("wait", 0, 10)
    assert await world.taken() == Counter()
