"""A helper's own pages: the next visit first, requests with their time limit, week, month, skills, hours, feed."""

from datetime import date, datetime, timedelta
from typing import Any

import httpx
import icalendar
import pytest
import pytest_asyncio
from sqlalchemy import text

from shared.clock import JST
from tests.booking.conftest import HOST, OTHER_HOST, OTHER_TOWN, TOWN, TownAfter
from tests.booking.helpers_town import SATO, SECRET_HELP, SHED, TANAKA, HelperTown, open_with_venues

FIRST = date(2026, 6, 1)
SECOND = FIRST + timedelta(weeks=1)


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """A town with one helper, who is at the hall on Mondays from 10 to 12. It is Monday, nine."""
    town = HelperTown(await town_after(open_with_venues))
    await town.helper(SATO)
    return town


def phone(helpers: HelperTown, ref: str = SATO, host: str = HOST, town: str = TOWN) -> httpx.AsyncClient:
    return helpers.town.browser(ref, host=host, kind="helper", roles=("helper",), town=town)


async def request_of(helpers: HelperTown, ref: str = SATO) -> Any:
    return (await helpers.requests(ref))[-1].assignment_id


async def test_the_next_visit_stands_first_and_leads_to_its_page(helpers: HelperTown) -> None:
    await helpers.book("late", 2)
    await helpers.answer(SATO, "accept")
    late = await request_of(helpers)
    await helpers.book("early", 0)
    early = await request_of(helpers)
    page = (await phone(helpers).get("/helpers")).text
    # A request is nothing that they have to go to yet.
    assert (
        page.index("次に会う方") < page.index(f"/helpers/meetings/{late}") < page.index("お返事をお願いします（1件）")
    )
    assert f"/helpers/meetings/{early}" not in page
    await helpers.answer(SATO, "accept", early)
    page = (await phone(helpers).get("/helpers")).text
    assert page.index("次に会う方") < page.index("今日 6月1日（月）") < page.index(f"/helpers/meetings/{early}")
    assert page.index("今日とこれから") < page.index("6月8日（月）")
    # During the visit it is still the next one; when it is settled who came, it is not.
    helpers.at(helpers.town.now + timedelta(hours=1, minutes=5))
    assert f"/helpers/meetings/{early}" in (await phone(helpers).get("/helpers")).text
    await helpers.answer(SATO, "came", early)
    page = (await phone(helpers).get("/helpers")).text
    assert f"/helpers/meetings/{late}" in page.split("今日とこれから")[0]
    assert "来られました" in page.split("今日とこれから")[1]


async def test_a_request_tells_how_long_it_waits(helpers: HelperTown) -> None:
    """A day, at the latest an hour before; and when it has been answered for them, nothing is left."""
    await helpers.book("near", 0)
    page = (await phone(helpers).get("/helpers")).text
    assert "あと10分" in page
    assert "次の方にお願いします" in page
    await helpers.book("far", 3)
    assert "あと24時間" in (await phone(helpers).get("/helpers")).text
    helpers.at(helpers.town.now + timedelta(hours=5, minutes=1))
    assert "あと18時間" in (await phone(helpers).get("/helpers")).text


async def test_who_cannot_come_is_asked_once_more_and_told_what_follows(helpers: HelperTown) -> None:
    await helpers.helper(TANAKA)
    booked = await helpers.book("a", 0)
    await helpers.answer(SATO, "accept")
    request = await request_of(helpers)
    address = f"/helpers/requests/{request}/cannot-come"
    # A minute before it begins.
    helpers.at(booked.starts_at - timedelta(minutes=1))
    browser = phone(helpers)
    page = (await browser.get("/helpers")).text
    assert address in page
    assert f'action="/helpers/requests/{request}/decline"' not in page
    asked = (await browser.get(address)).text
    assert "すぐに、次のサポーターにお願いします" in asked
    assert f'action="/helpers/requests/{request}/decline"' in asked
    assert (await browser.post(f"/helpers/requests/{request}/decline")).status_code == httpx.codes.SEE_OTHER
    assert await helpers.states() == {SATO: "declined", TANAKA: "asked"}
    # Of what is no promise of theirs, nothing is asked.
    for ref in (SATO, TANAKA):
        answer = await phone(helpers, ref).get(address)
        assert (answer.status_code, answer.headers["location"]) == (httpx.codes.SEE_OTHER, "/helpers")
    helpers.at(booked.starts_at)
    assert (
        await phone(helpers, TANAKA).get(f"/helpers/requests/{await request_of(helpers, TANAKA)}/cannot-come")
    ).is_redirect


