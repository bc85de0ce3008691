"""Staff's tablet: the line, two tablets at once, walk-ins, check-in, the board, and live events."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from services.booking.commands.line import MoveAlong, move_along
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.live import LineWatch
from shared.clock import utc_now
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.identity import SESSION_COOKIE
from tests.booking.conftest import CHILD, FAMILY, HOST, TOWN, BookingTown
from tests.booking.test_race import serving

STAFF = Identity(municipality=TOWN, kind="staff", ref="staff", session_id="s", roles=("counter",), office="子育て")


async def follow(staff: httpx.AsyncClient, path: str, **fields: str) -> str:
    """Post a form as a browser without JavaScript does; the page that it leads to."""
    answer = await staff.post(path, data=fields)
    assert answer.status_code == 303, answer.text
    page = await staff.get(answer.headers["location"])
    assert page.status_code == 200
    return page.text


async def swap(staff: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Post a form as htmx does; the answer with what to put where."""
    return await staff.post(path, data=fields, headers={"hx-request": "true"})


def order_of(page: str) -> list[str]:
    """The numbers of the line, from the top."""
    return re.findall(r'class="line__number"><span[^>]*>番号</span>([^<]+)<', page)


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
    audit = await town.rows("SELECT action FROM booking.audit WHERE actor_kind = 'staff' ORDER BY ref_version")
    assert [row.action for row in audit] == ["check-in", "call", "start", "done", "undo"]  # type: ignore[attr-defined]
    events = await town.rows("SELECT 1 FROM booking.outbox WHERE type = 'booking.appointment_progressed.v1'")
    assert len(events) == 5


async def test_of_two_tablets_one_wins_and_the_other_is_told(town: BookingTown) -> None:
    """Seen to fail without the version check in `move_along`: both succeed."""
    booked = await town.booked()
    town.now += timedelta(hours=2)  # past their time: both are possible
    outcomes = await asyncio.gather(
        *(step(town, booked.appointment_id, action, 1) for action in ("check-in", "no-show")), return_exceptions=True
    )
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert [refusal.code for refusal in refusals] == ["line_moved"]
    async with town.staff() as staff:
        late = await staff.post(f"/counter/{booked.appointment_id}/call", data={"version": "1"})
        assert late.status_code == 303
        assert late.headers["location"].endswith(f"#line-{booked.appointment_id}")
        told = (await staff.get(late.headers["location"])).text
        assert "ほかの端末で先に操作されました" in told
        assert "今の状態" in told


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
        again = await follow(staff, "/counter/check-in", number=booked.number)
        assert "すでに受け付けています（3-001・3番）" in again
        assert "予約番号を読みとれませんでした" in await follow(staff, "/counter/check-in", number="222222A")


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
    """Fails without the checks of state and version in `find_told`: anybody of today is said to be received."""
    booked, other = await town.booked(), await town.booked("b", procedure=FAMILY)
    absent = await town.booked("c", slot=1)
    town.now += timedelta(hours=2)
    await step(town, absent.appointment_id, "no-show", 1)
    async with town.staff() as staff:
        for number in (booked.number, other.number, absent.number, "2222222", "x"):
            said = {"told": number, "did": "check-in", "v": "1"}
            assert "を受け付けました" not in (await staff.get("/counter", params=said)).text
        answer = await staff.post("/counter/check-in", data={"number": booked.number})
        assert "7-001を受け付けました" in (await staff.get(answer.headers["location"])).text
        await step(town, booked.appointment_id, "undo", 2)
        assert "を受け付けました" not in (await staff.get(answer.headers["location"])).text
    tomorrow = town.now + timedelta(days=1)
    await step(town, booked.appointment_id, "check-in", 3)
    town.now = tomorrow
    async with town.staff() as staff:
        assert "を受け付けました" not in (await staff.get(answer.headers["location"])).text


async def test_who_is_here_stands_above_who_is_expected(town: BookingTown) -> None:
    late, early = await town.booked("late", slot=2), await town.booked("early")
    async with town.staff() as staff:
        for key in ("a", "b", "c", "d"):
            await staff.post("/counter/walk-ins", data={"procedure": CHILD, "idempotency_key": key})
        ids = {
            row.ticket_no: row.appointment_id  # type: ignore[attr-defined]
            for row in await town.rows(
                "SELECT ticket_no, appointment_id FROM booking.appointment WHERE kind = 'walk_in'"
            )
        }
        for ticket, actions in ((1, ("call", "start", "done")), (3, ("call",)), (4, ("call", "no-show"))):
            for version, action in enumerate(actions, start=1):
                await step(town, ids[ticket], action, version)
        line = (await staff.get("/counter/line")).text
    expected = [show_number(early.number), show_number(late.number)]
    assert order_of(line) == ["7-003", "7-002", *expected, "7-004", "7-001"]
    assert "終わった方（1人）" in line
    assert "お待ちの方 1人" in line


async def test_a_step_says_what_it_did_and_leads_back_to_its_row(town: BookingTown) -> None:
    booked = await town.booked()
    row = f"/counter/{booked.appointment_id}"
    async with town.staff() as staff:
        await staff.post("/counter/check-in", data={"number": booked.number})
        answer = await staff.post(f"{row}/call", data={"version": "2", "counter": "7"})
        assert answer.headers["location"].endswith(f"#line-{booked.appointment_id}")
        assert "counter=7" in answer.headers["location"]
        page = (await staff.get(answer.headers["location"])).text
        assert "7-001を呼び出しました" in page
        # A way back stands beside it.
        assert f'action="{row}/undo"' in page.split('id="counter-told"')[1].split("staff-layout")[0]
        assert "「受付」にもどしました" in await follow(staff, f"{row}/undo", version="3")
        # What is not true any more is not said again by a reload.
        assert "呼び出しました" not in (await staff.get(answer.headers["location"])).text


