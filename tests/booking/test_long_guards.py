"""What the database refuses of appointments in several places, with all of the application's own checks removed.

Each was seen to be let through with the triggers of 0021 dropped.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.booking.conftest import TOWN, BookingTown, TownAfter
from tests.booking.long_town import assert_whole, booked_at, cancel, long_visit, open_town, slot_at, taken
from tests.booking.test_guards import run

WHOLE_APPOINTMENT, WHOLE_HOLD = "an appointment is in all of its places", "a hold is in all of its places"
MINE = "p.appointment_id = :id"

# Of an appointment in three places, at 10:00, 10:30 and 11:00; another has one at 14:00.
TEARS = {
    "the middle is freed": f"UPDATE place p SET appointment_id = NULL, changed_at = :now WHERE {MINE} AND part = 2",
    "the end is freed": f"UPDATE place p SET appointment_id = NULL, changed_at = :now WHERE {MINE} AND part = 3",
    "it is only the first": f"""
        UPDATE place p SET appointment_id = NULL, changed_at = :now WHERE {MINE} AND part > 1;
        UPDATE place p SET parts = 1, changed_at = :now WHERE {MINE} AND part = 1""",
    "the last is somewhere else": f"""
        UPDATE place p SET appointment_id = NULL, changed_at = :now WHERE {MINE} AND part = 3;
        UPDATE place p SET appointment_id = :id, part = 3, parts = 3, changed_at = :now
        WHERE p.slot_id = :later AND p.appointment_id IS NULL AND p.place_no = 1""",
    "it has a fourth": """
        UPDATE place p SET appointment_id = :id, part = 4, parts = 4, changed_at = :now
        WHERE p.slot_id = :later AND p.place_no = 1""",
    "it says another number": f"UPDATE place p SET parts = 4, changed_at = :now WHERE {MINE}",
    "a place is gone": f"DELETE FROM place p WHERE {MINE} AND part = 3",
    "it ends later": "UPDATE appointment SET ends_at = ends_at + interval '30 minutes' WHERE appointment_id = :id",
    "it begins earlier": "UPDATE appointment SET starts_at = starts_at - interval '5 min' WHERE appointment_id = :id",
    "it is at another counter": "UPDATE appointment SET counter = '3' WHERE appointment_id = :id",
    "it counts itself short": "UPDATE appointment SET parts = 1 WHERE appointment_id = :id",
    "it is elsewhere than its places": """
        UPDATE appointment SET slot_id = :later, place_no = 1 WHERE appointment_id = :id""",
}
TEARS_OF_HOLDS = {
    "the middle is let go": """
        UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
        WHERE p.visit_id = :id AND part = 2""",
    "a part lapses sooner": """
        UPDATE place p SET held_until = held_until - interval '1 minute', changed_at = :now
        WHERE p.visit_id = :id AND part = 2""",
    "a part is another hold": """
        UPDATE place p SET hold_id = gen_random_uuid(), changed_at = :now WHERE p.visit_id = :id AND part = 3""",
    "the first alone is booked": """
        UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, appointment_id = :other, changed_at = :now
        WHERE p.visit_id = :id AND part = 1""",
    "it is only the first and the last": """
        UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
        WHERE p.visit_id = :id AND part = 2;
        UPDATE place p SET part = least(part, 2), parts = 2, changed_at = :now WHERE p.visit_id = :id AND part <> 2""",
    "it jumps over a slot": """
        UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
        WHERE p.visit_id = :id AND part = 3;
        UPDATE place p SET hold_id = h.hold_id, held_by = h.held_by, held_until = h.held_until, visit_id = :id,
                           part = 3, parts = 3, changed_at = :now
        FROM place h WHERE h.visit_id = :id AND h.part = 1 AND p.slot_id = :later AND p.place_no = 1""",
    "it is in one slot twice": """
        UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
        WHERE p.visit_id = :id AND part = 3;
        UPDATE place p SET hold_id = h.hold_id, held_by = h.held_by, held_until = h.held_until, visit_id = :id,
                           part = 3, parts = 3, changed_at = :now
        FROM place h WHERE h.visit_id = :id AND h.part = 2 AND p.slot_id = h.slot_id AND p.hold_id IS NULL""",
}


@pytest_asyncio.fixture
async def house(town_after: TownAfter) -> BookingTown:
    return await town_after(open_town)


async def tear(house: BookingTown, sql: str, **values: Any) -> None:
    """One statement after another, in one transaction."""
    async with house.db.begin(TOWN) as session:
        for statement in sql.split(";"):
            await session.execute(text(statement), values)


@pytest.mark.parametrize("how", TEARS)
async def test_an_appointment_is_never_torn(house: BookingTown, how: str) -> None:
    booked = await booked_at(house, 10)
    before = await taken(house)
    values = {"id": booked.appointment_id, "later": await slot_at(house, 15), "now": house.now}
    with pytest.raises(DBAPIError, match=WHOLE_APPOINTMENT):
        await tear(house, TEARS[how], **values)
    assert await taken(house) == before
    await assert_whole(house)


@pytest.mark.parametrize("how", TEARS_OF_HOLDS)
async def test_a_live_hold_is_never_torn(house: BookingTown, how: str) -> None:
    other = await booked_at(house, 14)
    await cancel(house, other.appointment_id)
    visit_id = await long_visit(house)
    await house.hold(visit_id, "guest", await slot_at(house, 10))
    before = await taken(house)
    values = {"id": visit_id, "other": other.appointment_id, "later": await slot_at(house, 12), "now": house.now}
    with pytest.raises(DBAPIError, match=WHOLE_HOLD):
        await tear(house, TEARS_OF_HOLDS[how], **values)
    assert await taken(house) == before
    await assert_whole(house)


async def test_a_part_of_anothers_time_is_not_taken(house: BookingTown) -> None:
    booked, visit_id = await booked_at(house, 10), await long_visit(house, "held")
    await house.hold(visit_id, "held", await slot_at(house, 14))
    other = await booked_at(house, 12, guest="other")
    steal = "UPDATE place p SET appointment_id = :other, changed_at = :now WHERE {} AND part = 2"
    values = {"other": other.appointment_id, "now": house.now}
    with pytest.raises(IntegrityError, match="taken by another appointment"):
        await run(house, steal.format("p.appointment_id = :id"), id=booked.appointment_id, **values)
    hold = """UPDATE place p SET hold_id = :thief, held_by = 'x', visit_id = :thief, changed_at = :now
              WHERE p.visit_id = :id AND part = 2"""
    with pytest.raises(IntegrityError, match="held by another visit"):
        await run(house, hold, thief=UUID(int=1), id=visit_id, now=house.now)
    # When it has lapsed, it is free; what is left of it is nothing.
    house.now += timedelta(minutes=10)
    alone = hold.replace("SET ", "SET part = 1, parts = 1, held_until = held_until + interval '1 hour', ")
    await run(house, alone, thief=UUID(int=1), id=visit_id, now=house.now)
    await assert_whole(house)


async def test_an_appointment_without_its_places_is_never_made(house: BookingTown) -> None:
    """As if booking had taken the first place only, and told nobody."""
    booked = await booked_at(house, 10)
    copy = """
        INSERT INTO appointment (municipality, appointment_id, number, kind, state, version, sequence, procedure,
                                 counter, office, slot_id, place_no, starts_at, ends_at, day, reach, services, minutes,
                                 parts, booked_at, changed_at)
        SELECT municipality, gen_random_uuid(), 'copy', kind, state, 1, 0, procedure, counter, office, :later, 1,
               starts_at + interval '5 hours', ends_at + interval '5 hours', day, reach, services, minutes, parts,
               booked_at, changed_at
        FROM appointment WHERE appointment_id = :id"""
    with pytest.raises(DBAPIError, match=WHOLE_APPOINTMENT):
        await run(house, copy, id=booked.appointment_id, later=await slot_at(house, 15))


async def test_without_its_triggers_the_database_lets_it_be_torn(house: BookingTown) -> None:
    """The guards removed, on purpose: what the tests above refuse is done."""
    booked = await booked_at(house, 10)
    async with house.database.owner_engine("booking").begin() as connection:
        for name in ("guard_whole_place", "guard_whole_place_made", "guard_whole_place_gone"):
            await connection.execute(text(f"DROP TRIGGER {name} ON booking.place"))
    await tear(house, TEARS["the middle is freed"], id=booked.appointment_id, now=house.now)
    assert await taken(house) == ["10:00 1/3", "11:00 3/3"]
