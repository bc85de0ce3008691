"""The pages of a draw in a browser's place: announcing, entering, the result, and the record that anybody can check."""

import asyncio
import re
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from deploy.cli import main
from services.booking.pages.opening import COOKIE_PREFIX, forgotten_cookies
from services.booking.refusals import REFUSALS
from shared.clock import JST
from shared.reference_number import TICKET_LENGTH, make_number, read_number
from shared.web.i18n import LANGUAGE_COOKIE, LANGUAGES
from tests.booking.conftest import CHILD, BookingTown
from tests.booking.draws_town import FIRST, announce, close, do_what_is_due, enter, record_of, sessions_of
from tests.booking.test_pages import GARBAGE, go

TITLE = "スマートフォン教室（6月）"


def manager(town: BookingTown) -> httpx.AsyncClient:
    return town.browser("manager", kind="staff", roles=("manager",))


def make_form(town: BookingTown, **changes: str) -> dict[str, str]:
    form = {"title": TITLE, "what": f"{CHILD}/7", "opens_hour": "now"}
    for name, days, hour in (("closes", 1, 9), ("first", 3, 9), ("until", 3, 10)):
        day = town.now.astimezone(JST) + timedelta(days=days)
        form |= {f"{name}_year": str(day.year), f"{name}_month": str(day.month), f"{name}_day": str(day.day)}
        form[f"{name}_hour"] = str(hour)
    return form | changes


async def announced(town: BookingTown) -> str:
    """By the manager's form; the draw's path."""
    async with manager(town) as browser:
        page = await go(browser, await browser.post("/counter/draws", data=make_form(town)))
        assert "抽選を作りました" in page.text
        found = re.search(r'href="(/booking/draws/[0-9a-f-]{36})"', page.text)
    assert found, page.text
    return found[1]


async def at_the_times(town: BookingTown, browser: httpx.AsyncClient, guest: str, **who: Any) -> httpx.Response:
    return await go(
        browser, await browser.post("/booking/arrive", data={"pass": town.seal(town.make_pass(guest, **who))})
    )


def slips(page: httpx.Response) -> list[str]:
    return re.findall(r'slip__number">([^<]+)<', page.text)


async def entered(town: BookingTown, browser: httpx.AsyncClient, guest: str = "guest", **who: Any) -> httpx.Response:
    """From the pass to the entry's page, with all sessions wished for in their order."""
    page = await at_the_times(town, browser, guest, **who)
    way = re.search(r'href="(/booking/visits/[^"]+/draws/[^"]+)"', page.text)
    assert way, page.text
    page = await browser.get(way[1])
    wishes = list(dict.fromkeys(re.findall(r'<option value="([0-9a-f-]{36})"', page.text)))
    fields = {f"wish{number}": wish for number, wish in enumerate(wishes, start=1)}
    return await go(browser, await browser.post(way[1], data=fields))


