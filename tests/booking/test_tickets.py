"""A ticket belongs to a counter and a day: whoever is not here any more has none, and takes none along."""

from datetime import date, timedelta
from uuid import UUID

from services.booking.commands.changes import ChangeAppointment, change_appointment
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from tests.booking.conftest import CHILD, TOWN, BookingTown
from tests.booking.test_counter import STAFF, step

TOMORROW = date(2026, 6, 2)


async def ticket_of(town: BookingTown, appointment_id: UUID) -> int | None:
    rows = await town.rows("SELECT ticket_no FROM booking.appointment WHERE appointment_id = :id", id=appointment_id)
    ticket: int | None = rows[0].ticket_no  # type: ignore[attr-defined]
    return ticket


async def move(town: BookingTown, appointment_id: UUID, slot_id: UUID, version: int) -> None:
    order = ChangeAppointment(
        municipality=TOWN, appointment_id=appointment_id, slot_id=slot_id, version=version, key="k"
    )
    async with town.db.begin(TOWN) as session:
        await change_appointment(session, order, now=town.now)


async def walk_in(town: BookingTown, key: str) -> int | None:
    async with town.db.begin(TOWN) as session:
        return (await take_walk_in(session, STAFF, TakeWalkIn(procedure=CHILD, key=key), now=town.now)).ticket_no


async def test_a_check_in_that_was_undone_takes_no_ticket_to_tomorrow(town: BookingTown) -> None:
    """Seen to fail when moving keeps the ticket: tomorrow's first check-in ends in an IntegrityError for ever."""
    moved = await town.booked("moved")
    await step(town, moved.appointment_id, "check-in", 1)
    await step(town, moved.appointment_id, "undo", 2)
    tomorrow = await town.slots(day=TOMORROW)
    await move(town, moved.appointment_id, tomorrow[0].slot_id, 3)
    assert await ticket_of(town, moved.appointment_id) is None
    other = await town.booked("other")
    await move(town, other.appointment_id, tomorrow[1].slot_id, 1)
    town.now += timedelta(days=1)
    await step(town, other.appointment_id, "check-in", 2)
    assert await walk_in(town, "w") == 2
    await step(town, moved.appointment_id, "check-in", 4)
    assert [await ticket_of(town, each.appointment_id) for each in (other, moved)] == [1, 3]
    assert await walk_in(town, "x") == 4


async def test_moving_drops_a_ticket_whatever_left_it_there(town: BookingTown) -> None:
    moved = await town.booked("moved")
    async with town.db.begin(TOWN) as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE appointment SET ticket_no = 1, ticket_counter = counter")
    await move(town, moved.appointment_id, (await town.slots(day=TOMORROW))[0].slot_id, 1)
    assert await ticket_of(town, moved.appointment_id) is None
    town.now += timedelta(days=1)
    assert await walk_in(town, "w") == 1


async def test_an_undo_within_the_line_keeps_the_ticket(town: BookingTown) -> None:
    booked = await town.booked()
    for version, action in enumerate(("check-in", "call", "undo"), start=1):
        await step(town, booked.appointment_id, action, version)
    assert await ticket_of(town, booked.appointment_id) == 1


async def test_the_ticket_in_hand_stays_true_when_a_check_in_is_undone_and_done_again(town: BookingTown) -> None:
    """Seen to fail when an undo drops the ticket: the second check-in calls them by another number."""
    booked = await town.booked()
    await step(town, booked.appointment_id, "check-in", 1)
    assert await walk_in(town, "w") == 2
    await step(town, booked.appointment_id, "undo", 2)
    await step(town, booked.appointment_id, "check-in", 3)
    assert await ticket_of(town, booked.appointment_id) == 1
    assert await walk_in(town, "x") == 3


async def test_moving_within_the_counter_and_the_day_keeps_the_ticket(town: BookingTown) -> None:
    booked = await town.booked()
    await step(town, booked.appointment_id, "check-in", 1)
    await step(town, booked.appointment_id, "undo", 2)
    later = [slot for slot in await town.slots(day=date(2026, 6, 1)) if slot.free]
    await move(town, booked.appointment_id, later[2].slot_id, 3)
    await step(town, booked.appointment_id, "check-in", 4)
    assert await ticket_of(town, booked.appointment_id) == 1
