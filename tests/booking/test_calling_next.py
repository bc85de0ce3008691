"""The next please: by the town's rules, two tablets never the same person, nobody parked; and the wait that is told."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.booking.commands.calling_next import CallNext, call_next
from services.booking.flow import Rush
from services.booking.queries.line import list_line_rows
from services.booking.queries.waits import count_before, estimate_waits, measure_told
from shared.clock import jst_day
from shared.errors import Refusal
from tests.booking.conftest import FAMILY, TOWN, BookingTown
from tests.booking.queue_town import (
    HALL,
    STAFF,
    arrive,
    clock,
    count,
    next_please,
    open_town,
    row_of,
    take,
    walk_in,
)
from tests.booking.test_kiosk import take_ticket


async def test_whose_turn_it_is_is_called(bare_town: BookingTown) -> None:
    """Booked at 10:00 (the first that can be booked at 9:00 is at 9:30)."""
    town = bare_town
    await open_town(town)
    early = await town.booked()
    first, second = await walk_in(town), await walk_in(town)
    await arrive(town, early.number)
    assert (await next_please(town)).appointment_id == first.appointment_id
    town.now = early.starts_at
    moved = await next_please(town)
    assert (moved.appointment_id, moved.state, moved.counter) == (early.appointment_id, "called", "7")
    assert (await next_please(town)).appointment_id == second.appointment_id
    with pytest.raises(Refusal, match="nobody_waits"):
        await next_please(town)


async def test_two_tablets_never_call_the_same_person(bare_town: BookingTown) -> None:
    """Seen to fail where `call_next` calls the first of the line as it was read: all call the same person."""
    town = bare_town
    await open_town(town)
    people = [await walk_in(town) for _ in range(8)]
    rush = Rush()
    called = await asyncio.gather(*(next_please(town, rush=rush) for _ in range(8)))
    assert {each.appointment_id for each in called} == {each.appointment_id for each in people}
    assert await count(town, "line_step WHERE action = 'call'") == 8


async def test_a_button_of_somebodys_own_beside_it(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    first, second = await walk_in(town), await walk_in(town)
    outcomes = await asyncio.gather(take(town, first, "call", version=1), next_please(town), return_exceptions=True)
    called = {each.appointment_id for each in outcomes if not isinstance(each, BaseException)}
    refused = [each.code for each in outcomes if isinstance(each, Refusal)]
    assert called == {first.appointment_id, second.appointment_id} or (
        called == {first.appointment_id} and refused == ["line_moved"]
    )


async def test_the_same_order_again_is_the_same_person(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    first, _ = await walk_in(town), await walk_in(town)
    twice = [await next_please(town, key="k") for _ in range(2)]
    assert [each.appointment_id for each in twice] == [first.appointment_id] * 2
    assert await count(town, "appointment WHERE state = 'called'") == 1


async def test_who_booked_before_the_counter_changed_its_office_holds_up_nobody(bare_town: BookingTown) -> None:
    """Seen to fail where the office of the booking counts: nobody at the counter can be called any more."""
    await open_town(bare_town)
    first, second = await walk_in(bare_town), await walk_in(bare_town)
    async with bare_town.database.owner_engine("booking").begin() as connection:
        change = text("UPDATE booking.appointment SET office = '総務' WHERE appointment_id = :id")
        await connection.execute(change, {"id": first.appointment_id})
    async with bare_town.staff() as staff:
        for _ in range(2):
            await staff.post("/counter/next", data={"counter": "7"})
    rows = [await row_of(bare_town, each.appointment_id) for each in (first, second)]
    assert [(row.state, row.office) for row in rows] == [("called", "子育て")] * 2


async def test_only_at_a_counter_of_ones_own_office(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    await walk_in(town, FAMILY)
    with pytest.raises(Refusal, match="other_office"):
        await next_please(town, "3")
    with pytest.raises(Refusal, match="counter_unknown"):
        await next_please(town, "9")
    assert (await next_please(town, "3", who=HALL)).counter == "3"


async def test_who_is_parked_is_not_called_and_comes_back_to_their_place(bare_town: BookingTown) -> None:
    """Seen to fail where the parked are not passed over."""
    town = bare_town
    await open_town(town)
    first, second = await walk_in(town), await walk_in(town)
    await take(town, first, "park")
    assert (await next_please(town)).appointment_id == second.appointment_id
    with pytest.raises(Refusal, match="nobody_waits"):
        await next_please(town)
    third = await walk_in(town)
    await take(town, first, "resume")
    assert [(await next_please(town)).appointment_id for _ in range(2)] == [first.appointment_id, third.appointment_id]


async def test_after_so_many_who_booked_somebody_who_walked_in_is_called(bare_town: BookingTown) -> None:
    """Seen to fail where those who were called before are not counted; what was taken back is not counted either."""
    town = bare_town
    await open_town(town, places=6, booked_in_a_row=2)
    booked = [await town.booked(f"g{number}") for number in range(5)]
    walked_in = await walk_in(town)
    town.now = booked[0].starts_at
    for each in booked:
        await arrive(town, each.number)
    first = await next_please(town)
    await next_please(town)
    third = await next_please(town)
    assert third.appointment_id == walked_in.appointment_id
    await take(town, third, "undo")
    await take(town, first, "undo")
    # One in a row now: the one who was taken back, and then somebody who walked in.
    assert (await next_please(town)).appointment_id == first.appointment_id
    assert (await next_please(town)).appointment_id == walked_in.appointment_id
    assert (await row_of(town, (await next_please(town)).appointment_id)).kind == "booked"


async def test_the_list_on_the_tablet_has_the_same_order(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town, places=6, booked_in_a_row=1)
    booked = [await town.booked(f"g{number}") for number in range(3)]
    for _ in range(3):
        await walk_in(town)
    town.now = booked[0].starts_at
    for each in booked:
        await arrive(town, each.number)
    async with town.db.begin(TOWN) as session:
        rows = await list_line_rows(session, TOWN, jst_day(town.now), None, counter="7", now=town.now)
        places = [await count_before(session, TOWN, "7", row.appointment_id, now=town.now) for row in rows]
    assert places == list(range(6))
    assert [row.kind for row in rows] == ["booked", "walk_in"] * 3
    called = []
    for _ in rows:
        town.now += timedelta(seconds=1)
        called.append((await next_please(town)).appointment_id)
    assert called == [row.appointment_id for row in rows]


async def test_yesterday_is_over_at_midnight(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    town.now = clock(town, "23:59")
    await walk_in(town)
    town.now += timedelta(minutes=1)
    with pytest.raises(Refusal, match="nobody_waits"):
        await next_please(town)
    new = await walk_in(town)
    assert new.ticket_no == 1
    assert (await next_please(town)).appointment_id == new.appointment_id


async def test_by_the_page_and_by_the_api(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    first, second = await walk_in(town), await walk_in(town)
    async with town.staff() as staff:
        answer = await staff.post("/counter/next", data={"counter": "7", "idempotency_key": "k"})
        assert answer.status_code == httpx.codes.SEE_OTHER
        assert "7-001を呼び出しました" in (await staff.get(answer.headers["location"])).text
        again = await staff.post("/counter/next", data={"counter": "7", "idempotency_key": "k"})
        assert again.headers["location"] == answer.headers["location"]
        told = await staff.post("/booking/api/line/next", json={"counter": "7"}, headers={"idempotency-key": "n"})
        assert (told.status_code, told.json()["ticket"]) == (httpx.codes.OK, "7-002")
        nobody = await staff.post("/booking/api/line/next", json={"counter": "7"}, headers={"idempotency-key": "o"})
        assert (nobody.status_code, nobody.json()["code"]) == (httpx.codes.CONFLICT, "nobody_waits")
        answer = await staff.post("/counter/next", data={"counter": "7"})
        assert "今、この窓口でお待ちの方はいません" in (await staff.get(answer.headers["location"])).text
        answer = await staff.post("/counter/next", data={"counter": "7"}, headers={"hx-request": "true"})
        assert answer.status_code == httpx.codes.CONFLICT
    assert {first.appointment_id, second.appointment_id} == {
        row.appointment_id  # type: ignore[attr-defined]
        for row in await town.rows("SELECT appointment_id FROM booking.appointment WHERE state = 'called'")
    }


async def waits(town: BookingTown) -> Any:
    async with town.db.begin(TOWN) as session:
        return await estimate_waits(session, TOWN, jst_day(town.now), town.now)


async def test_the_wait_is_told_from_the_catalogue_at_first_and_then_from_today(bare_town: BookingTown) -> None:
    """Half an hour each, one after another; once three have taken ten minutes only, twenty."""
    town = bare_town
    await open_town(town, places=1, promise_min=60)
    here = (await waits(town))["7"]
    assert (here.waiting, here.wait_min, here.lamp) == (0, 0, "quiet")
    people = [await walk_in(town) for _ in range(3)]
    here = (await waits(town))["7"]
    assert (here.waiting, here.wait_min, here.lamp) == (3, 90, "full")
    for _ in people:
        called = await next_please(town)
        await take(town, called, "start")
        town.now += timedelta(minutes=10)
        await take(town, called, "done")
    told = await town.rows("SELECT told_min FROM booking.line_step WHERE told_min IS NOT NULL ORDER BY told_min")
    assert [row.told_min for row in told] == [0, 30, 60]  # type: ignore[attr-defined]
    for _ in range(3):
        await walk_in(town)
    here = (await waits(town))["7"]
    assert (here.wait_min, here.lamp) == (60, "busy")
    async with town.db.begin(TOWN) as session:
        measured = await measure_told(session, TOWN, jst_day(town.now), jst_day(town.now))
    # They were told 0, 30 and 60 minutes, and called after 0, 10 and 20.
    assert (measured.people, measured.mean_error_min, measured.bias_min) == (3, 20.0, -20.0)


async def test_who_booked_is_reckoned_with(bare_town: BookingTown) -> None:
    """Half an hour each: who walked in waits for the one before them, and for the one whose time comes meanwhile."""
    town = bare_town
    await open_town(town, places=1)
    booked = await town.booked()
    town.now = booked.starts_at - timedelta(minutes=10)
    assert (await waits(town))["7"].wait_min == 0
    await walk_in(town)
    assert (await waits(town))["7"].wait_min == 60
    town.now = booked.starts_at + timedelta(minutes=5)
    # They may still come, but nobody reckons with them any more.
    assert (await waits(town))["7"].wait_min == 30


async def test_who_is_set_aside_is_told_nothing(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    parked = await walk_in(town)
    await take(town, parked, "park")
    async with town.db.begin(TOWN) as session:
        assert await count_before(session, TOWN, "7", parked.appointment_id, now=town.now) is None
        assert (await estimate_waits(session, TOWN, jst_day(town.now), town.now))["7"].waiting == 0


async def test_a_refused_call_keeps_no_key(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    key = uuid4().hex
    with pytest.raises(Refusal, match="nobody_waits"):
        await next_please(town, key=key)
    first = await walk_in(town)
    async with town.db.begin(TOWN) as session:
        moved = await call_next(session, STAFF, CallNext(counter="7", key=key), now=town.now)
    assert moved.appointment_id == first.appointment_id


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("7:59", "tickets_not_yet"), ("8:00", None), ("12:30", None), ("16:59", None), ("17:00", "tickets_over")],
)
async def test_the_machine_gives_tickets_until_shortly_before_closing_and_staff_always(
    bare_town: BookingTown, moment: str, expected: str | None
) -> None:
    """Seen to fail without `refuse_no_tickets`."""
    town = bare_town
    await open_town(town)
    town.now = clock(town, moment)
    if expected is None:
        assert await take_ticket(town) == "1"
    else:
        with pytest.raises(Refusal, match=expected):
            await take_ticket(town)
    assert (await walk_in(town)).ticket_no == (2 if expected is None else 1)
    assert (await next_please(town)).state == "called"


async def test_the_machine_gives_none_between_the_years(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    town.now = clock(town, "10:00").replace(month=12, day=28)
    assert await take_ticket(town) == "1"
    town.now += timedelta(days=1)
    with pytest.raises(Refusal, match="tickets_over"):
        await take_ticket(town)
