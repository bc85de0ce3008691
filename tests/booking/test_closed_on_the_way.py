"""Several errands, and the counter of one of them closes meanwhile: what can be done goes on, the rest stays booked."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands import line
from services.booking.commands.chains import lock_arrival
from services.booking.worker import DUE_HANDLERS
from shared.errors import Refusal
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown
from tests.booking.hall import close, open_hall, picture, reopen
from tests.booking.one_stop_town import booked, open_town
from tests.booking.queue_town import arrive, row_of, take, walk_in
from tests.booking.test_deadlocks import until_somebody_waits
from tests.booking.test_late_steps import MERGE, late

CLOSED = "次の用事の7番は、今日は閉めました"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def house(bare_town: BookingTown) -> BookingTown:
    await open_town(bare_town)
    return bare_town


async def states(house: BookingTown) -> dict[str, str]:
    rows: list[Any] = await house.rows("SELECT procedure, state FROM booking.appointment WHERE kind = 'booked'")
    return {row.procedure: row.state for row in rows}


async def merge(house: BookingTown, step: dict[str, Any]) -> None:
    async with house.browser("all", kind="staff", roles=("counter",)) as staff:
        answer = await staff.post(MERGE, json={"steps": [step]})
    [merged] = answer.json()
    assert merged["is_merged"], merged


async def serve_first(house: BookingTown) -> tuple[UUID, UUID]:
    """Somebody is served for the first of their two errands; then the counter of the second closes."""
    move, child = await booked(house)
    house.now = move.starts_at
    await arrive(house, move.number)
    await take(house, move, "call")
    await take(house, move, "start")
    await close(house, "7")
    return move.appointment_id, child.appointment_id


@pytest.mark.parametrize("way", ["done", "finish", "merge"])
async def test_a_turn_ends_though_the_next_counter_is_closed(house: BookingTown, way: str) -> None:
    """Seen to fail without the look in `bring_on`: the refusal undoes the end of the turn with it."""
    move, child = await serve_first(house)
    version = (await row_of(house, move)).version
    if way == "merge":
        pressed = house.now + 5 * MINUTE
        house.now += 20 * MINUTE
        await merge(house, late("done", pressed, move, version))
    else:
        async with house.browser("all", kind="staff", roles=("counter",)) as staff:
            fields = {"version": str(version), "handed": "counter"}
            answer = await staff.post(f"/counter/{move}/{way}", data=fields)
            assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
            assert CLOSED in (await staff.get(answer.headers["location"])).text
    assert await states(house) == {FAMILY: "done", CHILD: "booked"}
    await reopen(house, "7")
    number = (await row_of(house, child)).number
    assert (await arrive(house, number)).counter == "7"


async def test_who_has_two_errands_checks_in_for_the_open_one(house: BookingTown) -> None:
    """Seen to fail without the look before the step: whichever number is shown, they would be sent away."""
    move, child = await booked(house)
    house.now = move.starts_at
    await close(house, "3")
    with pytest.raises(Refusal, match="counter_closed_now"):
        await arrive(house, move.number)
    async with house.database.owner_engine("booking").begin() as connection:
        await connection.execute(text("UPDATE booking.procedure SET after = '{}'"))
    async with house.browser("all", kind="staff", roles=("counter",)) as staff:
        answer = await staff.post("/counter/check-in", data={"number": child.number})
        assert "told=" in answer.headers["location"]
    assert await states(house) == {FAMILY: "booked", CHILD: "checked_in"}


async def test_a_family_checks_in_though_the_counter_of_one_is_closed(house: BookingTown) -> None:
    """Seen to fail without the look in `bring_on`."""
    move, _child = await booked(house)
    house.now = move.starts_at
    async with house.database.owner_engine("booking").begin() as connection:
        await connection.execute(text("UPDATE booking.procedure SET after = '{}'"))
        await connection.execute(
            text("UPDATE booking.appointment SET chain_person = 2 WHERE procedure = :child"), {"child": CHILD}
        )
    await close(house, "7")
    await arrive(house, move.number)
    assert await states(house) == {FAMILY: "checked_in", CHILD: "booked"}


async def test_the_next_errand_begins_when_the_one_before_was_over(house: BookingTown) -> None:
    """Pressed without network: seen to fail where the check-in for it is of the moment of merging."""
    move, child = await booked(house)
    house.now = move.starts_at
    await arrive(house, move.number)
    await take(house, move, "call")
    started = await take(house, move, "start")
    pressed = house.now + 5 * MINUTE
    house.now += 20 * MINUTE
    await merge(house, late("done", pressed, move.appointment_id, started.version))
    assert (await row_of(house, child.appointment_id)).queued_at == pressed


async def test_the_next_errand_does_not_begin_before_its_own_last_step(house: BookingTown) -> None:
    """Seen to fail where the moment of the press is taken as it is: `step_time_unfit`, and nothing is merged."""
    move, child = await booked(house)
    house.now = move.starts_at
    await arrive(house, move.number)
    await take(house, move, "call")
    started = await take(house, move, "start")
    pressed = house.now + 5 * MINUTE
    house.now += 10 * MINUTE
    await take(house, child, "check-in")
    await take(house, child, "undo")
    last = house.now - 10 * MINUTE + 10 * MINUTE
    house.now += 10 * MINUTE
    await merge(house, late("done", pressed, move.appointment_id, started.version))
    assert (await row_of(house, child.appointment_id)).queued_at == last


async def test_taking_the_end_back_takes_back_whom_it_brought_on(house: BookingTown) -> None:
    """Seen to fail without: they would wait at a counter to which nobody can call them, longer and longer."""
    move, child = await booked(house)
    house.now = move.starts_at
    await arrive(house, move.number)
    async with house.browser("all", kind="staff", roles=("counter",)) as staff:
        for version, action in enumerate(("call", "start", "done"), 2):
            await staff.post(f"/counter/{move.appointment_id}/{action}", data={"version": str(version)})
        assert await states(house) == {FAMILY: "done", CHILD: "checked_in"}
        await staff.post(f"/counter/{move.appointment_id}/undo", data={"version": "5"})
        assert await states(house) == {FAMILY: "serving", CHILD: "booked"}
        await staff.post(f"/counter/{move.appointment_id}/done", data={"version": "6"})
        assert await states(house) == {FAMILY: "done", CHILD: "checked_in"}
        # Whoever was touched since stays.
        await take(house, child, "prefer")
        await staff.post(f"/counter/{move.appointment_id}/undo", data={"version": "7"})
        assert await states(house) == {FAMILY: "serving", CHILD: "checked_in"}
    # They are served elsewhere, and wait nowhere.
    house.now += timedelta(hours=1)
    async with house.db.begin(TOWN) as session:
        await DUE_HANDLERS["wait_watch"](session, TOWN, "", house.now)
    assert await house.rows("SELECT 1 FROM booking.wait_alarm") == []
    found = (await picture(house))["7"].picture
    assert (found.waiting, found.since) == (0, None)


async def test_taking_a_move_back_brings_nobody_into_a_closed_line(bare_town: BookingTown) -> None:
    """Seen to fail without the look in `undo_step` (then by the trigger), and without the trigger."""
    await open_hall(bare_town)
    moved = await walk_in(bare_town)
    async with bare_town.browser("all", kind="staff", roles=("counter",)) as staff:
        fields = {"version": str(moved.version), "to": "8", "reason": "other", "note": "こちらへ", "counter": "7"}
        answer = await staff.post(f"/counter/{moved.appointment_id}/transfer", data=fields)
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
        await close(bare_town, "7")
        version = (await row_of(bare_town, moved.appointment_id)).version
        answer = await staff.post(f"/counter/{moved.appointment_id}/undo", data={"version": str(version)})
        assert "refused=counter_closed_now" in answer.headers["location"]
        assert (await row_of(bare_town, moved.appointment_id)).counter == "8"
        with pytest.raises(IntegrityError, match="line of a closed counter"):
            async with bare_town.db.begin(TOWN) as session:
                await session.execute(text("UPDATE line_step SET is_undone = true WHERE action = 'transfer'"))
        # Who is still there does not come into it: a call is taken back.
        await reopen(bare_town, "7")
        await take(bare_town, moved, "undo")
        await take(bare_town, moved, "call")
        await close(bare_town, "7")
        assert (await take(bare_town, moved, "undo")).state == "checked_in"


async def test_a_missing_person_is_not_brought_back_into_a_closed_line(bare_town: BookingTown) -> None:
    """Seen to fail where only a change of the counter is looked at."""
    await open_hall(bare_town)
    moved = await walk_in(bare_town)
    await take(bare_town, moved, "call")
    await take(bare_town, moved, "park")
    await take(bare_town, moved, "withdraw")
    await close(bare_town, "7")
    with pytest.raises(Refusal, match="counter_closed_now"):
        await take(bare_town, moved, "undo")


async def test_a_check_in_and_a_closing_lock_an_arrival_in_one_order(
    house: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail (a deadlock) where a step locks one part first, and the others by their times."""
    move, child = await booked(house)
    house.now = move.starts_at
    async with house.database.owner_engine("booking").begin() as connection:
        await connection.execute(text("UPDATE booking.procedure SET after = '{}'"))
        await connection.execute(
            text("UPDATE booking.appointment SET chain_person = 2 WHERE procedure = :p"), {"p": CHILD}
        )
    first, last = sorted((move, child), key=lambda each: each.appointment_id)
    begun = asyncio.Event()
    step = line._step

    async def step_slowly(*asked: Any, **more: Any) -> Any:
        if not begun.is_set():
            begun.set()
            await until_somebody_waits(house)
        return await step(*asked, **more)

    monkeypatch.setattr(line, "_step", step_slowly)

    async def lock_all() -> None:
        await begun.wait()
        async with house.db.begin(TOWN) as session:
            await session.execute(
                text("SELECT 1 FROM appointment WHERE appointment_id = ANY (:ids) ORDER BY appointment_id FOR UPDATE"),
                {"ids": [first.appointment_id, last.appointment_id]},
            )

    await asyncio.gather(lock_all(), take(house, last, "check-in"))
    assert await states(house) == {FAMILY: "checked_in", CHILD: "checked_in"}


async def test_a_closing_waits_for_whoever_is_at_work_with_an_arrival(house: BookingTown) -> None:
    """Seen to fail without the lock on the arrival in `lock_arrival`."""
    move, child = await booked(house)
    async with house.db.begin(TOWN) as session:
        await lock_arrival(session, TOWN, move.appointment_id)

        async def other() -> None:
            async with house.db.begin(TOWN) as second:
                await second.execute(
                    text(
                        "SELECT pg_advisory_xact_lock(hashtextextended("
                        "'chain/' || municipality || '/' || chain_id, 0)) FROM appointment"
                        " WHERE appointment_id = :id"
                    ),
                    {"id": child.appointment_id},
                )

        waiting = asyncio.create_task(other())
        await until_somebody_waits(house)
    await waiting
