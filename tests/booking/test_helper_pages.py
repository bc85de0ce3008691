"""`/helpers` on a helper's own phone, the calendar feed, the coordinator's roster, and the resident's pages."""

import re
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from shared.passes import PassedItem
from tests.booking.conftest import HOST, OTHER_HOST, OTHER_TOWN, TownAfter
from tests.booking.helpers_town import HALL, PHONE_HELP, SATO, SECRET_HELP, SHED, TANAKA, HelperTown, open_with_venues


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """A town with two helpers who are at the hall on Mondays."""
    town = HelperTown(await town_after(open_with_venues))
    await town.helper(SATO)
    await town.helper(TANAKA, languages=("ja", "en"))
    return town


def phone(helpers: HelperTown, ref: str = SATO, host: str = HOST, town: str = "143421") -> httpx.AsyncClient:
    return helpers.town.browser(ref, host=host, kind="helper", roles=("helper",), town=town)


def desk(helpers: HelperTown, *roles: str) -> httpx.AsyncClient:
    return helpers.town.browser("boss", kind="staff", roles=roles)


def forms(page: httpx.Response) -> list[str]:
    return re.findall(r'action="(/helpers/[^"]+)"', page.text)


async def test_a_request_shows_time_venue_topic_and_language_and_no_name(helpers: HelperTown) -> None:
    await helpers.book(language="ja-easy")
    page = await phone(helpers).get("/helpers")
    assert page.status_code == httpx.codes.OK
    for shown in ("お返事をお願いします（1件）", "公民館（町民センター）", "スマホ相談", "やさしい日本語", "午前10時"):
        assert shown in page.text, shown
    for hidden in ("花子", "ハナコ", "𠮷﨑"):
        assert hidden not in page.text
    assert await helpers.town.rows("SELECT 1 FROM booking.ledger_entry WHERE entry_type = 'helper_assisted'") == []


async def test_who_accepted_sees_the_given_name_and_that_is_written_once(helpers: HelperTown) -> None:
    booked = await helpers.book()
    browser = phone(helpers)
    accept = next(url for url in forms(await browser.get("/helpers")) if url.endswith("/accept"))
    answer = await browser.post(accept)
    assert (answer.status_code, answer.headers["location"]) == (httpx.codes.SEE_OTHER, "/helpers?told=accept")
    for _ in range(2):
        page = await browser.get("/helpers")
        assert "花子さん" in page.text
        assert "𠮷﨑" not in page.text
    [entry] = await helpers.town.rows("SELECT * FROM booking.ledger_entry WHERE entry_type = 'helper_assisted'")
    assert entry.correlation == booked.appointment_id  # type: ignore[attr-defined]
    # The very name that the resident passed on.
    passed = await helpers.town.rows("SELECT commitments FROM booking.ledger_entry WHERE entry_type = 'applied'")
    assert entry.commitments.items() <= {  # type: ignore[attr-defined]
        pair
        for row in passed
        for pair in row.commitments.items()  # type: ignore[attr-defined]
    }
    assert set(entry.commitments) == {"name"}  # type: ignore[attr-defined]
    assert entry.items == ["name"]  # type: ignore[attr-defined]
    assert (entry.actor_kind, entry.actor_ref, entry.visibility) == ("helper", SATO, "subject")  # type: ignore[attr-defined]
    assert (await browser.post(accept)).status_code == httpx.codes.SEE_OTHER


async def test_who_passed_on_no_name_has_none(helpers: HelperTown) -> None:
    await helpers.book(items=())
    await helpers.answer(SATO, "accept")
    assert "お名前なし" in (await phone(helpers).get("/helpers")).text
    assert await helpers.town.rows("SELECT 1 FROM booking.ledger_entry WHERE entry_type = 'helper_assisted'") == []


async def test_staff_who_help_are_written_as_staff(helpers: HelperTown) -> None:
    await helpers.book()
    await helpers.answer(SATO, "accept")
    browser = helpers.town.browser(SATO, kind="staff", roles=("coordinator", "helper"))
    assert "花子さん" in (await browser.get("/helpers")).text
    [entry] = await helpers.town.rows(
        "SELECT actor_kind FROM booking.ledger_entry WHERE entry_type = 'helper_assisted'"
    )
    assert entry.actor_kind == "staff"  # type: ignore[attr-defined]


