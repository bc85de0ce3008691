"""Two transactions that mark the same counters wait for each other in one direction only; a deadlock is tried again."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import MARK_DIRTY
from services.booking.flow import TRIES, Rush
from tests.booking.conftest import TOWN, BookingTown

_MARK = text(MARK_DIRTY.format(changed="(SELECT * FROM unnest(CAST(:counters AS text[])) AS each (counter))"))
# Asked by the administrator: to others, PostgreSQL does not say what a session waits for.
_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'choudo-booking' AND wait_event_type = 'Lock'"
    " AND datname = :name"
)
_DEADLOCK = text("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$")


async def mark(session: AsyncSession, town: BookingTown, *counters: str) -> None:
    values = {"municipality": TOWN, "counters": list(counters), "settle_at": town.now}
    await session.execute(_MARK, values)


async def until_somebody_waits(town: BookingTown, sessions: int = 1) -> None:
    async with asyncio.timeout(60):
        while True:
            async with town.database.admin_engine().connect() as connection:
                found = await connection.execute(_WAITING, {"name": town.db.engine.url.database})
                if found.scalar_one() >= sessions:
                    return
            await asyncio.sleep(0.01)


async def test_counters_are_marked_in_one_order_whatever_order_they_come_in(bare_town: BookingTown) -> None:
    """Fails without ORDER BY in MARK_DIRTY (seen): PostgreSQL ends one of the two as a deadlock."""
    town = bare_town

    async def mark_both() -> None:
        async with town.db.begin(TOWN) as session:
            await mark(session, town, "7", "3")

    async with town.db.begin(TOWN) as first:
        await mark(first, town, "3")
        second = asyncio.create_task(mark_both())
        await until_somebody_waits(town)
        await mark(first, town, "7")
    await second
    rows = await town.rows("SELECT ref FROM booking.due WHERE kind = 'availability' ORDER BY ref")
    assert [row.ref for row in rows] == ["3", "7"]  # type: ignore[attr-defined]


async def test_a_deadlock_is_tried_again_and_not_for_ever(bare_town: BookingTown) -> None:
    tries = 0

    async def work(session: AsyncSession, *, deadlocks: int) -> str:
        nonlocal tries
        tries += 1
        if tries <= deadlocks:
            await session.execute(_DEADLOCK)
        return "done"

    assert await Rush().run(bare_town.db, TOWN, lambda session: work(session, deadlocks=1)) == "done"
    assert tries == 2
    tries = 0
    with pytest.raises(DBAPIError):
        await Rush().run(bare_town.db, TOWN, lambda session: work(session, deadlocks=TRIES))
    assert tries == TRIES
