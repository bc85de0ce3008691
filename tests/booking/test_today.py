"""The managers' page of the counters now: the picture, closing and opening, staff, and those who wait there."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands.counter_days import close_counter, move_staff, move_waiting
from services.booking.commands.kiosk import take_ticket_at_kiosk
from services.booking.commands.line import check_in_by_number
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.queries.slots import start_of_day
from services.booking.queries.today import CounterNow
from shared.clock import jst_day
from shared.errors import Refusal
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown
from tests.booking.hall import (
    CLERK,
    KIOSK,
    MANAGER,
    close,
    counter_of,
    open_hall,
    picture,
    reopen,
    seen,
    step,
    walk_in,
)
from tests.booking.queue_town import arrive
from tests.journeys.resident import read_forms


@pytest_asyncio.fixture
async def hall(bare_town: BookingTown) -> BookingTown:
    await open_hall(bare_town)
    return bare_town


def boss(town: BookingTown, *roles: str) -> httpx.AsyncClient:
    return town.browser("boss", kind="staff", roles=roles or ("manager",))


async def press(browser: httpx.AsyncClient, page: httpx.Response, ending: str, **holding: str) -> httpx.Response:
    """The form of a page with this address and these fields, sent; the page that it leads to."""
    form = next(
        form
        for form in read_forms(page.text)
        if form.action.endswith(ending) and holding.items() <= form.fields.items()
    )
    answer = await browser.post(form.action, data=form.fields)
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    return await browser.get(answer.headers["location"])


def in_figures(found: CounterNow) -> dict[str, object]:
    return msgspec.structs.asdict(found.picture) | {"wait_min": found.wait_min, "is_late": found.is_late}


async def test_the_picture_counts_everybody_where_they_are(hall: BookingTown) -> None:
    await hall.booked("b")
    first = await walk_in(hall)
    await walk_in(hall)
    parked = await step(hall, await walk_in(hall), "park")
    await step(hall, await walk_in(hall), "call", "start")
    await step(hall, await walk_in(hall), "call", "start", "done")
    hall.now += timedelta(minutes=12, seconds=59)
    found = (await picture(hall))["7"]
    assert in_figures(found) == {
        "waiting": 2, "parked": 1, "serving": 1, "served": 1, "expected": 1,
        "since": hall.now - timedelta(minutes=12, seconds=59), "wait_min": 12, "is_late": False,
    }  # fmt: skip
    await step(hall, first, "call")
    await step(hall, parked, "resume")
    assert (await picture(hall))["7"].picture.waiting == 2
    assert (await picture(hall))["3"].picture.waiting == 0


async def test_a_wait_is_too_long_one_moment_after_the_promise(hall: BookingTown) -> None:
    await walk_in(hall)
    hall.now += timedelta(minutes=30)
    assert not (await picture(hall))["7"].is_late
    hall.now += timedelta(microseconds=1)
    assert (await picture(hall))["7"].is_late


OPENNESS = (
    ("2026-06-01T08:29:59", "before"),
    ("2026-06-01T08:30:00", "open"),
    ("2026-06-01T11:59:59", "open"),
    ("2026-06-01T12:00:00", "resting"),
    ("2026-06-01T12:59:59", "resting"),
    ("2026-06-01T13:00:00", "open"),
    ("2026-06-01T17:14:59", "open"),
    ("2026-06-01T17:15:00", "over"),
    ("2026-06-01T23:59:59", "over"),
    ("2026-06-02T00:00:00", "before"),
    ("2026-06-06T10:00:00", "off"),  # a Saturday
    ("2026-06-10T10:00:00", "off"),  # closed by the town
    ("2026-12-28T10:00:00", "open"),
    ("2026-12-29T10:00:00", "off"),
    ("2027-01-04T10:00:00", "open"),
)


async def test_a_counter_is_open_by_its_hours(hall: BookingTown) -> None:
    for at, expected in OPENNESS:
        hall.now = datetime.fromisoformat(at + "+09:00").astimezone(UTC)
        assert (at, (await picture(hall))["7"].openness) == (at, expected)


async def test_what_is_closed_today_is_as_planned_after_midnight(hall: BookingTown) -> None:
    await close(hall, "7")
    assert (await picture(hall))["7"].openness == "closed"
    hall.now = datetime(2026, 6, 1, 14, 59, 59, tzinfo=UTC)
    assert (await picture(hall))["7"].openness == "closed"
    yesterday = await seen(hall, "7")
    hall.now += timedelta(seconds=1)
    assert (await picture(hall))["7"].openness == "before"
    with pytest.raises(Refusal, match="counter_changed"):
        async with hall.db.begin(TOWN) as session:
            await close_counter(session, MANAGER, yesterday, now=hall.now)


async def test_who_comes_to_a_closed_counter_is_sent_to_the_other_that_is_open(hall: BookingTown) -> None:
    booked = await hall.booked("b")
    await close(hall, "7")
    assert (await walk_in(hall)).counter == "8"
    async with hall.db.begin(TOWN) as session:
        arrived = await check_in_by_number(session, CLERK, booked.number, now=hall.now)
    assert (arrived.counter, arrived.ticket_counter) == ("8", "8")
    back = await step(hall, arrived, "undo")
    assert (back.counter, back.state) == ("7", "booked")


async def test_after_hours_too_nobody_is_sent_to_a_counter_that_staff_have_closed(hall: BookingTown) -> None:
    """Seen to fail when all counters count again as soon as none is open: a refusal, with the other one free."""
    await close(hall, "7")
    hall.now = start_of_day(jst_day(hall.now)) + timedelta(hours=20)
    assert (await walk_in(hall)).counter == "8"


async def test_nobody_comes_into_a_line_where_all_is_closed(hall: BookingTown) -> None:
    booked = await hall.booked("b", procedure=FAMILY)
    await close(hall, "3")
    with pytest.raises(Refusal, match="counter_closed_now"):
        await walk_in(hall, FAMILY)
    order = TakeWalkIn(procedure=FAMILY, key="k")
    with pytest.raises(Refusal, match="counter_closed_now"):
        async with hall.db.begin(TOWN) as session:
            await take_ticket_at_kiosk(session, KIOSK, order, now=hall.now)
    with pytest.raises(Refusal, match="counter_closed_now"):
        async with hall.db.begin(TOWN) as session:
            await check_in_by_number(session, CLERK, booked.number, now=hall.now)
    await reopen(hall, "3")
    assert (await walk_in(hall, FAMILY)).counter == "3"
    async with hall.db.begin(TOWN) as session:
        assert (await check_in_by_number(session, CLERK, booked.number, now=hall.now)).counter == "3"


async def test_the_database_keeps_everybody_out_of_a_closed_line(hall: BookingTown) -> None:
    """Seen to fail without the look in `arrive_appointment` (0033): the copy stands in the closed line."""
    there = await walk_in(hall)
    await close(hall, "7")
    copy = """
        INSERT INTO appointment SELECT (a.copied).* FROM (
            SELECT jsonb_populate_record(a, jsonb_build_object(
                'appointment_id', gen_random_uuid(), 'number', 'AAAAAAA', 'ticket_no', 99)) AS copied
            FROM appointment a WHERE appointment_id = :id) AS a
    """
    with pytest.raises(IntegrityError, match="line of a closed counter"):
        async with hall.db.begin(TOWN) as session:
            await session.execute(text(copy), {"id": there.appointment_id})


async def test_who_comes_while_it_is_being_closed_is_refused(hall: BookingTown) -> None:
    """Seen to fail without the locks in `refuse_closed_counter` and the trigger: the ticket is given all the same."""
    order, holding, closed = await seen(hall, "3"), asyncio.Event(), asyncio.Event()

    async def shut() -> None:
        async with hall.db.begin(TOWN) as session:
            await close_counter(session, MANAGER, order, now=hall.now)
            holding.set()
            await closed.wait()

    async def arrive() -> None:
        async with hall.db.begin(TOWN) as session:
            await take_walk_in(session, CLERK, TakeWalkIn(procedure=FAMILY, key="k"), now=hall.now)

    closing = asyncio.create_task(shut())
    await holding.wait()
    arriving = asyncio.create_task(arrive())
    await asyncio.sleep(0.3)
    assert not arriving.done()
    closed.set()
    await closing
    with pytest.raises(Refusal, match="counter_closed_now"):
        await arriving


async def test_of_two_managers_one_wins(hall: BookingTown) -> None:
    """By the version in the statement that writes the day."""
    order = await seen(hall, "7")

    async def shut() -> str:
        try:
            async with hall.db.begin(TOWN) as session:
                await close_counter(session, MANAGER, order, now=hall.now)
        except Refusal as refusal:
            return refusal.code
        return "closed"

    assert sorted(await asyncio.gather(shut(), shut())) == ["closed", "counter_changed"]


async def test_who_waits_at_a_closed_counter_is_moved_in_one_touch(hall: BookingTown) -> None:
    first, second = await walk_in(hall), await walk_in(hall)
    called = await step(hall, await walk_in(hall), "call")
    hall.now += timedelta(minutes=5)
    async with boss(hall) as browser:
        page = await press(browser, await browser.get("/counter/today"), "/close", counter="7")
        assert "7番窓口（子育て）を閉めました。" in page.text
        assert "お待ちの2人を8番窓口（子育て2）へ移す" in page.text
        page = await press(browser, page, "/move", source="7", target="8")
    assert "お待ちの2人を、8番窓口（子育て2）へ移しました。" in page.text
    assert [await counter_of(hall, each.appointment_id) for each in (first, second, called)] == ["8", "8", "7"]
    now = await picture(hall)
    # Since when they wait, and their number, stays theirs.
    assert (now["8"].picture.waiting, now["8"].wait_min, now["7"].picture.waiting) == (2, 5, 0)
    rows = await hall.rows("SELECT action, counter FROM booking.line_step WHERE action = 'move'")
    assert [tuple(row) for row in rows] == [("move", "8")] * 2  # type: ignore[arg-type]
    audit = await hall.rows("SELECT actor_ref, action, ref FROM booking.audit WHERE action = 'close-counter'")
    assert [tuple(row) for row in audit] == [("boss", "close-counter", "7")]  # type: ignore[arg-type]
    # The number in the hand does not change, and each step is taken back by itself.
    await reopen(hall, "7")
    back = await step(hall, msgspec.structs.replace(first, version=first.version + 1), "undo")
    assert (back.counter, back.ticket_counter, back.ticket_no) == ("7", "7", first.ticket_no)


async def test_nobody_is_moved_to_where_their_procedure_is_not_done(hall: BookingTown) -> None:
    await walk_in(hall, FAMILY)
    await close(hall, "3")
    now = await picture(hall)
    assert now["3"].targets == ()
    async with boss(hall) as browser:
        assert "ほかに開いていません" in (await browser.get("/counter/today")).text
    async with hall.db.begin(TOWN) as session:
        assert await move_waiting(session, MANAGER, "3", "7", now=hall.now) == 0
    await close(hall, "8")
    with pytest.raises(Refusal, match="counter_closed_now"):
        async with hall.db.begin(TOWN) as session:
            await move_waiting(session, MANAGER, "3", "8", now=hall.now)
    with pytest.raises(Refusal, match="counter_changed"):
        async with hall.db.begin(TOWN) as session:
            await move_waiting(session, MANAGER, "7", "3", now=hall.now)


async def test_staff_move_in_two_touches(hall: BookingTown) -> None:
    async with boss(hall, "coordinator") as browser:
        assert [each.staff for each in (await picture(hall)).values()] == [1, 2, 1]
        page = await browser.get("/counter/today?source=7")
        assert "7番窓口（子育て）の担当1人を、どこへ移しますか" in page.text
        page = await press(browser, page, "/staff", source="7", target="3")
        assert "担当の人数を変えました（3番窓口（届出））。" in page.text
        assert {code: each.staff for code, each in (await picture(hall)).items()} == {"3": 2, "7": 1, "8": 1}
        # One comes from elsewhere, one goes.
        page = await press(browser, page, "/staff", target="8")
        forms = read_forms((await browser.get("/counter/today?source=7")).text)
        leaving = next(form for form in forms if form.fields.get("source") == "7" and "target" not in form.fields)
        await browser.post(leaving.action, data=leaving.fields)
        assert {code: each.staff for code, each in (await picture(hall)).items()} == {"3": 2, "7": 0, "8": 2}
        # Where nobody is, nobody is offered to move.
        assert "どこへ移しますか" not in (await browser.get("/counter/today?source=7")).text


async def test_staff_move_to_no_closed_counter_and_not_from_an_empty_one(hall: BookingTown) -> None:
    await close(hall, "8")
    for source, target, code in (("7", "8", "counter_closed_now"), ("7", "7", "staff_unfit")):
        with pytest.raises(Refusal, match=code):
            async with hall.db.begin(TOWN) as session:
                await move_staff(session, MANAGER, await seen(hall, source), await seen(hall, target), now=hall.now)
    order = await seen(hall, "3")
    async with hall.db.begin(TOWN) as session:
        await move_staff(session, MANAGER, order, None, now=hall.now)
    order = await seen(hall, "3")
    with pytest.raises(Refusal, match="staff_unfit"):
        async with hall.db.begin(TOWN) as session:
            await move_staff(session, MANAGER, order, None, now=hall.now)


async def test_a_counter_without_hours_today_can_be_opened(hall: BookingTown) -> None:
    hall.now = datetime(2026, 6, 6, 1, 0, tzinfo=UTC)
    async with boss(hall) as browser:
        page = await press(browser, await browser.get("/counter/today"), "/open", counter="7")
        assert "7番窓口（子育て）を開けました。" in page.text
    assert (await picture(hall))["7"].openness == "open"


async def test_nobody_is_sent_to_a_counter_without_hours_today(bare_town: BookingTown) -> None:
    """A Monday; counter 8 serves on Tuesdays. Seen to fail where only closing is looked at, at each of the four."""
    await open_hall(bare_town, eight_on=(2,))
    waiting, booked = await walk_in(bare_town), await bare_town.booked("b")
    await close(bare_town, "7")
    assert (await picture(bare_town))["7"].targets == ()
    async with boss(bare_town) as browser:
        answer = await browser.post("/counter/today/move", data={"source": "7", "target": "8"})
        assert "refused=counter_closed_now" in answer.headers["location"]
    with pytest.raises(Refusal, match="counter_closed_now"):
        await walk_in(bare_town)
    with pytest.raises(Refusal, match="counter_closed_now"):
        await arrive(bare_town, booked.number)
    assert await counter_of(bare_town, waiting.appointment_id) == "7"
    # On a Tuesday it is like the other.
    bare_town.now += timedelta(days=1)
    waiting = await walk_in(bare_town)
    await close(bare_town, "7")
    assert [each.counter for each in (await picture(bare_town))["7"].targets] == ["8"]
    assert (await walk_in(bare_town)).counter == "8"


async def test_what_is_opened_without_hours_is_open_for_everybody(hall: BookingTown) -> None:
    """A Saturday. Seen to fail where only the managers' page knows it."""
    hall.now = datetime(2026, 6, 6, 1, 0, tzinfo=UTC)
    async with hall.browser(None) as anybody:
        before = (await anybody.get("/booking/api/waits")).json()["counters"]
        assert {each["state"] for each in before} == {"closed"}
        await reopen(hall, "8")
        told = {each["counter"]: each for each in (await anybody.get("/booking/api/waits")).json()["counters"]}
        assert (told["8"]["state"], told["8"]["closes_at"], told["8"]["lamp"]) == ("open", None, "quiet")
        assert "までです" not in (await anybody.get("/booking/now")).text
    order = TakeWalkIn(procedure=CHILD, key="k")
    async with hall.db.begin(TOWN) as session:
        assert (await take_ticket_at_kiosk(session, KIOSK, order, now=hall.now)).counter == "8"