async def test_a_name_without_a_space_is_not_shown_and_nothing_is_written(helpers: HelperTown) -> None:
    items = (PassedItem(key="name", value="山田太郎", approval_id=uuid4()),)
    visit_id = await helpers.town.visit("guest", procedure=PHONE_HELP, channel="helper", items=items)
    await helpers.town.hold(visit_id, "guest", (await helpers.town.slots(HALL))[0].slot_id)
    # The resident is told so before they book.
    confirm = (await helpers.town.browser().get(f"/booking/visits/{visit_id}/confirm")).text
    assert "お名前なし" in confirm
    assert "山田太郎" not in confirm
    await helpers.town.book(visit_id, "guest")
    await helpers.answer(SATO, "accept")
    page = (await phone(helpers).get("/helpers")).text
    assert "お名前なし" in page
    assert "太郎" not in page
    assert await helpers.town.rows("SELECT 1 FROM booking.ledger_entry WHERE entry_type = 'helper_assisted'") == []


async def test_a_discreet_topic_is_not_named(helpers: HelperTown) -> None:
    await helpers.book(procedure=SECRET_HELP)
    page = await phone(helpers).get("/helpers")
    assert "手続きの相談" in page.text
    assert "障害" not in page.text


async def test_declining_leads_on_to_the_next_helper(helpers: HelperTown) -> None:
    await helpers.book()
    browser = phone(helpers)
    urls = forms(await browser.get("/helpers"))
    assert (await browser.post(next(url for url in urls if url.endswith("/decline")))).status_code == 303
    assert "お返事をお願いします" not in (await browser.get("/helpers")).text
    assert "お返事をお願いします（1件）" in (await phone(helpers, TANAKA).get("/helpers")).text
    late = await browser.post(next(url for url in urls if url.endswith("/accept")))
    assert late.status_code == httpx.codes.CONFLICT
    assert "この依頼は、もう終わっています" in late.text


async def test_attendance_is_offered_once_it_has_begun(helpers: HelperTown) -> None:
    booked = await helpers.book()
    await helpers.answer(SATO, "accept")
    browser = phone(helpers)
    early = (await browser.get("/helpers")).text
    assert "来られました" not in early
    assert "行けなくなりました" in early
    request = (await helpers.requests(SATO))[0].assignment_id
    too_early = await browser.post(f"/helpers/requests/{request}/came")
    assert too_early.status_code == httpx.codes.CONFLICT
    assert "まだ始まっていません" in too_early.text
    helpers.at(booked.ends_at)
    browser = phone(helpers)
    page = await browser.get("/helpers")
    assert "行けなくなりました" not in page.text
    assert (await browser.post(next(url for url in forms(page) if url.endswith("/came")))).status_code == 303
    assert await helpers.appointment(booked) == ("done", "accepted")


async def test_the_person_beside_them_goes_another_way_once_they_sit_together(helpers: HelperTown) -> None:
    booked = await helpers.book()
    await helpers.answer(SATO, "accept")
    meeting = f"/helpers/meetings/{(await helpers.requests(SATO))[0].assignment_id}"
    said = {"channel": "online"}
    early = await phone(helpers).post(f"{meeting}/switch", data=said)
    assert (early.status_code, "まだ始まっていません" in early.text) == (httpx.codes.CONFLICT, True)
    helpers.at(booked.ends_at)
    assert (await phone(helpers).post(f"{meeting}/switch", data={"channel": "helper"})).status_code == 400
    other = await phone(helpers, TANAKA).post(f"{meeting}/switch", data=said)
    assert other.status_code == httpx.codes.NOT_FOUND
    answer = await phone(helpers).post(f"{meeting}/switch", data=said)
    assert answer.headers["location"] == f"{meeting}?told=switched"
    wishes = await helpers.town.rows("SELECT type FROM booking.outbox WHERE type = 'booking.switch_wished.v1'")
    assert len(wishes) == 1, "not_begun and request_unknown tell nobody"
    assert "/switch" not in (await phone(helpers).get("/helpers")).text, "there is one way to say it"


async def test_others_requests_and_bad_addresses_are_not_found(helpers: HelperTown) -> None:
    await helpers.book()
    request = (await helpers.requests(SATO))[0].assignment_id
    await helpers.open(OTHER_TOWN)
    await helpers.hear(helpers.account(SATO, code=OTHER_TOWN))
    for browser in (phone(helpers, TANAKA), phone(helpers, SATO, OTHER_HOST, OTHER_TOWN)):
        assert (await browser.post(f"/helpers/requests/{request}/accept")).status_code == httpx.codes.NOT_FOUND
    mine = phone(helpers)
    for path in (f"{request}/dance", "x/accept", f"{uuid4()}/accept"):
        assert (await mine.post(f"/helpers/requests/{path}")).status_code == httpx.codes.NOT_FOUND, path
    assert await helpers.states() == {SATO: "asked"}


