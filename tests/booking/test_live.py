"""Live: a step is heard at once, what nobody says is found, who comes again is told what they missed and no more."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from services.booking import live
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.live import LineWatch
from shared.clock import utc_now
from shared.web.identity import SESSION_COOKIE
from tests.booking.conftest import CHILD, FAMILY, HOST, TOWN, BookingTown
from tests.booking.test_counter import STAFF, step
from tests.booking.test_race import serving

OFFICE, OTHER_OFFICE = "子育て", "戸籍"
# Longer than any test: what is heard was said.
NEVER_S = 600.0
HEARD_WITHIN_S = 30.0


@contextmanager
def without_polls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(live, "POLL_INTERVAL_S", NEVER_S)
        patched.setattr(live, "FAILED_PAUSE_S", 1.0)
        yield


async def until(heard: AsyncIterator[bool]) -> None:
    async with asyncio.timeout(HEARD_WITHIN_S):
        while not await anext(heard):
            pass


async def listeners(town: BookingTown) -> list[int]:
    async with town.database.admin_engine().connect() as connection:
        rows = await connection.execute(
            text("SELECT pid FROM pg_stat_activity WHERE query ILIKE 'LISTEN%' AND datname = current_database()")
        )
        return list(rows.scalars())


async def await_listener(town: BookingTown, *, other_than: tuple[int, ...] = ()) -> int:
    async with asyncio.timeout(HEARD_WITHIN_S):
        while True:
            found = [pid for pid in await listeners(town) if pid not in other_than]
            if found:
                return found[0]
            await asyncio.sleep(0.05)


async def test_a_step_is_heard_without_a_poll(town: BookingTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail without `nudge_line` in `commands/steps.py`."""
    booked = await town.booked()
    with without_polls(monkeypatch):
        watch = LineWatch(town.db, town.clock, heartbeat_s=0.2)
        heard = watch.follow(TOWN, OFFICE)
        await until(heard)
        await await_listener(town)
        assert await anext(heard) is False
        await step(town, booked.appointment_id, "check-in", 1)
        await until(heard)
        async with town.db.begin(TOWN) as session:
            await take_walk_in(session, STAFF, TakeWalkIn(procedure=CHILD, key="k"), now=town.now)
        await until(heard)
        await watch.stop()


async def test_a_booking_says_nothing_and_is_found_by_the_poll(
    town: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rush of bookings never waits for the lock that a commit with a NOTIFY takes."""
    with without_polls(monkeypatch):
        watch = LineWatch(town.db, town.clock, heartbeat_s=0.5)
        heard = watch.follow(TOWN, OFFICE)
        await until(heard)
        await await_listener(town)
        await town.booked()
        assert [await anext(heard) for _ in range(2)] == [False, False]
        await watch.stop()
    watch = LineWatch(town.db, town.clock, heartbeat_s=0.5)
    heard = watch.follow(TOWN, OFFICE)
    await until(heard)
    await town.booked("b", slot=1)
    await until(heard)
    await watch.stop()


async def test_after_a_lost_connection_it_listens_again(town: BookingTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail without the loop around `listen`; and what was said meanwhile without the look after it."""
    booked = await town.booked()
    with without_polls(monkeypatch):
        watch = LineWatch(town.db, town.clock, heartbeat_s=0.2)
        heard = watch.follow(TOWN, OFFICE)
        await until(heard)
        first = await await_listener(town)
        async with town.database.admin_engine().begin() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": first})
        await step(town, booked.appointment_id, "check-in", 1)
        await until(heard)
        await await_listener(town, other_than=(first,))
        await step(town, booked.appointment_id, "call", 2)
        await until(heard)
        await watch.stop()


async def test_one_connection_listens_for_all_and_ends_with_the_last(town: BookingTown) -> None:
    watch = LineWatch(town.db, town.clock, heartbeat_s=0.2)
    followers = [watch.follow(TOWN, office) for office in (OFFICE, OTHER_OFFICE, None, OFFICE)]
    for heard in followers:
        await until(heard)
    await await_listener(town)
    assert len(await listeners(town)) == 1
    for heard in followers:
        await heard.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(HEARD_WITHIN_S):
        while await listeners(town):
            await asyncio.sleep(0.05)


async def test_who_comes_again_is_told_at_once_what_they_missed_and_nothing_else(town: BookingTown) -> None:
    booked = await town.booked()
    watch, other_process = (LineWatch(town.db, town.clock, heartbeat_s=0.5) for _ in range(2))
    heard = watch.follow(TOWN, OFFICE)
    await until(heard)
    mark = watch.mark(TOWN, OFFICE)
    assert mark is not None
    again = other_process.follow(TOWN, OFFICE, seen=mark)
    assert await anext(again) is False
    await step(town, booked.appointment_id, "check-in", 1)
    await until(again)
    late = other_process.follow(TOWN, OFFICE, seen=mark)
    assert await anext(late) is True
    assert other_process.mark(TOWN, OFFICE) != mark
    # Another office's tablet, and yesterday's, have seen another line.
    assert watch.mark(TOWN, OTHER_OFFICE) not in (None, mark)
    town.now += timedelta(days=1)
    await until(late)
    await watch.stop()
    await other_process.stop()


async def test_a_step_elsewhere_is_told_to_the_town_and_not_to_the_office(town: BookingTown) -> None:
    watch = LineWatch(town.db, town.clock, heartbeat_s=1.0)
    here, everywhere = watch.follow(TOWN, OFFICE), watch.follow(TOWN, None)
    await until(here)
    await until(everywhere)
    async with town.db.begin(TOWN) as session:
        await take_walk_in(session, STAFF, TakeWalkIn(procedure=FAMILY, key="k"), now=town.now)
    await until(everywhere)
    assert await anext(here) is False
    await watch.stop()


async def test_the_stream_names_the_line_and_knows_it_again(bare_town: BookingTown) -> None:
    town = bare_town
    town.now = utc_now()
    await town.open()
    token = town.token("staff", "staff", ("counter",), OFFICE)
    headers = {"host": HOST, "cookie": f"{SESSION_COOKIE}={token}", "accept": "text/event-stream"}

    async def first_event(client: httpx.AsyncClient, url: str, seen: dict[str, str], within_s: float) -> str | None:
        """The id of the first event `line`, or None if there is none for so long."""
        async with client.stream("GET", f"{url}/counter/events", headers=headers | seen) as answer:
            lines = answer.aiter_lines()
            until_s = time.monotonic() + within_s
            found = None
            try:
                async with asyncio.timeout(within_s):
                    async for line in lines:
                        if line.startswith("id: "):
                            found = line.removeprefix("id: ")
                        if line == "event: line":
                            return found
            except TimeoutError:
                assert time.monotonic() >= until_s
        return None

    async with httpx.AsyncClient(timeout=60, trust_env=False) as client, serving(town) as url:
        mark = await first_event(client, url, {}, HEARD_WITHIN_S)
        assert mark
        assert await first_event(client, url, {"last-event-id": mark}, 2) is None
        async with town.db.begin(TOWN) as session:
            await take_walk_in(session, STAFF, TakeWalkIn(procedure=CHILD, key="k"), now=town.now)
        assert await first_event(client, url, {"last-event-id": mark}, HEARD_WITHIN_S) not in (None, mark)
