"""Somebody waits longer than the town promises: raised once, shown until seen, over when nobody does, and kept."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands.alarms import see_alarm
from services.booking.worker import DUE_HANDLERS
from shared.errors import Refusal
from shared.messaging.due import DueLoop
from tests.booking.conftest import FAMILY, TOWN, BookingTown
from tests.booking.hall import MANAGER, open_hall, picture, step, walk_in

PROMISE = timedelta(minutes=20)
SECOND = timedelta(seconds=1)
# The worker looks so often.
LOOK = timedelta(seconds=30)


@pytest_asyncio.fixture
async def hall(bare_town: BookingTown) -> BookingTown:
    await open_hall(bare_town, promise_min=20)
    return bare_town


async def look(town: BookingTown) -> None:
    """What the worker does by now."""
    loop = DueLoop(town.db, {"wait_watch": DUE_HANDLERS["wait_watch"]}, town.clock)
    while await loop.run_once():
        pass


async def alarms(town: BookingTown) -> list[tuple[str, bool, bool]]:
    """Of each alarm its counter, whether it is over, and whether it was seen."""
    rows = await town.rows("""
        SELECT counter, over_at IS NOT NULL, seen_at IS NOT NULL FROM booking.wait_alarm ORDER BY raised_at, counter
    """)
    return [tuple(row) for row in rows]  # type: ignore[misc, arg-type]


async def test_it_is_raised_once_when_the_promise_is_over_and_ends_with_the_wait(hall: BookingTown) -> None:
    waiting = await walk_in(hall)
    hall.now += PROMISE
    await look(hall)
    assert await alarms(hall) == []
    hall.now += LOOK
    await look(hall)
    await walk_in(hall)
    hall.now += LOOK
    await look(hall)
    assert await alarms(hall) == [("7", False, False)]
    await step(hall, waiting, "call")
    hall.now += LOOK
    await look(hall)
    assert await alarms(hall) == [("7", True, False)]
    # The next who waits too long is another alarm.
    hall.now += PROMISE
    await look(hall)
    assert await alarms(hall) == [("7", True, False), ("7", False, False)]


async def test_the_database_keeps_one_alarm_for_a_counter(hall: BookingTown) -> None:
    """By `wait_alarm_one_each_idx`, when two workers look at once."""
    await walk_in(hall)
    hall.now += PROMISE + SECOND
    for _ in range(2):
        async with hall.db.begin(TOWN) as session:
            await DUE_HANDLERS["wait_watch"](session, TOWN, "", hall.now)
    assert await alarms(hall) == [("7", False, False)]


async def test_who_is_set_aside_raises_none(hall: BookingTown) -> None:
    await step(hall, await walk_in(hall), "park")
    hall.now += PROMISE + LOOK
    await look(hall)
    assert await alarms(hall) == []


async def test_nobody_looks_while_nobody_waits(hall: BookingTown) -> None:
    async def marks() -> list[object]:
        return await hall.rows("SELECT due_at FROM booking.due WHERE kind = 'wait_watch'")

    assert await marks() == []
    first = await walk_in(hall)
    await walk_in(hall, FAMILY)
    assert [row.due_at for row in await marks()] == [hall.now + LOOK]  # type: ignore[attr-defined]
    hall.now += LOOK
    await look(hall)
    assert [row.due_at for row in await marks()] == [hall.now + LOOK]  # type: ignore[attr-defined]
    await step(hall, first, "call")
    async with hall.db.begin(TOWN) as session:
        await session.execute(text("UPDATE appointment SET state = 'done' WHERE state = 'checked_in'"))
    hall.now += LOOK
    await look(hall)
    assert await marks() == []


@pytest.mark.parametrize("back", [("undo",), ("park", "resume")])
async def test_whoever_is_back_in_the_line_is_looked_at_again(hall: BookingTown, back: tuple[str, ...]) -> None:
    """Seen to fail where only who comes into the line sets the watch: it has ended when nobody waited."""
    called = await step(hall, await walk_in(hall), "call")
    hall.now += LOOK
    await look(hall)
    await step(hall, called, *back)
    hall.now += PROMISE + LOOK
    await look(hall)
    assert await alarms(hall) == [("7", False, False)]


async def test_who_comes_early_waits_from_their_time(hall: BookingTown) -> None:
    """Seen to fail where the time of the check-in counts: in the alarm, in the picture and in the reports."""
    booked = await hall.booked("b")
    hall.now = booked.starts_at - 2 * PROMISE
    async with hall.browser("all", kind="staff", roles=("counter",)) as staff:
        await staff.post("/counter/check-in", data={"number": booked.number})
    hall.now = booked.starts_at + PROMISE
    await look(hall)
    assert await alarms(hall) == []
    found = (await picture(hall))["7"]
    assert (found.picture.since, found.wait_min) == (booked.starts_at, 20)
    hall.now += LOOK
    await look(hall)
    assert await alarms(hall) == [("7", False, False)]
    async with hall.browser("all", kind="staff", roles=("counter",)) as staff:
        await staff.post("/counter/next", data={"counter": "7"})
    rows = await hall.rows("SELECT waited_s FROM booking.line_step WHERE waited_s IS NOT NULL")
    assert [row.waited_s for row in rows] == [(PROMISE + LOOK).total_seconds()]  # type: ignore[attr-defined]


async def test_it_ends_with_the_day(hall: BookingTown) -> None:
    await walk_in(hall)
    hall.now += PROMISE + LOOK
    await look(hall)
    hall.now += timedelta(days=1)
    await look(hall)
    assert await alarms(hall) == [("7", True, False)]


async def test_an_alarm_that_nobody_raised_is_seen_by_nobody(hall: BookingTown) -> None:
    with pytest.raises(Refusal, match="alarm_unknown"):
        async with hall.db.begin(TOWN) as session:
            await see_alarm(session, MANAGER, uuid4(), now=hall.now)


@pytest.mark.parametrize("swaps", [True, False])
async def test_staff_see_it_and_say_so(hall: BookingTown, *, swaps: bool) -> None:
    await walk_in(hall)
    await walk_in(hall, FAMILY)
    hall.now += PROMISE + timedelta(minutes=3)
    await look(hall)
    headers = {"hx-request": "true"} if swaps else {}
    async with hall.staff(office="子育て") as clerk, hall.staff("b", office="戸籍") as other:
        shown = (await clerk.get("/counter/alarms")).text
        assert "7番：約束の20分をこえて、23分お待ちの方がいます" in shown
        assert "3番" not in shown
        assert "3番" in (await other.get("/counter/alarms")).text
        address = shown.split('action="')[1].split('"')[0]
        assert "data-alarm=" in shown
        answer = await clerk.post(address, headers=headers)
        assert answer.status_code == (httpx.codes.OK if swaps else httpx.codes.SEE_OTHER)
        shown = (await clerk.get("/counter/alarms")).text
        assert "data-alarm=" not in shown
        assert "午前9時23分に職員が確かめました" in shown
        # Who comes second changes nothing.
        hall.now += SECOND
        await clerk.post(address, headers=headers)
        unknown = await clerk.post("/counter/alarms/00000000-0000-0000-0000-000000000000/seen", headers=headers)
        assert unknown.status_code == httpx.codes.NOT_FOUND
    assert await alarms(hall) == [("3", False, False), ("7", False, True)]
    seen = await hall.rows("SELECT seen_by FROM booking.wait_alarm WHERE seen_by IS NOT NULL")
    assert [tuple(row) for row in seen] == [("staff",)]  # type: ignore[arg-type]
    deeds = await hall.rows("SELECT count(*) FROM booking.audit WHERE action = 'see-alarm'")
    assert [tuple(row) for row in deeds] == [(1,)]  # type: ignore[arg-type]
    async with hall.browser("boss", kind="staff", roles=("manager",)) as boss:
        page = (await boss.get("/counter/today")).text
        assert "約束の20分より長くお待ちの方がいます" in page
        assert page.count('id="alarm-') == 2