@pytest.mark.parametrize("path", ["/helpers", "/helpers/shifts", "/helpers/calendar"])
async def test_helpers_pages_are_for_helpers(helpers: HelperTown, path: str) -> None:
    assert (await desk(helpers, "counter", "manager").get(path)).status_code == httpx.codes.FORBIDDEN
    assert (await helpers.town.browser().get(path)).headers["location"].startswith("/sign-in")


async def test_a_helper_whose_account_has_not_arrived_is_told_to_wait(helpers: HelperTown) -> None:
    browser = phone(helpers, "newcomer")
    assert "登録を準備しています" in (await browser.get("/helpers")).text
    answer = await browser.post("/helpers/shifts", data={"venue": HALL, "weekday": "1", "from": "600", "to": "720"})
    assert answer.status_code == httpx.codes.CONFLICT
    assert "登録を準備しています" in answer.text
    assert (await browser.post("/helpers/calendar")).status_code == httpx.codes.CONFLICT


async def test_times_are_added_and_removed(helpers: HelperTown) -> None:
    browser = phone(helpers)
    fields = {"venue": SHED, "weekday": "2", "from": "540", "to": "720"}
    assert (await browser.post("/helpers/shifts", data=fields)).headers["location"] == "/helpers/shifts?told=added"
    page = await browser.get("/helpers/shifts?told=added")
    assert "毎週 火曜日 9:00〜12:00" in page.text
    assert await helpers.free(SHED) == [1] * 9
    removals = re.findall(r'href="(/helpers/shifts/[^"]+/remove)"', page.text)
    assert len(removals) == 2
    for url in removals:
        # Asked first, and only about one's own.
        asked = await browser.get(url)
        assert "この時間を消しますか" in asked.text
        assert forms(asked) == [url]
        assert (await phone(helpers, TANAKA).get(url)).headers["location"] == "/helpers/shifts"
        assert (await browser.post(url)).status_code == httpx.codes.SEE_OTHER
        # Others' times are not touched, and twice is once.
        assert (await phone(helpers, TANAKA).post(url)).status_code == httpx.codes.SEE_OTHER
        assert (await browser.get(url)).headers["location"] == "/helpers/shifts"
    assert "まだ登録がありません" in (await browser.get("/helpers/shifts")).text
    assert await helpers.free(SHED) == []
    assert await helpers.free(HALL) == [1] * 6


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"from": "720", "to": "600"}, 422, "この時間は登録できません"),
        ({"from": ""}, 422, "この時間は登録できません"),
        ({"from": "6e2"}, 422, "この時間は登録できません"),
        ({"weekday": "9"}, 422, "この時間は登録できません"),
        ({"weekday": "1"}, 409, "重なる時間があります"),
        ({"venue": "nowhere"}, 404, "この場所は見つかりません"),
        ({"venue": "7"}, 404, "この場所は見つかりません"),
    ],
)
async def test_a_time_that_cannot_be_comes_back_with_advice(
    helpers: HelperTown, changes: dict[str, str], status: int, words: str
) -> None:
    fields = {"venue": HALL, "weekday": "3", "from": "600", "to": "720"} | changes
    answer = await phone(helpers).post("/helpers/shifts", data=fields)
    assert answer.status_code == status
    assert words in answer.text
    assert "時間を登録する" in answer.text


async def test_the_calendar_feed_has_times_and_venues_and_no_name(helpers: HelperTown) -> None:
    await helpers.book("a")
    await helpers.book("b", 1)
    await helpers.answer(SATO, "accept")
    browser = phone(helpers)
    page = await browser.post("/helpers/calendar")
    address = re.search(r"/helpers/calendar/[\w-]+\.ics", page.text)
    assert address is not None
    stranger = helpers.town.browser(None)
    feed = await stranger.get(address[0])
    assert feed.headers["content-type"].startswith("text/calendar")
    assert feed.text.count("BEGIN:VEVENT") == 1
    assert "SUMMARY:スマホ相談" in feed.text
    assert "公民館" in feed.text
    for hidden in ("花子", "ハナコ", "予約番号"):
        assert hidden not in feed.text
    # Only a hash is kept, and the page does not show the address again.
    rows = await helpers.town.rows("SELECT feed_hash FROM booking.helper WHERE helper_ref = :ref", ref=SATO)
    assert len(bytes(rows[0].feed_hash)) == 32  # type: ignore[attr-defined]
    assert address[0] not in (await browser.get("/helpers/calendar")).text
    assert (await browser.post("/helpers/calendar")).status_code in (200, 201)
    assert (await stranger.get(address[0])).status_code == httpx.codes.NOT_FOUND
    for token in ("x.ics", "a" * 200, "%00"):
        assert (await stranger.get(f"/helpers/calendar/{token}")).status_code == httpx.codes.NOT_FOUND


