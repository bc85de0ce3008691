"""An oversold place is impossible even without the application: what raw SQL tries, PostgreSQL refuses."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from tests.booking.conftest import FAMILY, OTHER_TOWN, TOWN, BookingTown


async def run(where: BookingTown, sql: str, municipality: str = TOWN, **values: object) -> Any:
    async with where.db.begin(municipality) as session:
        return await session.execute(text(sql), values)


async def test_a_place_taken_by_one_appointment_is_not_given_to_another(town: BookingTown) -> None:
    first, second = await town.booked("a"), await town.booked("b", slot=3)
    with pytest.raises(IntegrityError, match="taken by another appointment"):
        await run(
            town,
            "UPDATE place SET appointment_id = :other WHERE appointment_id = :taken",
            other=second.appointment_id,
            taken=first.appointment_id,
        )


async def test_a_place_is_not_freed_under_a_live_appointment(town: BookingTown) -> None:
    booked = await town.booked()
    with pytest.raises(IntegrityError, match="live appointment"):
        await run(town, "UPDATE place SET appointment_id = NULL WHERE appointment_id = :id", id=booked.appointment_id)


async def test_two_live_appointments_never_share_a_place(town: BookingTown) -> None:
    first, second = await town.booked("a"), await town.booked("b", slot=3)
    with pytest.raises(IntegrityError, match="appointment_one_per_place_idx"):
        await run(
            town,
            """UPDATE appointment SET (slot_id, place_no) =
               (SELECT slot_id, place_no FROM appointment WHERE appointment_id = :first)
               WHERE appointment_id = :second""",
            first=first.appointment_id,
            second=second.appointment_id,
        )


async def test_one_appointment_never_has_two_places(town: BookingTown) -> None:
    booked = await town.booked()
    with pytest.raises(IntegrityError, match="place_one_place_per_appointment_idx"):
        await run(
            town,
            """UPDATE place SET appointment_id = :id WHERE (slot_id, place_no) IN
               (SELECT slot_id, place_no FROM place WHERE appointment_id IS NULL LIMIT 1)""",
            id=booked.appointment_id,
        )


async def test_a_live_hold_is_not_replaced_by_another_visit(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    hold = await town.hold(visit_id, "guest", (await town.slots("7"))[0].slot_id)
    sql = """UPDATE place
             SET hold_id = :hold, held_by = 'thief', visit_id = :visit, held_until = :until, changed_at = :now
             WHERE hold_id = :old"""
    thief: dict[str, Any] = {
        "hold": uuid4(),
        "visit": uuid4(),
        "until": town.now + timedelta(hours=1),
        "old": hold.hold_id,
    }
    with pytest.raises(IntegrityError, match="held by another visit"):
        await run(town, sql, now=town.now + timedelta(minutes=9), **thief)
    # Who forgets to bring the time meets the old one, by which the hold lives.
    with pytest.raises(IntegrityError, match="held by another visit"):
        await run(town, sql.replace(", changed_at = :now", ""), **thief)
    await run(town, sql, now=town.now + timedelta(minutes=10), **thief)


async def test_a_visit_never_has_two_live_holds(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    hold = await town.hold(visit_id, "guest", (await town.slots())[0].slot_id)
    with pytest.raises(IntegrityError, match="place_one_hold_per_visit_idx"):
        await run(
            town,
            """UPDATE place SET hold_id = :hold, held_by = 'guest', visit_id = :visit, held_until = :until
               WHERE (slot_id, place_no) IN
               (SELECT slot_id, place_no FROM place WHERE hold_id IS NULL AND slot_id <> :slot LIMIT 1)""",
            hold=uuid4(),
            visit=visit_id,
            until=hold.held_until,
            slot=hold.slot_id,
        )


@pytest.mark.parametrize("place_no", [0, 3, 50])
async def test_a_slot_has_no_more_places_than_its_capacity(town: BookingTown, place_no: int) -> None:
    slot = (await town.slots())[0]
    sql = """INSERT INTO place (municipality, slot_id, place_no, capacity, audience, changed_at)
             VALUES (:town, :slot, :no, :capacity, 'public', now())"""
    with pytest.raises(IntegrityError, match="place_place_no_check"):
        await run(town, sql, town=TOWN, slot=slot.slot_id, no=place_no, capacity=2)
    if place_no:
        # Claiming that the slot were larger does not help: it must be the slot's own capacity.
        with pytest.raises(IntegrityError, match="capacity_fkey"):
            await run(town, sql, town=TOWN, slot=slot.slot_id, no=place_no, capacity=50)


@pytest.mark.parametrize(
    ("starts", "ends", "refused"),
    [
        (timedelta(0), timedelta(0), "slot_no_overlap_excl"),
        (timedelta(minutes=1), timedelta(0), "slot_no_overlap_excl"),
        (timedelta(minutes=-20), timedelta(minutes=-29), "slot_no_overlap_excl"),
        (timedelta(minutes=-20), timedelta(minutes=20), "slot_no_overlap_excl"),
        # Half a second would fit between boxes that end a second early.
        (timedelta(0), timedelta(seconds=30), "slot_whole_minutes_check"),
        (timedelta(minutes=-20), timedelta(minutes=-29, milliseconds=-500), "slot_whole_minutes_check"),
    ],
)
async def test_slots_of_a_counter_never_overlap(
    town: BookingTown, starts: timedelta, ends: timedelta, refused: str
) -> None:
    with pytest.raises(IntegrityError, match=refused):
        await put_slot(town, "7", starts, ends)


async def test_slots_may_touch_and_other_counters_have_their_own(town: BookingTown) -> None:
    await put_slot(town, "7", timedelta(minutes=-20), timedelta(minutes=-30))
    await put_slot(town, "nobody else's", timedelta(0), timedelta(0))


async def put_slot(town: BookingTown, counter: str, starts: timedelta, ends: timedelta) -> None:
    """A slot that starts and ends so much later (or earlier) than the first of the day, which takes half an hour."""
    slot = (await town.slots())[0]
    await run(
        town,
        """INSERT INTO slot (municipality, slot_id, counter, starts_at, ends_at, capacity)
           VALUES (:town, :slot, :counter, :starts, :ends, 1)""",
        town=TOWN,
        slot=uuid4(),
        counter=counter,
        starts=slot.starts_at + starts,
        ends=slot.ends_at + ends,
    )


async def test_another_towns_rows_are_neither_seen_nor_touched(town: BookingTown) -> None:
    await town.booked(procedure=FAMILY)
    for table in ("appointment", "place", "slot", "visit", "subject_key", "access", "ledger_entry", "idempotency"):
        found = await run(town, f"SELECT count(*) FROM {table}", OTHER_TOWN)
        assert found.scalar_one() == 0, table
    await run(town, "UPDATE appointment SET state = 'cancelled'", OTHER_TOWN)
    rows = await town.rows("SELECT state FROM booking.appointment")
    assert [row.state for row in rows] == ["booked"]  # type: ignore[attr-defined]
    with pytest.raises(DBAPIError, match="row-level security"):
        await run(
            town,
            "INSERT INTO closure (municipality, first_day, last_day, reason_ja) VALUES (:town, now(), now(), 'x')",
            OTHER_TOWN,
            town=TOWN,
        )


@pytest.mark.parametrize("table", ["audit", "ledger_entry"])
async def test_what_was_written_down_is_not_changed_by_the_application(town: BookingTown, table: str) -> None:
    for sql in (f"DELETE FROM {table}", f"UPDATE {table} SET actor_ref = 'nobody'"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            await run(town, sql)