async def test_with_htmx_the_line_and_the_message_are_swapped(town: BookingTown) -> None:
    booked = await town.booked()
    row = f"/counter/{booked.appointment_id}"
    async with town.staff() as staff:
        answer = await swap(staff, "/counter/check-in", number=booked.number)
        assert answer.status_code == 200
        assert "<html" not in answer.text
        assert 'hx-swap-oob="innerHTML:#counter-told"' in answer.text
        assert "7-001を受け付けました" in answer.text
        assert order_of(answer.text) == ["7-001"]
        again = await swap(staff, "/counter/check-in", number=booked.number)
        assert again.status_code == 409
        assert "すでに受け付けています（7-001・7番）" in again.text
        late = await swap(staff, f"{row}/call", version="1")
        assert late.status_code == 409
        assert "7-001　今の状態：受付" in late.text
        early = await swap(staff, f"{row}/no-show", version="2")
        assert early.status_code == 409
        assert "まだ不在にできません" in early.text


async def test_the_line_of_one_counter_stays_with_what_is_pressed(town: BookingTown) -> None:
    mine, other = await town.booked("a"), await town.booked("b", procedure=FAMILY)
    async with town.staff(office=None) as staff:
        whole = (await staff.get("/counter")).text
        assert order_of(whole) == [show_number(mine.number), show_number(other.number)]
        assert "7番窓口（子育て）" in whole
        page = (await staff.get("/counter?counter=3")).text
        assert order_of(page) == [show_number(other.number)]
        assert 'data-live-get="/counter/line?counter=3"' in page
        assert page.count('name="counter" value="3"') >= 3
        assert order_of((await staff.get("/counter/line?counter=3")).text) == [show_number(other.number)]
        moved = await swap(staff, f"/counter/{other.appointment_id}/check-in", version="1", counter="3")
        assert order_of(moved.text) == ["3-001"]
        assert len(order_of((await staff.get("/counter?counter=nowhere")).text)) == 2
        ticket = await staff.post("/counter/walk-ins", data={"procedure": FAMILY, "counter": "3"})
        assert 'href="/counter?counter=3"' in (await staff.get(ticket.headers["location"])).text
    async with town.staff() as staff:
        # One counter: nothing to choose, and another office's is not shown.
        page = (await staff.get("/counter?counter=3")).text
        assert "line-filter" not in page
        assert order_of(page) == [show_number(mine.number)]


async def test_refusals_come_by_an_address_that_may_be_reloaded_and_keep_what_was_typed(town: BookingTown) -> None:
    async with town.staff() as staff:
        answer = await staff.post("/counter/check-in", data={"number": "zzz-zzzz"})
        assert answer.status_code == 303
        for _ in range(2):
            page = (await staff.get(answer.headers["location"])).text
            assert "予約が見つかりません" in page
            assert 'value="zzz-zzzz"' in page
        town.now += timedelta(minutes=3)
        later = (await staff.get(answer.headers["location"])).text
        assert "予約が見つかりません" not in later
        # Who types a name into the wrong field does not find it in an address.
        answer = await staff.post("/counter/check-in", data={"number": "吉﨑 花子"})
        assert (answer.status_code, "location" in answer.headers) == (404, False)
        for path in ("/counter/check-in", "/counter/walk-ins", "/counter/x/call"):
            answer = await staff.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/counter")


async def test_check_in_says_why_not(town: BookingTown) -> None:
    cancelled, tomorrow, here = await town.booked("a"), await town.booked("b"), await town.booked("c")
    async with town.browser("a") as resident:
        await resident.post(f"/booking/appointments/{cancelled.number}/cancel", data={"version": "1"})
    async with town.staff() as staff:
        said = await follow(staff, "/counter/check-in", number=cancelled.number)
        assert "取り消された予約です" in said
        assert "今日の予約ではありません" not in said
        await staff.post("/counter/check-in", data={"number": here.number})
        for version, action in enumerate(("call", "start"), start=2):
            await step(town, here.appointment_id, action, version)
            assert "すでに受け付けています（7-001・7番）" in await follow(
                staff, "/counter/check-in", number=here.number
            )
        await step(town, here.appointment_id, "done", 4)
        assert "今日の対応は終わっています（7-001・7番）" in await follow(
            staff, "/counter/check-in", number=here.number
        )
        town.now -= timedelta(days=1)
    async with town.staff() as staff:
        said = await follow(staff, "/counter/check-in", number=tomorrow.number)
        assert "今日の予約ではありません" in said
        assert "予約の日：2026年6月1日（月）" in said


async def test_a_walk_in_needs_a_procedure_that_somebody_chose(town: BookingTown) -> None:
    async with town.staff() as staff:
        page = (await staff.get("/counter")).text
        assert re.search(r'<option value=""[^>]*>選んでください</option>', page)
        assert "手続きが選ばれていません" in await follow(staff, "/counter/walk-ins", procedure="")
        kept = await follow(staff, "/counter/walk-ins", procedure="NOPE")
        assert "この手続きの窓口の情報がありません" in kept
    assert await town.rows("SELECT 1 FROM booking.appointment") == []


async def test_after_check_in_the_ticket_can_be_printed_for_who_booked_too(town: BookingTown) -> None:
    booked = await town.booked()
    ticket = f"/counter/tickets/{booked.appointment_id}"
    async with town.staff() as staff:
        assert (await staff.get(ticket)).status_code == 404
        told = await follow(staff, "/counter/check-in", number=booked.number)
        assert "番号札を印刷する" in told
        assert f'href="{ticket}"' in told
        assert "7-001" in (await staff.get(ticket)).text