async def test_where_nobody_serves_no_wait_is_told(hall: BookingTown) -> None:
    """Seen to fail where nobody counts as one: an empty counter is 「空いています」."""
    order = await seen(hall, "8")
    async with hall.db.begin(TOWN) as session:
        await move_staff(session, MANAGER, order, None, now=hall.now)
    async with hall.browser(None) as anybody:
        told = {each["counter"]: each for each in (await anybody.get("/booking/api/waits")).json()["counters"]}
    assert (told["8"]["state"], told["8"]["lamp"], told["8"]["wait_min"]) == ("open", None, None)
    assert told["7"]["lamp"] == "quiet"
    await close(hall, "7")
    async with hall.browser("machine", kind="staff", roles=("kiosk",)) as machine:
        shown = (await machine.get(f"/kiosk/procedures/{CHILD}")).text
    assert "今は分かりません" in shown
    assert "すぐにご案内できます" not in shown


async def test_a_page_that_is_old_is_told_so(hall: BookingTown) -> None:
    async with boss(hall) as browser:
        page = await browser.get("/counter/today")
        await close(hall, "7")
        assert "この窓口のようすは、もう変わっています" in (await press(browser, page, "/close", counter="7")).text
        bad = await browser.post("/counter/today/close", data={"counter": "7", "day": "x", "counter_version": "0"})
        assert bad.status_code == httpx.codes.BAD_REQUEST
        gone = await browser.post("/counter/today/staff", data={})
        assert gone.status_code == httpx.codes.BAD_REQUEST


async def test_the_page_is_for_those_who_run_the_hall(hall: BookingTown) -> None:
    async with hall.staff() as clerk:
        assert (await clerk.get("/counter/today")).status_code == httpx.codes.FORBIDDEN
    async with boss(hall, "coordinator") as browser:
        fragment = await browser.get("/counter/today/now")
        assert fragment.status_code == httpx.codes.OK
        assert "<h1" not in fragment.text
        assert "児童手当" not in fragment.text