async def test_the_week_shows_times_visits_and_days_away_and_no_name(helpers: HelperTown) -> None:
    await helpers.shift(SATO, venue=SHED, weekday=3, every_weeks=2, first_week=SECOND)
    await helpers.book("a", 2)
    await helpers.answer(SATO, "accept")
    await helpers.book("b", 2, procedure=SECRET_HELP)
    browser = phone(helpers)
    typed = {"first_year": "2026", "first_month": "6", "first_day": "9"}
    await browser.post("/helpers/away", data=typed)
    this = (await browser.get("/helpers/week")).text
    assert "2026年6月1日（月）から6月7日（日）まで" in this
    assert "来られる時間：10:00〜12:00" in this
    assert "集会所" not in this
    assert 'href="/helpers/week?day=2026-05-25"' in this
    week = (await browser.get("/helpers/week?day=2026-06-14")).text
    for shown in ("6月8日（月）", "引き受けた約束", "お返事待ち", "スマホ相談", "手続きの相談", "お休みの日", "集会所"):
        assert shown in week, shown
    for hidden in ("花子", "障害"):
        assert hidden not in week
    assert await helpers.town.rows("SELECT 1 FROM booking.ledger_entry WHERE entry_type = 'helper_assisted'") == []
    # Of what shifts there were, nobody knows any more; no day, and one that is too far, are today's week.
    assert "来られる時間：" not in (await browser.get("/helpers/week?day=2026-05-25")).text
    for other in ("x", "2050-01-01", "0001-01-01"):
        assert "2026年6月1日（月）から" in (await browser.get(f"/helpers/week?day={other}")).text


async def test_the_month_shows_only_the_days_on_which_something_is(helpers: HelperTown) -> None:
    await helpers.book("a", 2)
    await helpers.answer(SATO, "accept")
    browser = phone(helpers)
    await browser.post("/helpers/away", data={"first_year": "2026", "first_month": "6", "first_day": "8"})
    month = (await browser.get("/helpers/month")).text
    for shown in ("2026年6月", "今日 6月1日（月）", "6月8日（月）", "お休みの日に、約束があります", "6月29日（月）"):
        assert shown in month, shown
    assert "6月3日" not in month
    assert "この月の予定は、ありません" in (await browser.get("/helpers/month?day=2026-05-09")).text
    assert 'href="/helpers/month?day=2027-01-01"' in (await browser.get("/helpers/month?day=2026-12-31")).text


async def test_what_a_helper_can_explain_is_ticked_on_the_phone(helpers: HelperTown) -> None:
    async with helpers.town.db.begin(TOWN) as session:
        await session.execute(
            text("""INSERT INTO topic (municipality, code, name_ja, version)
                    VALUES (:town, 'line', 'LINEの使い方', 1), (:town, 'camera', 'カメラ・写真', 1)"""),
            {"town": TOWN},
        )
    await helpers.hear(helpers.account(SATO, version=2, languages=("ja", "en")))
    browser = phone(helpers)
    page = (await browser.get("/helpers/profile")).text
    for shown in ("LINEの使い方", "カメラ・写真", "日本語、英語", "役場のサポーター担当"):
        assert shown in page, shown
    answer = await browser.post("/helpers/profile", data={"topic-line": "yes", "signs": "yes"})
    assert answer.headers["location"] == "/helpers/profile?told=saved"
    page = (await browser.get(answer.headers["location"])).text
    assert page.count(" checked") == 2
    refused = await browser.post("/helpers/profile", data={"topic-nothing": "yes"})
    assert (refused.status_code, "町の一覧にないもの" in refused.text) == (422, True), "topic_unknown"
    await browser.post("/helpers/profile", data={"topic-camera": "yes"})
    [row] = await helpers.town.rows("SELECT topics, signs FROM booking.helper")
    assert (row.topics, row.signs) == (["camera"], False)  # type: ignore[attr-defined]
    # An account's next version keeps them.
    await helpers.hear(helpers.account(SATO, version=3))
    [row] = await helpers.town.rows("SELECT topics FROM booking.helper")
    assert row.topics == ["camera"]  # type: ignore[attr-defined]
    unknown = await phone(helpers, TANAKA).post("/helpers/profile", data={"signs": "yes"})
    assert unknown.status_code == httpx.codes.CONFLICT


async def do_visits(helpers: HelperTown, *slots: int) -> None:
    """Somebody came to each of these slots, one after the other."""
    for number, slot in enumerate(slots):
        booked = await helpers.book(f"guest-{number}", slot)
        await helpers.answer(SATO, "accept")
        helpers.at(booked.starts_at)
        await helpers.answer(SATO, "came")


async def test_hours_are_counted_from_who_came_by_month(helpers: HelperTown) -> None:
    browser = phone(helpers)
    assert "終わった活動は、まだありません" in (await browser.get("/helpers/hours")).text
    await do_visits(helpers, 0, 1)
    booked = await helpers.book("nobody", 0)
    await helpers.answer(SATO, "accept")
    helpers.at(booked.starts_at)
    await helpers.answer(SATO, "no-show")
    async with helpers.town.db.begin(TOWN) as session:
        await session.execute(
            text("UPDATE appointment SET day = '2026-05-04' WHERE state = 'done' AND day = '2026-06-01'")
        )
    page = (await phone(helpers).get("/helpers/hours")).text
    for shown in ("全部で2回", "2時間", "2026年6月", "2026年5月", "1回・1時間"):
        assert shown in page, shown


