"""A counter runs late: what comes after it in the same arrival is planned again, and the person is told."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from services.booking.commands.appointments import Booked
from services.booking.commands.replanning import WATCH_EVERY, on_watch_chain_due
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown, TownAfter
from tests.booking.one_stop_town import booked, open_town


@pytest.fixture
async def house(town_after: TownAfter) -> BookingTown:
    return await town_after(open_town)


async def run(house: BookingTown, sql: str, **values: object) -> None:
    async with house.database.owner_engine("booking").begin() as connection:
        await connection.execute(text(sql), values)


async def look(house: BookingTown) -> None:
    """What the worker does when it is due, with its row."""
    due = await house.rows("SELECT ref FROM booking.due WHERE kind = 'watch_chain'")
    async with house.db.begin(TOWN) as session:
        await session.execute(text("DELETE FROM due WHERE kind = 'watch_chain'"))
        await on_watch_chain_due(session, TOWN, due[0].ref, house.now)  # type: ignore[attr-defined]


async def is_called_in(house: BookingTown, appointment: Booked, state: str, *, at: datetime) -> None:
    await run(
        house,
        f"UPDATE booking.appointment SET state = :state, {state}_at = :at WHERE appointment_id = :id",
        state=state,
        at=at,
        id=appointment.appointment_id,
    )


async def starts(house: BookingTown, procedure: str) -> datetime:
    rows = await house.rows("SELECT starts_at FROM booking.appointment WHERE procedure = :code", code=procedure)
    at: datetime = rows[0].starts_at  # type: ignore[attr-defined]
    return at


async def next_look(house: BookingTown) -> datetime | None:
    rows = await house.rows("SELECT due_at FROM booking.due WHERE kind = 'watch_chain'")
    return rows[0].due_at if rows else None  # type: ignore[attr-defined]


async def test_who_is_kept_gets_the_next_best_times_of_the_day_and_is_told(house: BookingTown) -> None:
    """The move waits at 10:30 and takes 40 minutes: the allowance at 11:00 would be missed by thirteen."""
    move, child = await booked(house)
    assert await next_look(house) == move.ends_at
    await is_called_in(house, move, "checked_in", at=move.starts_at)
    house.now = move.starts_at + timedelta(minutes=30)
    await look(house)
    assert await starts(house, FAMILY) == move.starts_at
    assert await starts(house, CHILD) == child.starts_at + timedelta(minutes=30)
    told = await house.rows("SELECT 1 FROM booking.outbox WHERE type = 'booking.appointment_changed.v1'")
    assert len(told) == 1
    taken = await house.rows("SELECT 1 FROM booking.place WHERE appointment_id IS NOT NULL")
    assert len(taken) == 2
    assert await next_look(house) == house.now + WATCH_EVERY


@pytest.mark.parametrize(("minutes", "is_late"), [(17, False), (18, True)])
async def test_to_the_minute(house: BookingTown, minutes: int, is_late: bool) -> None:
    """Served 40 minutes from 10:17 on, and three minutes of walk: 11:00."""
    move, child = await booked(house)
    house.now = move.starts_at + timedelta(minutes=minutes)
    await is_called_in(house, move, "serving", at=house.now)
    await look(house)
    assert (await starts(house, CHILD) != child.starts_at) == is_late


async def test_whoever_is_not_here_yet_or_is_through_keeps_their_times(house: BookingTown) -> None:
    move, child = await booked(house)
    house.now = move.starts_at + timedelta(minutes=30)
    await look(house)
    assert await starts(house, CHILD) == child.starts_at
    await is_called_in(house, move, "done", at=house.now)
    await look(house)
    assert await starts(house, CHILD) == child.starts_at
    house.now = child.starts_at
    await look(house)
    assert await next_look(house) is None


async def test_where_nothing_is_left_of_the_day_all_stays(house: BookingTown) -> None:
    move, child = await booked(house)
    await run(house, "UPDATE booking.slot SET withdrawn = true WHERE counter = '7' AND starts_at < :tomorrow",
              tomorrow=house.now + timedelta(hours=12))  # fmt: skip
    await is_called_in(house, move, "checked_in", at=move.starts_at)
    house.now = move.starts_at + timedelta(minutes=30)
    await look(house)
    assert await starts(house, CHILD) == child.starts_at
    assert await next_look(house) == house.now + WATCH_EVERY
