"""When the earliest free place of a counter can change by itself: a hold lapses, it passes, or a minute is over."""

from datetime import datetime, timedelta

from sqlalchemy import text

from services.booking.commands.availability import _NEXT_LAPSE, LOOK_AGAIN, publish_availability
from services.booking.commands.marks import SETTLE
from tests.booking.conftest import FAMILY, TOWN, BookingTown


async def next_look(town: BookingTown, counter: str) -> timedelta:
    async with town.db.begin(TOWN) as session:
        when: datetime = await publish_availability(session, TOWN, counter, now=town.now)
    return when - town.now


async def test_a_counter_is_looked_at_when_its_own_next_hold_lapses(town: BookingTown) -> None:
    """Seen to fail without `s.counter`: another counter's hold wakes this one."""
    slots = await town.slots("3")
    assert await next_look(town, "3") == LOOK_AGAIN
    began = town.now
    for number, slot in enumerate(slots[:3]):
        town.now = began + timedelta(seconds=10 * number)
        guest = f"guest-{number}"
        await town.hold(await town.visit(guest, procedure=FAMILY), guest, slot.slot_id)
    lapses = began + timedelta(minutes=10)
    for before, looked in (
        (timedelta(seconds=61), LOOK_AGAIN),
        (timedelta(seconds=59), timedelta(seconds=59)),
        (timedelta(seconds=5), timedelta(seconds=5)),
        # The first has lapsed: it is the next one's turn.
        (timedelta(seconds=-1), timedelta(seconds=9)),
        (timedelta(seconds=-30), LOOK_AGAIN),
    ):
        town.now = lapses - before
        assert await next_look(town, "3") == max(looked, SETTLE), before
        assert await next_look(town, "7") == LOOK_AGAIN, before


async def test_the_next_lapse_is_found_by_its_index(town: BookingTown) -> None:
    """Seen to fail without the index: every place of the counter is read, under the lock of its `due` row."""
    sql = _NEXT_LAPSE.sql
    values = {"municipality": TOWN, "counter": "7", "now": town.now, "look_again": town.now + LOOK_AGAIN}
    literals = {"municipality": "text", "counter": "text", "now": "timestamptz", "look_again": "timestamptz"}
    for number, name in enumerate(_NEXT_LAPSE.names, start=1):
        sql = sql.replace(f"${number}", f"CAST('{values[name]}' AS {literals[name]})")
    async with town.database.owner_engine("booking").connect() as connection:
        await connection.execute(text("SET search_path = booking"))
        await connection.execute(text("ANALYZE slot, place"))
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {sql}"))).scalars())
    assert "place_next_lapse_idx" in plan
    assert "Seq Scan on place" not in plan
