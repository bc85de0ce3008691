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
from tests.booking.long_town import CARE, booked_at, move, open_town
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
    booked = await waiting(house, (Service(CHILD, 2),))
    await look(house)
    [offer] = await offers_of(house, booked)
    assert house.now + OFFER_LIFETIME + timedelta(minutes=30) <= offer.starts_at < house.now + NOTICE