async def test_the_feed_of_a_closed_account_or_in_another_town_opens_nothing(helpers: HelperTown) -> None:
    page = await phone(helpers).post("/helpers/calendar")
    address = re.search(r"/helpers/calendar/[\w-]+\.ics", page.text)
    assert address is not None
    elsewhere = helpers.town.browser(None, host=OTHER_HOST)
    assert (await elsewhere.get(address[0])).status_code == httpx.codes.NOT_FOUND
    await helpers.hear(helpers.account(SATO, version=2, is_open=False))
    assert (await helpers.town.browser(None).get(address[0])).status_code == httpx.codes.NOT_FOUND


async def test_the_roster_shows_helpers_and_asks_somebody_else(helpers: HelperTown) -> None:
    await helpers.book()
    browser = desk(helpers, "coordinator")
    page = await browser.get("/helpers/roster")
    for shown in ("Sato", "Tanaka", "10:00〜12:00", "お返事待ち"):
        assert shown in page.text, shown
    assert "花子" not in page.text
    [url, _cover] = forms(page)
    assert (await browser.post(url, data={"helper": TANAKA})).headers["location"] == "/helpers/roster?told=reassign"
    assert await helpers.states() == {SATO: "released", TANAKA: "asked"}
    again = await browser.post(url, data={"helper": TANAKA})
    assert again.status_code == httpx.codes.CONFLICT
    [url, _cover] = forms(await browser.get("/helpers/roster"))
    for wrong in ("nobody", "", "\x00"):
        assert (await browser.post(url, data={"helper": wrong})).status_code == httpx.codes.NOT_FOUND
    assert (await desk(helpers, "counter").get("/helpers/roster")).status_code == httpx.codes.FORBIDDEN
    assert (await phone(helpers).get("/helpers/roster")).status_code == httpx.codes.FORBIDDEN
    assert (await desk(helpers, "manager").get("/helpers/roster")).status_code == httpx.codes.OK


async def test_a_resident_books_a_helper_page_by_page(helpers: HelperTown) -> None:
    browser = helpers.town.browser("resident")
    ticket = helpers.town.make_pass("resident", procedure=PHONE_HELP, channel="helper")
    arrived = await browser.post("/booking/arrive", data={"pass": helpers.town.seal(ticket)})
    visit = arrived.headers["location"]
    page = await browser.get(visit)
    assert "サポーターと会う日と時間" in page.text
    slot = re.search(r'name="slot" value="([0-9a-f-]{36})"', page.text)
    assert slot is not None
    await browser.post(f"{visit}/hold", data={"slot": slot[1], "idempotency_key": "k"})
    confirm = await browser.get(f"{visit}/confirm")
    assert "花子さん" in confirm.text
    assert "公民館（町民センター）" in confirm.text
    booked = await browser.post(f"{visit}/book", data={"idempotency_key": "b"})
    number = booked.headers["location"]
    page = await browser.get(number)
    assert "サポーターにお願いしています" in page.text
    await helpers.answer(SATO, "accept")
    assert "サポーターが決まりました" in (await browser.get(number)).text
    calendar = await browser.get(f"{number}/calendar.ics")
    assert "サポーターとの予約" in calendar.text
    change = await browser.get(f"{number}/change")
    assert change.status_code == httpx.codes.OK
    assert change.text.count('name="slot"') > 1
    await helpers.answer(SATO, "decline")
    await helpers.answer(TANAKA, "decline")
    page = await browser.get(number)
    assert "サポーターが見つかりませんでした" in page.text
    assert "ほかの日時や方法を選ぶ" in page.text


async def test_an_offices_line_has_no_venues_of_others(helpers: HelperTown) -> None:
    booked = await helpers.book()
    number = f"{booked.number[:3]}-{booked.number[3:]}"
    assert number not in (await helpers.town.staff(office="子育て").get("/counter")).text
    assert number in (await helpers.town.staff(office="公民館").get("/counter")).text
    assert number in (await helpers.town.staff(office=None).get("/counter")).text


async def test_at_the_counter_a_venue_is_called_by_its_name(helpers: HelperTown) -> None:
    booked = await helpers.book()
    helpers.town.now = booked.starts_at
    assert "スマホ相談・公民館" in (await helpers.town.staff(office=None).get("/counter/line")).text
    elsewhere = helpers.town.staff(office="子育て")
    htmx = {"hx-request": "true"}
    told = await elsewhere.post("/counter/check-in", data={"number": booked.number}, headers=htmx)
    assert "サポーターとの予約です。公民館にご案内ください。" in told.text
    known = await elsewhere.post("/counter/check-in", data={"number": booked.number}, headers=htmx)
    assert known.status_code == httpx.codes.CONFLICT
    assert "公民館" in known.text