async def test_the_certificate_says_who_when_and_how_much_and_nothing_of_residents(helpers: HelperTown) -> None:
    await do_visits(helpers, 0)
    browser = phone(helpers)
    page = (await browser.get("/helpers/hours/certificate?first=2026-06&last=2026-06")).text
    for shown in ("活動証明書", "Sato 様", "令和8年6月1日から令和8年6月1日まで", "1回", "1時間"):
        assert shown in page, shown
    for hidden in ("花子", "𠮷﨑", "スマホ相談", "公民館"):
        assert hidden not in page
    for first, last in (("2026-07", "2026-07"), ("", ""), ("2026-06", "x"), ("2026-05", "2026-06")):
        refused = await browser.get(f"/helpers/hours/certificate?first={first}&last={last}")
        assert (refused.status_code, "この期間の証明書は作れません" in refused.text) == (422, True), "period_unfit"


async def test_a_certificate_without_a_readable_name_says_so(helpers: HelperTown) -> None:
    await do_visits(helpers, 0)
    async with helpers.town.db.begin(TOWN) as session:
        await session.execute(text("UPDATE helper SET name_sealed = NULL, wrapped_key = NULL"))
    page = (await phone(helpers).get("/helpers/hours/certificate?first=2026-06&last=2026-06")).text
    assert "お名前を読めませんでした" in page


def events(feed: httpx.Response) -> list[Any]:
    return list(icalendar.Calendar.from_ical(feed.text).walk("VEVENT"))


async def open_feed(helpers: HelperTown) -> str:
    page = await phone(helpers).post("/helpers/calendar")
    return page.text.split("/helpers/calendar/")[1].split('"')[0]


async def test_the_feed_tells_when_a_visit_last_changed_and_leaves_days_away_out(helpers: HelperTown) -> None:
    asked_at = helpers.town.now
    await helpers.book("a", 2)
    browser = phone(helpers)
    await browser.post("/helpers/away", data={"first_year": "2026", "first_month": "6", "first_day": "9"})
    address = f"/helpers/calendar/{await open_feed(helpers)}"
    [event] = events(await helpers.town.browser(None).get(address))
    assert (event["sequence"], event["status"]) == (0, "TENTATIVE")
    assert event["last-modified"].dt == asked_at.replace(microsecond=0)
    helpers.at(asked_at + timedelta(hours=2))
    await helpers.answer(SATO, "accept")
    [changed] = events(await helpers.town.browser(None).get(address))
    assert changed["uid"] == event["uid"]
    assert (changed["sequence"], changed["status"]) == (1, "CONFIRMED")
    assert changed["last-modified"].dt == changed["dtstamp"].dt == helpers.town.now.replace(microsecond=0)
    assert changed["dtstart"].dt == datetime(2026, 6, 8, 10, tzinfo=JST)
    await helpers.answer(SATO, "decline")
    assert events(await helpers.town.browser(None).get(address)) == []


async def test_the_feed_can_be_ended(helpers: HelperTown) -> None:
    address = f"/helpers/calendar/{await open_feed(helpers)}"
    assert (await helpers.town.browser(None).get(address)).status_code == httpx.codes.OK
    browser = phone(helpers)
    assert (await browser.get("/helpers/calendar/end")).headers["location"] == "/helpers/calendar"
    for _ in range(2):
        assert "配信をやめました" in (await browser.post("/helpers/calendar/end")).text
    assert (await helpers.town.browser(None).get(address)).status_code == httpx.codes.NOT_FOUND
    assert "今のアドレスは" not in (await browser.get("/helpers/calendar")).text
    deeds = await helpers.town.rows("SELECT 1 FROM booking.audit WHERE action = 'end-feed'")
    assert len(deeds) == 1


@pytest.mark.parametrize(
    "path", ["/helpers/week", "/helpers/month", "/helpers/away", "/helpers/profile", "/helpers/hours"]
)
async def test_each_page_is_its_helpers_own_and_its_towns(helpers: HelperTown, path: str) -> None:
    assert (await phone(helpers).get(path)).status_code == httpx.codes.OK
    assert (await helpers.town.browser("guest").get(path)).status_code in (302, 303, 403)
    # Who is not on the roster (yet) sees nothing, and nothing breaks.
    assert (await phone(helpers, "nobody").get(path)).status_code == httpx.codes.OK
    assert (await phone(helpers, host=OTHER_HOST, town=OTHER_TOWN).get(path)).status_code in (200, 503)