async def test_from_the_announcement_to_a_seat_and_drawn_again_by_anybody(
    town: BookingTown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = await announced(town)
    async with town.browser() as browser, town.browser(None) as other:
        listed = await other.get("/booking/draws")
        assert (TITLE in listed.text, "申し込み受付中" in listed.text) == (True, True)
        shown = await other.get(path)
        commitment = re.search(r"<code>([0-9a-f]{64})</code>", shown.text)
        assert commitment, shown.text
        page = await entered(town, browser)
        number, code = slips(page)
        assert "申し込みができています" in page.text
        own = page.url.path
        # In a browser that knows nothing of them: number and code.
        assert (await other.get(own)).headers["location"].startswith(f"{path}/entry")
        wrong = await go(other, await other.post(f"{path}/entry", data={"number": number, "code": "x"}))
        assert "ちがいます" in wrong.text
        page = await go(other, await other.post(f"{path}/entry", data={"number": number, "code": code}))
        assert page.url.path == own
        town.now += timedelta(hours=1)
        assert slips(await browser.get(own)) == [number]
        town.now += timedelta(hours=23)
        await do_what_is_due(town)
        # Their cookie has run out meanwhile; number and code have not.
        page = await go(other, await other.post(f"{path}/entry", data={"number": number, "code": code}))
        assert "当たりました" in page.text
        to_appointment = re.search(r'href="(/booking/appointments/[^"]+)"', page.text)
        assert to_appointment, page.text
        assert "予約ができています" in (await other.get(to_appointment[1])).text
        result = await other.get(path)
        assert number in result.text
    async with town.browser(None) as anybody:
        record = await anybody.get(f"{path}/record.json")
        assert (await anybody.get(to_appointment[1])).status_code == 303
    file = tmp_path / "record.json"
    file.write_bytes(record.content)
    assert await asyncio.to_thread(main, ["draw", "replay", str(file), "--commitment", commitment[1]]) == 0
    assert "1 of 1" in capsys.readouterr().out


async def test_nothing_that_is_public_names_anybody(town: BookingTown) -> None:
    draw_id = await announce(town)
    for number in range(6):
        await enter(town, draw_id, f"guest-{number}")
    secrets: list[Any] = await town.rows(
        "SELECT entry_id, guest_ref, subject_ref, case_id, contact_ref FROM booking.draw_entry"
    )
    await close(town)
    numbers: list[Any] = await town.rows("SELECT number, appointment_id, name_sealed FROM booking.appointment")
    known = {str(value) for row in (*secrets, *numbers) for value in row if not isinstance(value, bytes)}
    async with town.browser(None) as anybody:
        for path in ("/booking/draws", f"/booking/draws/{draw_id}", f"/booking/draws/{draw_id}/record.json"):
            page = (await anybody.get(path)).text
            assert {value for value in (*known, "花子", "ハナコ") if value in page} == set(), path
    told: list[Any] = await town.rows("SELECT payload FROM booking.outbox")
    tickets = [each.ticket for each in (await record_of(town, draw_id)).entries]
    assert not [ticket for ticket in tickets for row in told if ticket.encode() in bytes(row.payload)]


async def test_wishes_are_changed_and_the_entry_is_left(town: BookingTown) -> None:
    path = await announced(town)
    async with town.browser() as browser:
        page = await entered(town, browser)
        own = page.url.path
        first, second = list(dict.fromkeys(re.findall(r'<option value="([0-9a-f-]{36})"', page.text)))
        page = await go(browser, await browser.post(own, data={"wish1": second}))
        assert "希望を変えました" in page.text
        page = await go(browser, await browser.post(own, data={"wish1": first, "wish2": first}))
        assert "希望の選びかた" in page.text
        page = await go(browser, await browser.post(own, data={}))
        assert "希望の選びかた" in page.text
        # The same browser comes again with another pass: to the entry that it has.
        times = await at_the_times(town, browser, "guest")
        way = re.search(r'href="(/booking/visits/[^"]+/draws/[^"]+)"', times.text)
        assert way, times.text
        assert (await browser.get(way[1])).headers["location"] == own
        page = await go(browser, await browser.post(own, data={"action": "withdraw"}))
        assert "この申し込みは取り消しました" in page.text
        await close(town)
        assert "申し込みはありませんでした" in (await browser.get(path)).text


async def test_whoever_lost_reads_their_place_in_the_waiting_order(town: BookingTown) -> None:
    draw_id = await announce(town)
    wanted, _ = await sessions_of(town, draw_id)
    for number in range(4):
        await enter(town, draw_id, f"guest-{number}", [wanted])
    await close(town)
    waiting = [each.ticket for each in (await record_of(town, draw_id)).result if each.session_id is None]
    rows: list[Any] = await town.rows(
        "SELECT guest_ref FROM booking.draw_entry WHERE ticket = :ticket", ticket=waiting[1]
    )
    async with town.browser(rows[0].guest_ref) as browser:
        page = await browser.get(f"/booking/draws/{draw_id}/entries/{waiting[1]}")
    assert ("今回は外れました" in page.text, "2番目" in page.text) == (True, True)


async def test_staff_enter_for_somebody_on_the_phone(town: BookingTown) -> None:
    await announced(town)
    async with town.browser("staff", kind="staff", roles=("counter",)) as tablet, town.browser(None) as own:
        page = await entered(town, tablet, "staff", behalf="phone")
        number, code = slips(page)
        assert "ご本人に読みあげる" in page.text
        assert not [name for name in tablet.cookies if read_number(name.rpartition("_")[2], length=6)]
        path = page.url.path.partition("/entries/")[0]
        page = await go(own, await own.post(f"{path}/entry", data={"number": number, "code": code}))
        assert "申し込みができています" in page.text
        page = await entered(town, tablet, "staff", behalf="desk")
        assert slips(page)[0] != number
    rows: list[Any] = await town.rows("SELECT action, actor_ref FROM booking.audit WHERE action = 'draw-enter'")
    assert [row.actor_ref for row in rows] == ["staff", "staff"]


async def test_the_form_sent_twice_is_one_draw(town: BookingTown) -> None:
    """Without its key the second one was refused: there were no seats left."""
    async with manager(town) as browser:
        [key] = re.findall(r'name="idempotency_key" value="([^"]+)"', (await browser.get("/counter/draws")).text)
        for _ in range(2):
            answer = await browser.post("/counter/draws", data=make_form(town, idempotency_key=key))
            assert (answer.status_code, answer.headers["location"]) == (303, "/counter/draws?told=made")
        assert (await browser.post("/counter/draws", data=make_form(town))).status_code == 409
    assert len(await town.rows("SELECT 1 FROM booking.draw")) == 1


async def test_the_form_of_a_draw_that_was_called_off_makes_none_and_says_so(town: BookingTown) -> None:
    """Gone back to. Seen to fail (it said that the draw was made); changed, it was a page without the form."""
    async with manager(town) as browser:
        form = make_form(town, idempotency_key="k")
        page = await go(browser, await browser.post("/counter/draws", data=form))
        [path] = re.findall(r'href="(/counter/draws/[0-9a-f-]{36}/call-off)"', page.text)
        await browser.post(path)
        again = await browser.post("/counter/draws", data=form)
        assert (again.status_code, str(REFUSALS["draw_off"].title) in again.text, TITLE in again.text) == (
            409,
            True,
            True,
        )
        other = await browser.post("/counter/draws", data=form | {"title": "べつの抽選"})
        assert (other.status_code, "べつの抽選" in other.text) == (422, True)
        [key] = re.findall(r'name="idempotency_key" value="([^"]+)"', again.text)
        made = await browser.post("/counter/draws", data=form | {"idempotency_key": key})
        assert made.headers["location"] == "/counter/draws?told=made"
    assert len(await town.rows("SELECT 1 FROM booking.draw")) == 2


async def test_what_is_typed_wrong_is_said_at_its_field(town: BookingTown) -> None:
    async with manager(town) as browser:
        for name in make_form(town):
            for garbage in GARBAGE:
                answer = await browser.post("/counter/draws", data=make_form(town, **{name: garbage}))
                assert answer.status_code in (303, 409, 422), (name, garbage)
        late = {f"first_{part}": make_form(town)[f"closes_{part}"] for part in ("year", "month", "day", "hour")}
        answer = await browser.post("/counter/draws", data=make_form(town, **late))
        assert (answer.status_code, "日時の順番" in answer.text) == (422, True)
        assert TITLE in answer.text


async def test_garbage_opens_nothing(town: BookingTown) -> None:
    draw_id = await announce(town)
    ticket = await enter(town, draw_id, "guest")
    async with town.browser("other") as browser:
        for garbage in GARBAGE:
            for fields in ({"number": garbage, "code": "123456"}, {"number": ticket, "code": garbage}):
                answer = await browser.post(f"/booking/draws/{draw_id}/entry", data=fields)
                assert answer.headers["location"].startswith(f"/booking/draws/{draw_id}/entry"), fields
            answer = await browser.post(f"/booking/draws/{draw_id}/entries/{ticket}", data={"wish1": garbage})
            assert answer.headers["location"].startswith(f"/booking/draws/{draw_id}/entry?")
        for path in ("x", "00000000-0000-4000-8000-000000000000"):
            answer = await browser.get(f"/booking/draws/{path}")
            assert (answer.status_code, "この抽選は見つかりません" in answer.text) == (404, True)
            assert (await browser.get(f"/booking/draws/{path}/record.json")).status_code == 404


async def test_before_it_opens_the_commitment_is_there_and_nothing_else(town: BookingTown) -> None:
    opens_at = town.now + timedelta(hours=2)
    draw_id = await announce(town, opens_at=opens_at, closes_at=opens_at + timedelta(hours=5), first=town.now + FIRST)
    async with town.browser() as browser:
        page = await browser.get(f"/booking/draws/{draw_id}")
        assert "まだ始まっていません" in page.text
        record = msgspec.json.decode((await browser.get(f"/booking/draws/{draw_id}/record.json")).content)
        assert (record["seed"], record["entries"], len(record["commitment"])) == (None, [], 64)
        times = await at_the_times(town, browser, "guest")
        assert f"/draws/{draw_id}" not in times.text
        page = await browser.get(f"{times.url.path}/draws/{draw_id}")
        assert "いまは申し込めません" in page.text


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"ja"}))
async def test_the_result_is_told_in_every_language(town: BookingTown, language: str) -> None:
    draw_id = await announce(town, title_ja="x")
    wanted, _ = await sessions_of(town, draw_id)
    tickets = [await enter(town, draw_id, f"guest-{number}", [wanted]) for number in range(3)]
    await close(town)
    waiting = next(each.ticket for each in (await record_of(town, draw_id)).result if each.session_id is None)
    guest = f"guest-{tickets.index(waiting)}"
    async with town.browser(guest) as browser:
        browser.cookies.set(LANGUAGE_COOKIE, language)
        for path in ("/booking/draws", f"/booking/draws/{draw_id}", f"/booking/draws/{draw_id}/entries/{waiting}"):
            page = await browser.get(path)
            assert (page.status_code, "抽選" in page.text.partition("<main")[2]) == (200, False), path


def test_whoever_signs_out_leaves_no_entry_open() -> None:
    """On a device of many. Seen to fail where only the length of an appointment's number is known."""
    numbers = [make_number(secrets.choice), make_number(secrets.choice, length=TICKET_LENGTH)]
    sent = {f"{COOKIE_PREFIX}{number}": "x" for number in (*numbers, "x")}
    dropped = forgotten_cookies(sent, secure=False)
    assert [cookie.key for cookie in dropped] == [f"{COOKIE_PREFIX}{number}" for number in numbers]
