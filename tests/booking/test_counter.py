"""Staff's tablet: the line, two tablets at once, walk-ins, check-in, the board, and live events."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from services.booking.commands.line import MoveAlong, TakeWalkIn, move_along, take_walk_in
from services.booking.live import LineWatch
from shared.clock import utc_now
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.identity import SESSION_COOKIE
from tests.booking.conftest import CHILD, FAMILY, HOST, TOWN, BookingTown
from tests.booking.test_race import serving

STAFF = Identity(municipality=TOWN, kind="staff", ref="staff", session_id="s", roles=("counter",), office="子育て")


async def step(town: BookingTown, appointment_id: UUID, action: str, version: int) -> str:
    order = MoveAlong(appointment_id=appointment_id, action=action, version=version)  # type: ignore[arg-type]
    async with town.db.begin(TOWN) as session:
        return (await move_along(session, STAFF, order, now=town.now)).state


async def test_the_line_shows_names_for_calling_and_only_the_own_office(town: BookingTown) -> None:
    booked = await town.booked()
    await town.booked("b", procedure=FAMILY)
    async with town.staff() as staff, town.staff(office=None) as everywhere:
        page = (await staff.get("/counter")).text
        assert "ヨシザキ ハナコさま" in page
        assert "転入届" not in page.split("番号札を出す")[0].split("<aside")[0]
        assert "転入届" in (await everywhere.get("/counter/line")).text
        assert f"line-{booked.appointment_id}" in page


async def test_staff_only(town: BookingTown) -> None:
    async with town.browser() as guest, town.browser("h", kind="helper", roles=("helper",)) as helper:
        assert (await guest.get("/counter")).headers["location"].startswith("/sign-in")
        assert (await helper.get("/counter")).status_code == 403


async def test_from_reception_to_done_with_audit_and_events(town: BookingTown) -> None:
    booked = await town.booked()
    for version, action in enumerate(("check-in", "call", "start", "done", "undo"), start=1):
        await step(town, booked.appointment_id, action, version)
    rows = await town.rows("SELECT state, ticket_no, version FROM booking.appointment")
    assert [tuple(row) for row in rows] == [("serving", 1, 6)]  # type: ignore[arg-type]
    audit = await town.rows("SELECT command FROM booking.audit ORDER BY ref_version")
    assert [row.command for row in audit] == ["check-in", "call", "start", "done", "undo"]  # type: ignore[attr-defined]
    events = await town.rows("SELECT 1 FROM booking.outbox WHERE type = 'booking.appointment_progressed.v1'")
    assert len(events) == 5


async def test_of_two_tablets_one_wins_and_the_other_is_told(town: BookingTown) -> None:
    """Seen to fail without the version check in `move_along`: both succeed."""
    booked = await town.booked()
    outcomes = await asyncio.gather(
        *(step(town, booked.appointment_id, action, 1) for action in ("check-in", "no-show")), return_exceptions=True
    )
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert [refusal.code for refusal in refusals] == ["line_moved"]
    async with town.staff() as staff:
        late = await staff.post(f"/counter/{booked.appointment_id}/call", data={"version": "1"})
        assert late.status_code == 409
        assert "ほかの端末で先に操作されました" in late.text
        assert "今の状態" in late.text


async def test_other_offices_and_other_days_are_not_touched(town: BookingTown) -> None:
    other = await town.booked("b", procedure=FAMILY)
    with pytest.raises(Refusal, match="other_office"):
        await step(town, other.appointment_id, "check-in", 1)
    mine = await town.booked("c")
    town.now += timedelta(days=1)
    with pytest.raises(Refusal, match="not_today"):
        await step(town, mine.appointment_id, "check-in", 1)


async def test_checking_in_by_number_finds_the_way_even_at_the_wrong_counter(town: BookingTown) -> None:
    booked = await town.booked("b", procedure=FAMILY)
    async with town.staff() as staff:
        answer = await staff.post("/counter/check-in", data={"number": booked.number.lower()})
        page = await staff.get(answer.headers["location"])
        assert "ほかの課の予約です。3番にご案内ください。" in page.text
        again = await staff.post("/counter/check-in", data={"number": booked.number})
        assert again.status_code == 409
        assert (await staff.post("/counter/check-in", data={"number": "2222222"})).status_code in (400, 404)


async def test_a_walk_in_gets_a_ticket_without_a_name_once(town: BookingTown) -> None:
    order = TakeWalkIn(procedure=CHILD, key="k")
    async with town.db.begin(TOWN) as session:
        first = await take_walk_in(session, STAFF, order, now=town.now)
    async with town.db.begin(TOWN) as session:
        assert await take_walk_in(session, STAFF, order, now=town.now) == first
    async with town.staff() as staff:
        printed = await staff.get(f"/counter/tickets/{first.appointment_id}")
        assert "7-001" in printed.text
        answer = await staff.post("/counter/walk-ins", data={"procedure": CHILD, "idempotency_key": "other"})
        assert "7-002" in (await staff.get(answer.headers["location"])).text


async def test_tickets_are_never_given_twice(town: BookingTown) -> None:
    async def take(number: int) -> int | None:
        async with town.db.begin(TOWN) as session:
            return (
                await take_walk_in(session, STAFF, TakeWalkIn(procedure=CHILD, key=str(number)), now=town.now)
            ).ticket_no

    tickets = await asyncio.gather(*(take(number) for number in range(12)))
    assert sorted(ticket or 0 for ticket in tickets) == list(range(1, 13))


async def test_the_board_shows_numbers_only(town: BookingTown) -> None:
    booked = await town.booked()
    await step(town, booked.appointment_id, "check-in", 1)
    async with town.browser(None) as anybody:
        assert "7-001" not in (await anybody.get("/board/now")).text
        await step(town, booked.appointment_id, "call", 2)
        board = (await anybody.get("/board")).text
    assert "7-001" in board
    for secret in ("ハナコ", "花子", "児童手当", booked.number):
        assert secret not in board


async def test_the_board_says_nothing_of_what_somebody_came_for(town: BookingTown) -> None:
    """A discreet procedure (おくやみ, welfare) stands there as a number at a counter, like every other."""
    booked = await town.booked(procedure=FAMILY)
    async with town.staff(office="戸籍") as staff, town.browser(None) as anybody:
        await staff.post("/counter/check-in", data={"number": booked.number})
        for version, action in enumerate(("call", "start"), start=2):
            await staff.post(f"/counter/{booked.appointment_id}/{action}", data={"version": str(version)})
            shown = (await anybody.get("/board/now")).text
            assert "3-001" in shown
            for secret in ("転入届", FAMILY, "戸籍", "届出", "ハナコ", "花子", booked.number):
                assert secret not in shown


async def until_changed(heard: AsyncIterator[bool]) -> None:
    """A busy machine may take longer than a heartbeat to look."""
    while not await anext(heard):
        pass


async def test_followers_hear_of_changes_and_of_nothing(town: BookingTown) -> None:
    booked = await town.booked()
    watch = LineWatch(town.db, town.clock, heartbeat_s=1.0)
    heard = watch.follow(TOWN, "子育て")
    await until_changed(heard)  # the first look finds the line
    await step(town, booked.appointment_id, "check-in", 1)
    await until_changed(heard)
    assert await anext(heard) is False
    await watch.stop()
    with pytest.raises(StopAsyncIteration):
        await anext(heard)


async def test_the_stream_tells_of_a_new_arrival_and_ends_with_the_server(bare_town: BookingTown) -> None:
    town = bare_town
    town.now = utc_now()
    await town.open()
    token = town.token("staff", "staff", ("counter",), "子育て")
    headers = {"host": HOST, "cookie": f"{SESSION_COOKIE}={token}", "accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(timeout=60, trust_env=False) as client,
        serving(town) as url,
        client.stream("GET", f"{url}/counter/events", headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert "here" in await anext(lines)
        await asyncio.sleep(1)
        async with town.db.begin(TOWN) as session:
            await take_walk_in(session, STAFF, TakeWalkIn(procedure=CHILD, key="k"), now=town.now)
        async with asyncio.timeout(60):
            async for line in lines:
                if line == "event: line":
                    break


async def test_a_server_ends_in_time_while_a_tablet_listens(bare_town: BookingTown) -> None:
    town = bare_town
    town.now = utc_now()
    token = town.token("staff", "staff", ("counter",), "子育て")
    headers = {"host": HOST, "cookie": f"{SESSION_COOKIE}={token}", "accept": "text/event-stream"}
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client, serving(town) as url:
        request = client.build_request("GET", f"{url}/counter/events", headers=headers)
        answer = await client.send(request, stream=True)
        lines = answer.aiter_lines()
        assert "here" in await anext(lines)
        await asyncio.sleep(1)
        # Leaving `serving` sends SIGTERM while the stream is still open, and waits no longer than its limit.


async def test_after_check_in_a_row_shows_the_ticket_and_still_the_number_that_the_resident_holds(
    town: BookingTown,
) -> None:
    booked = await town.booked("guest")
    async with town.staff() as staff:
        before = (await staff.get("/counter/line")).text
        assert f"</span>{show_number(booked.number)}</span>" in before
        assert "line__reference" not in before
        await staff.post("/counter/check-in", data={"number": booked.number})
        await staff.post("/counter/walk-ins", data={"procedure": CHILD, "idempotency_key": "k"})
        after = (await staff.get("/counter/line")).text
    assert "</span>7-001</span>" in after
    assert re.findall(r'line__reference"><span[^>]*>予約番号</span>([^<]+)<', after) == [show_number(booked.number)]


async def test_only_who_was_received_is_said_to_be(town: BookingTown) -> None:
    """Fails without the state's check in `_find_checked_in` (seen): anybody of today is said to be received."""
    booked, other = await town.booked(), await town.booked("b", procedure=FAMILY)
    absent = await town.booked("c", slot=1)
    await step(town, absent.appointment_id, "no-show", 1)
    async with town.staff() as staff:
        for number in (booked.number, other.number, absent.number, "2222222", "x"):
            assert "を受け付けました" not in (await staff.get("/counter", params={"told": number})).text
        answer = await staff.post("/counter/check-in", data={"number": booked.number})
        assert "7-001を受け付けました" in (await staff.get(answer.headers["location"])).text
        await step(town, booked.appointment_id, "undo", 2)
        assert "を受け付けました" not in (await staff.get(answer.headers["location"])).text
    tomorrow = town.now + timedelta(days=1)
    await step(town, booked.appointment_id, "check-in", 3)
    town.now = tomorrow
    async with town.staff() as staff:
        assert "を受け付けました" not in (await staff.get(answer.headers["location"])).text
