"""Whoever needs more time than a slot has waits as everybody does, and for all that is done in their appointment."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands.appointments import Booked
from services.booking.domain.services import Service
from services.booking.domain.waitlist import OFFER_LIFETIME
from tests.booking.closing_town import offers_of
from tests.booking.conftest import CHILD, TOWN, BookingTown
from tests.booking.long_town import CARE, TWO, booked_at, move, open_town
from tests.booking.waiting_town import look, states_of, wait

TODAY = date(2026, 6, 1)
BOTH = (Service(CHILD, 1), Service(CARE, 1))
# 医療証's own; the town's is half an hour.
NOTICE = timedelta(hours=2)
MOMENT = timedelta(microseconds=1)


@pytest_asyncio.fixture
async def house(bare_town: BookingTown) -> BookingTown:
    await open_town(bare_town)
    async with bare_town.db.begin(TOWN) as session:
        await session.execute(
            text("UPDATE procedure SET notice_min = 120 WHERE (municipality, code) = (:town, :code)"),
            {"town": TOWN, "code": CARE},
        )
    return bare_town


async def waiting(town: BookingTown, services: tuple[Service, ...] = BOTH) -> Booked:
    """Theirs is at 16:00, and they wait for an earlier time of today."""
    booked: Booked = await booked_at(town, 16, services=services)
    await wait(town, booked, first=TODAY, last=TODAY)
    return booked


async def at_two_counters(town: BookingTown) -> None:
    """児童手当 is done at counter 3, too."""
    async with town.db.begin(TOWN) as session:
        await session.execute(
            text("UPDATE procedure SET counters = '{7,3}' WHERE (municipality, code) = (:town, :code)"),
            {"town": TOWN, "code": CHILD},
        )


async def test_what_is_offered_can_be_taken_until_the_last_moment(house: BookingTown) -> None:
    """The strictest notice of all that is done counts. Seen to fail (offered at 10:00, refused when it was taken)
    where only the first procedure's is asked for."""
    booked = await waiting(house)
    await look(house)
    [offer] = await offers_of(house, booked)
    assert offer.starts_at >= offer.until + NOTICE > offer.starts_at - timedelta(minutes=30)
    house.now = offer.until - MOMENT
    await move(house, booked.appointment_id, offer.slot_id, version=2)
    assert await states_of(house, booked) == ["taken"]


async def test_the_database_keeps_the_strictest_notice(house: BookingTown) -> None:
    """Seen to fail with the guard of 0018."""
    booked = await waiting(house)
    slots = await house.slots("7", day=TODAY)
    slot: Any = next(each for each in slots if each.starts_at >= house.now + timedelta(hours=5))
    values = {"offer": uuid4(), "id": booked.appointment_id, "slot": slot.slot_id, "now": house.now, "town": TOWN}
    insert = text("""
        INSERT INTO offered_place
            (municipality, offer_id, appointment_id, slot_id, place_no, offered_at, until, state, cause)
        VALUES (:town, :offer, :id, :slot, 1, :now, :until, 'open', 'waiting')
    """)
    with pytest.raises(IntegrityError, match="within the notice"):
        async with house.db.begin(TOWN) as session:
            await session.execute(insert, values | {"until": slot.starts_at - NOTICE + MOMENT})
    async with house.db.begin(TOWN) as session:
        await session.execute(insert, values | {"until": slot.starts_at - NOTICE})


async def test_what_is_not_done_at_its_counter_any_more_is_not_offered(house: BookingTown) -> None:
    booked = await waiting(house)
    async with house.db.begin(TOWN) as session:
        await session.execute(
            text("UPDATE procedure SET counters = '{3}' WHERE (municipality, code) = (:town, :code)"),
            {"town": TOWN, "code": CARE},
        )
    await look(house)
    assert await states_of(house, booked) == []


async def test_several_of_one_have_its_own_notice(house: BookingTown) -> None:
    booked = await waiting(house, TWO)
    await look(house)
    [offer] = await offers_of(house, booked)
    assert house.now + OFFER_LIFETIME + timedelta(minutes=30) <= offer.starts_at < house.now + NOTICE


async def test_it_is_waited_for_at_its_own_counter_and_nothing_else_is_asked(house: BookingTown) -> None:
    """Seen to fail (anywhere can be chosen, and is kept as the wish) without it."""
    await at_two_counters(house)
    booked, single = (
        await booked_at(house, 16, services=TWO),
        await booked_at(house, 15, guest="b", services=(Service(CHILD),)),
    )
    async with house.browser("b") as browser:
        page = await browser.get(f"/booking/appointments/{single.number}/earlier")
        assert "この手続きができるところなら、どこでもよい" in page.text
    own = f"/booking/appointments/{booked.number}/earlier"
    async with house.browser() as browser:
        page = await browser.get(own)
        assert "知らせてほしい" in page.text
        assert "この手続きができるところなら、どこでもよい" not in page.text
        today = TODAY.isoformat()
        form = {"first": today, "last": today, "weekdays": ["1"], "part": "any", "where": "anywhere"}
        await browser.post(own, data={"idempotency_key": "k", **form})
    rows = await house.rows("SELECT counter FROM booking.waiting")
    looks = await house.rows("SELECT ref FROM booking.due WHERE kind = 'waiting'")
    assert [tuple(row) for row in (*rows, *looks)] == [("7",), ("7",)]  # type: ignore[arg-type]


async def test_who_moves_to_another_counter_waits_there(house: BookingTown) -> None:
    """Seen to fail (they wait at the old one, where nothing is looked for) without `_THERE_NOW`."""
    await at_two_counters(house)
    booked = await booked_at(house, 16, services=TWO)
    await wait(house, booked, first=TODAY, last=TODAY)
    there = next(slot for slot in await house.slots("3", day=TODAY) if slot.starts_at >= house.now + timedelta(hours=4))
    await move(house, booked.appointment_id, there.slot_id)
    await look(house, "3")
    [offer] = await offers_of(house, booked)
    assert offer.slot_id in {slot.slot_id for slot in await house.slots("3", day=TODAY)}
