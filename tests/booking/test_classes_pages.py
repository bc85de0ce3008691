"""The pages of classes in a browser's place: from a coordinator's draft to who came, and everything on the way."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.pages.classes_open_data import title_en
from services.booking.pages.event_list import COLUMNS, prefecture_of
from services.booking.refusals import REFUSALS
from shared.clock import JST
from shared.town_texts import TownText
from tests.booking.classes_town import BEGINS, TITLE, ClassTown
from tests.booking.conftest import MORNING, TOWN, BookingTown, TownAfter
from tests.booking.helpers_town import HALL, PHONE_HELP, TANAKA, open_with_venues
from tests.booking.test_pages import go

CLASSES = "/booking/classes"


@pytest_asyncio.fixture
async def classes(town_after: TownAfter) -> ClassTown:
    return ClassTown(await town_after(open_with_venues))


def coordinator(town: BookingTown) -> httpx.AsyncClient:
    return town.browser("coordinator", kind="staff", roles=("coordinator",))


def day_fields(name: str, ahead: timedelta, minute: int, at: str) -> dict[str, str]:
    day = (MORNING + ahead).astimezone(JST)
    return {
        f"{name}_year": str(day.year),
        f"{name}_month": str(day.month),
        f"{name}_day": str(day.day),
        at: str(minute),
    }


def class_form(**changes: str) -> dict[str, str]:
    form = {"title": TITLE, "text": "ゆっくり\n進めます。", "venue": HALL, "language": "ja", "fee": "0", "seats": "2"}
    closes = day_fields("closes", timedelta(days=5), 17 * 60, "closes_at")
    return form | closes | {"mode": "first_come", "idempotency_key": "key"} | changes


def session_form(**changes: str) -> dict[str, str]:
    fields = day_fields("s0_day", timedelta(days=7), 10 * 60, "s0_from") | {"s0_to": str(11 * 60 + 30)}
    return fields | {"prefix": "s0_", "s0_room": "会議室2", "s0_materials": "テキスト10部"} | changes


def slips(page: httpx.Response) -> list[str]:
    return re.findall(r'slip__number">([^<]+)<', page.text)


def key_of(page: httpx.Response) -> dict[str, str]:
    found = re.search(r'name="idempotency_key" value="([^"]+)"', page.text)
    assert found, page.text
    return {"idempotency_key": found[1]}


async def made(town: BookingTown, **changes: str) -> str:
    """By the coordinator's forms; the class's path for everybody."""
    async with coordinator(town) as browser:
        page = await go(browser, await browser.post("/helpers/classes", data=class_form(**changes)))
        assert "下書きを作りました" in page.text, page.text
        path = page.url.path
        page = await go(browser, await browser.post(f"{path}/sessions", data=session_form()))
        assert "会議室2" in page.text
        page = await go(browser, await browser.post(f"{path}/publish"))
        assert "公開しました" in page.text, page.text
    return f"{CLASSES}/{path.rsplit('/', 1)[-1]}"


async def entered(browser: httpx.AsyncClient, path: str, visit: str = "") -> httpx.Response:
    page = await browser.get(f"{path}/enter{'?visit=' + visit if visit else ''}")
    fields = key_of(page) | ({"visit": visit} if visit else {})
    return await go(browser, await browser.post(f"{path}/enter", data=fields))


async def test_from_the_draft_to_who_came(classes: ClassTown) -> None:
    town = classes.town
    await classes.helpers.helper(TANAKA)
    path = await made(town)
    at_work = path.replace("/booking", "/helpers")
    async with town.browser("guest") as browser, town.browser("other") as other, coordinator(town) as desk:
        listed = await browser.get(CLASSES)
        assert (TITLE in listed.text, "のこり2席" in listed.text) == (True, True)
        shown = await browser.get(path)
        assert ("会議室2" in shown.text, "公民館" in shown.text, "無料" in shown.text) == (True,) * 3
        page = await entered(browser, path)
        number, code = slips(page)
        assert ("席がとれています" in page.text, "お知らせは届きません" in page.text) == (True, True)
        # Again, by the way back: it is the same seat.
        assert (await browser.get(f"{path}/enter")).headers["location"] == page.url.path
        assert "もう申し込んでいます" in (await browser.get(path)).text
        # Another browser knows nothing of it, but by number and code.
        assert (await other.get(page.url.path)).headers["location"].startswith("/booking/find")
        found = await go(other, await other.post("/booking/find", data={"number": number, "code": code}))
        assert (found.url.path, len(slips(found))) == (page.url.path, 1)
        wrong = await go(other, await other.post("/booking/find", data={"number": number, "code": "000000"}))
        assert "ちがいます" in wrong.text
        # The coordinator finds a teacher, and marks who came.
        session_id = re.search(r'name="session" value="([^"]+)"', (await desk.get(at_work)).text)
        assert session_id
        staff = {"session": session_id[1], "helper": TANAKA, "role": "teacher"}
        page = await go(desk, await desk.post(f"{at_work}/staff", data=staff))
        assert "先生：Tanaka" in page.text, page.text
        roll = await desk.get(f"{at_work}/roll")
        assert (number in roll.text, "お名前なし" in roll.text) == (True, True)
        mark = re.search(r'name="(mark-[^"]+)"', roll.text)
        assert mark
        marks = {"session": session_id[1], mark[1]: "attended"}
        page = await go(desk, await desk.post(f"{at_work}/roll", data=marks))
        assert REFUSALS["not_begun"].title in page.text
        assert "テキスト10部" in (await desk.get("/helpers/classes/materials")).text
        town.now += BEGINS
    async with coordinator(town) as desk:
        page = await go(desk, await desk.post(f"{at_work}/roll", data=marks))
        assert ("出席を記録しました" in page.text, "checked" in page.text) == (True, True)
    deeds: list[Any] = await town.rows("SELECT action FROM booking.audit WHERE actor_ref = 'coordinator'")
    assert "class-attendance" in [row.action for row in deeds]


async def test_a_seat_that_is_offered_is_taken_on_ones_own_page(classes: ClassTown) -> None:
    town = classes.town
    path = await made(town, seats="1")
    async with town.browser("first") as first, town.browser("next") as second:
        own = (await entered(first, path)).url.path
        page = await entered(second, path)
        assert ("空きを待っています" in page.text, "1番目" in page.text) == (True, True)
        waiting = page.url.path
        assert "この席をとる" not in page.text
        page = await go(first, await first.post(own, data={"deed": "leave"}))
        assert "取り消しました" in page.text
        assert "席が空きました" in (await second.get(waiting)).text
        page = await go(second, await second.post(waiting, data={"deed": "take"}))
        assert "席がとれています" in page.text
        page = await go(first, await first.post(own, data={"deed": "take"}))
        assert REFUSALS["class_offer_over"].title in page.text
        assert (await second.post(waiting, data={"deed": "nothing"})).status_code == 303


async def test_a_draw_by_the_pages_and_its_record(classes: ClassTown) -> None:
    town = classes.town
    path = await made(town, seats="1", mode="draw")
    async with town.browser("a") as first, town.browser("b") as second:
        pages = [await entered(first, path), await entered(second, path)]
        assert all("抽選します" in page.text for page in pages)
        lots = [slips(page)[-1].replace("-", "") for page in pages]
        before = (await first.get(f"{path}/record.json")).json()
        assert (before["seed"], before["entries"]) == (None, [])
        town.now += timedelta(days=5, hours=8)
        await classes.do_what_is_due()
        record = (await first.get(f"{path}/record.json")).json()
        assert {entry["ticket"] for entry in record["entries"]} == set(lots)
        assert record["commitment"] == before["commitment"]
    async with town.browser("a") as first, town.browser("b") as second:
        shown = [(await browser.get(page.url.path)).text for browser, page in zip((first, second), pages, strict=True)]
        assert sorted("席がとれています" in text for text in shown) == [False, True]
        assert sorted("今回は外れました" in text for text in shown) == [False, True]


async def test_from_a_visit_with_a_helper_with_the_name_and_contact_that_it_brought(classes: ClassTown) -> None:
    town = classes.town
    path = await made(town, seats="1")
    async with town.browser("guest") as browser:
        ticket = town.seal(town.make_pass("guest", procedure=PHONE_HELP, channel="helper"))
        page = await go(browser, await browser.post("/booking/arrive", data={"pass": ticket}))
        way = re.search(r'href="/booking/classes\?visit=([^"]+)"', page.text)
        assert way, page.text
        assert f'href="{path}?visit={way[1]}"' in (await browser.get(f"{CLASSES}?visit={way[1]}")).text
        page = await entered(browser, path, way[1])
        assert ("席がとれています" in page.text, "お知らせは届きません" in page.text) == (True, False)
    async with coordinator(town) as desk:
        roll = await desk.get(path.replace("/booking", "/helpers") + "/roll")
        assert "𠮷﨑 花子" in roll.text
    async with town.browser("thief") as thief:
        assert (await thief.get(f"{path}/enter?visit={way[1]}")).status_code == 404


async def test_staff_enter_for_somebody_on_the_phone(classes: ClassTown) -> None:
    town, path = classes.town, await made(classes.town)
    async with town.staff() as desk:
        first, second = await entered(desk, path), await entered(desk, path)
        assert slips(first)[0] != slips(second)[0]
        assert len(slips(first)) == 2
    deeds: list[Any] = await town.rows("SELECT action FROM booking.audit WHERE actor_ref = 'staff'")
    assert [row.action for row in deeds] == ["class-enter", "class-enter"]


async def test_one_address_cannot_take_all_the_seats(classes: ClassTown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.booking.pages.tries.CodeTries.count_ticket", lambda *_: False)
    path = await made(classes.town)
    async with classes.town.browser("guest") as browser:
        page = await entered(browser, path)
    assert REFUSALS["class_busy"].title in page.text


async def test_calling_off_by_the_page_and_what_is_told(classes: ClassTown) -> None:
    town, path = classes.town, await made(classes.town)
    at_work = path.replace("/booking", "/helpers")
    async with town.browser("guest") as browser, coordinator(town) as desk:
        own = (await entered(browser, path)).url.path
        assert (await desk.post(f"{at_work}/call-off", data={"reason": ""})).status_code == 422
        page = await go(desk, await desk.post(f"{at_work}/call-off", data={"reason": "大雨のため"}))
        assert "中止にしました" in page.text
        page = await go(desk, await desk.post(f"{at_work}/publish"))
        assert REFUSALS["class_off"].title in page.text
        assert "大雨のため" in (await browser.get(own)).text
        assert "大雨のため" in (await browser.get(path)).text
        assert "STATUS:CANCELLED" in (await browser.get(f"{path}/calendar.ics")).text
        listed = (await browser.get("/open-data/events.json")).json()
        assert listed[0]["備考"] == "中止：大雨のため"


async def test_the_list_of_events_says_where_it_is_and_what_it_is_in_english_where_the_town_has_told(
    classes: ClassTown,
) -> None:
    town = classes.town
    course_id = await classes.opened()
    async with town.browser(None) as anybody:
        (row,) = (await anybody.get("/open-data/events.json")).json()
        assert [row[name] for name in ("緯度", "経度", "イベント名_英語")] == ["", "", ""]
        async with town.db.begin(TOWN) as session:
            located = {"code": HALL, "latitude": "35.2991", "longitude": "139.25540"}
            told = "UPDATE counter SET (latitude, longitude) = (:latitude, :longitude) WHERE code = :code"
            await session.execute(text(told), located)
        (row,) = (await anybody.get("/open-data/events.json")).json()
    assert [row[name] for name in ("緯度", "経度")] == ["35.2991", "139.25540"]
    said = {TITLE: TownText(en="Smartphones for beginners"), "LINEの使い方": TownText(en="Using LINE")}
    found = await classes.view(course_id)
    about = msgspec.structs.replace(found, title_ja="写真教室", topic_names=("LINEの使い方",))
    both = msgspec.structs.replace(about, topic_names=("LINEの使い方", "カメラ"))
    assert [title_en(each, said) for each in (found, about, both)] == [
        "Smartphones for beginners", "Class: Using LINE", "",
    ]  # fmt: skip


async def test_the_list_of_events_has_the_columns_of_the_standard_and_no_formulas(classes: ClassTown) -> None:
    town = classes.town
    await made(town, title="=HYPERLINK(1)", fee="300")
    async with town.browser(None) as anybody:
        file = await anybody.get("/open-data/events.csv")
        page = await anybody.get("/open-data/events")
    assert file.headers["content-type"].startswith("text/csv")
    header, row = list(csv.reader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert tuple(header) == COLUMNS
    told = dict(zip(header, row, strict=True))
    assert {name: told[name] for name in ("イベント名", "都道府県名", "開始日", "開始時間", "定員", "料金(基本)")} == {
        "イベント名": "'=HYPERLINK(1)", "都道府県名": "神奈川県", "開始日": "2026-06-08", "開始時間": "10:00",
        "定員": "2", "料金(基本)": "300円",
    }  # fmt: skip
    assert (told["説明"], told["連絡先電話番号"]) == ("ゆっくり 進めます。", "'0463-71-3311")
    assert "events.csv" in page.text
    assert [prefecture_of(code) for code in ("143421", "012025", "practice-1", "990000")] == [
        "神奈川県",
        "北海道",
        "",
        "",
    ]


async def test_the_poster_and_the_calendar_lead_to_the_class(classes: ClassTown) -> None:
    town, path = classes.town, await made(classes.town)
    async with town.browser(None) as anybody:
        poster = await anybody.get(f"{path}/poster")
        assert (path in poster.text, 'src="data:image/svg+xml' in poster.text) == (True, True)
        calendar = await anybody.get(f"{path}/calendar.ics")
    assert calendar.headers["content-type"].startswith("text/calendar")
    assert ("DTSTART;TZID=Asia/Tokyo:20260608T100000" in calendar.text, TITLE in calendar.text) == (True, True)


async def test_what_is_typed_wrong_is_told_at_its_field(classes: ClassTown) -> None:
    town = classes.town
    async with coordinator(town) as desk:
        for wrong in ({"title": ""}, {"seats": "0"}, {"seats": "x"}, {"mode": "lots"}, {"closes_day": "40"}):
            answer = await desk.post("/helpers/classes", data=class_form(**wrong))
            assert (answer.status_code, "なおすところ" in answer.text) == (422, True), wrong
        answer = await desk.post("/helpers/classes", data=class_form(venue="nowhere"))
        assert (answer.status_code, REFUSALS["class_unfit"].title in answer.text) == (422, True)
        path = (await made(town)).replace("/booking", "/helpers")
        page = await go(desk, await desk.post(f"{path}/sessions", data=session_form(s0_to="540")))
        assert REFUSALS["class_times"].title in page.text
        page = await go(desk, await desk.post(f"{path}/sessions", data=session_form(s0_day_day="x")))
        assert REFUSALS["class_times"].title in page.text
        page = await desk.post(path, data=class_form(title=""))
        assert page.status_code == 422
        page = await go(desk, await desk.post(path, data=class_form(title="ほかの名前", seats="50")))
        assert ("変えました" in page.text, "ほかの名前" in page.text) == (True, True)
        page = await go(desk, await desk.post(f"{path}/close"))
        assert "しめきりました" in page.text
        page = await go(desk, await desk.post(f"{path}/close", data={"deed": "reopen"}))
        assert "また受け付けています" in page.text
        assert (await desk.get(f"{path}/staff")).headers["location"] == path
    rows: list[Any] = await town.rows("SELECT seats FROM booking.course")
    assert [row.seats for row in rows] == [2]


async def test_whoever_comes_too_late_reads_why(classes: ClassTown) -> None:
    town, path = classes.town, await made(classes.town)
    async with town.browser("guest") as browser:
        key = key_of(await browser.get(f"{path}/enter"))
        await classes.call_off((await town.rows("SELECT course_id FROM booking.course"))[0].course_id)  # type: ignore[attr-defined]
        page = await go(browser, await browser.post(f"{path}/enter", data=key))
        assert REFUSALS["class_closed"].title in page.text
        assert (await browser.get(f"{CLASSES}/none")).status_code == 404
        assert (await browser.get(f"{CLASSES}/entries/nothing")).status_code == 303
