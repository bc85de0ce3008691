"""What must never be true of a waitlist is refused by PostgreSQL, whatever the application believes."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.booking.conftest import TOWN, BookingTown, TownAfter
from tests.booking.waiting_town import FRIDAY, NOTICE, THURSDAY, TUESDAY, book_at, open_small, slot_at, wait

OFFER = """
    INSERT INTO offered_place
        (municipality, offer_id, appointment_id, slot_id, place_no, offered_at, until, state, cause)
    VALUES (:town, :offer, :appointment, :slot, 1, :now, :until, 'open', 'waiting')
"""
WAIT = """
    INSERT INTO waiting (municipality, appointment_id, first_day, last_day, weekdays, part, joined_at)
    VALUES (:town, :appointment, :first, :last, :weekdays, 'any', :now)
"""


@pytest_asyncio.fixture
async def small(town_after: TownAfter) -> BookingTown:
    return await town_after(open_small)


async def run(town: BookingTown, sql: str, **values: Any) -> None:
    async with town.db.begin(TOWN) as session:
        await session.execute(text(sql), {"town": TOWN, "now": town.now, **values})


async def make_offer(town: BookingTown, appointment: Any, slot: Any, **changes: Any) -> None:
    values = {"offer": uuid4(), "until": town.now + timedelta(minutes=30), **changes}
    await run(town, OFFER, appointment=appointment.appointment_id, slot=slot.slot_id, **values)


async def test_an_appointment_is_on_the_list_once(small: BookingTown) -> None:
    booked = await book_at(small, "a", THURSDAY)
    await wait(small, booked)
    with pytest.raises(IntegrityError, match="waiting_pkey"):
        await run(small, WAIT, appointment=booked.appointment_id, first=TUESDAY, last=TUESDAY, weekdays=[2])


@pytest.mark.parametrize("change", ["later", "cancelled", "part of an arrival"])
async def test_only_who_has_a_time_waits_and_only_for_an_earlier_one(small: BookingTown, change: str) -> None:
    """Seen to fail without `guard_waiting`."""
    booked = await book_at(small, "a", THURSDAY)
    sets = {
        "later": "state = state",
        "cancelled": "state = 'cancelled'",
        "part of an arrival": "chain_id = :chain, chain_person = 1, chain_until = ends_at",
    }
    chain = {"chain": uuid4()} if change == "part of an arrival" else {}
    freed = "UPDATE place SET appointment_id = NULL WHERE appointment_id = :id"
    await run(
        small, f"UPDATE appointment SET {sets[change]} WHERE appointment_id = :id", id=booked.appointment_id, **chain
    )
    if change == "cancelled":
        await run(small, freed, id=booked.appointment_id)
    last = FRIDAY if change == "later" else THURSDAY
    with pytest.raises(IntegrityError, match="not waiting for an earlier time"):
        await run(small, WAIT, appointment=booked.appointment_id, first=TUESDAY, last=last, weekdays=[2])


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"first": THURSDAY, "last": TUESDAY, "weekdays": [2]}, "waiting_days_check"),
        ({"first": TUESDAY, "last": TUESDAY, "weekdays": []}, "waiting_weekdays_check"),
        ({"first": TUESDAY, "last": TUESDAY, "weekdays": [8]}, "waiting_weekdays_check"),
    ],
)
async def test_a_window_is_one(small: BookingTown, values: dict[str, Any], constraint: str) -> None:
    booked = await book_at(small, "a", THURSDAY)
    with pytest.raises(IntegrityError, match=constraint):
        await run(small, WAIT, appointment=booked.appointment_id, **values)


async def test_what_is_offered_is_earlier(small: BookingTown) -> None:
    """Seen to fail without `guard_waiting_offer`."""
    booked = await book_at(small, "a", THURSDAY)
    for day in (THURSDAY, FRIDAY):
        with pytest.raises(IntegrityError, match="no earlier time"):
            await make_offer(small, booked, await slot_at(small, day))


async def test_an_offer_never_ends_within_the_notice(small: BookingTown) -> None:
    """Seen to fail without `guard_waiting_offer`. The procedure's own notice comes before the town's."""
    booked, other = await book_at(small, "a", THURSDAY), await book_at(small, "b", FRIDAY)
    slot = await slot_at(small, TUESDAY)
    until = slot.starts_at - NOTICE
    with pytest.raises(IntegrityError, match="within the notice"):
        await make_offer(small, booked, slot, until=until + timedelta(microseconds=1))
    await make_offer(small, booked, slot, until=until)
    await run(small, "UPDATE procedure SET notice_min = 31 WHERE municipality = :town")
    with pytest.raises(IntegrityError, match="within the notice"):
        await make_offer(small, other, slot, until=until)
    with pytest.raises(IntegrityError, match="within the notice"):
        await run(
            small,
            "UPDATE offered_place SET until = :until WHERE municipality = :town AND appointment_id = :id",
            id=booked.appointment_id,
            until=until + timedelta(microseconds=1),
        )


async def test_nobody_has_two_offers_or_the_same_time_again(small: BookingTown) -> None:
    booked = await book_at(small, "a", THURSDAY)
    morning, afternoon = await slot_at(small, TUESDAY), await slot_at(small, TUESDAY, "afternoon")
    await make_offer(small, booked, morning)
    with pytest.raises(IntegrityError, match="offered_place_one_open_idx"):
        await make_offer(small, booked, afternoon)
    await run(small, "UPDATE offered_place SET state = 'lapsed', ended_at = :now WHERE municipality = :town")
    with pytest.raises(IntegrityError, match="offered_place_once_idx"):
        await make_offer(small, booked, morning)
    await make_offer(small, booked, afternoon)
