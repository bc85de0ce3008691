"""Asking for help in a browser: the form, the page of the request, its ways in, and the coordinators' pages."""

import re
from datetime import timedelta

import httpx
import pytest_asyncio

from services.booking.commands.help_requests import on_help_deadline_due
from services.booking.refusals import REFUSALS
from tests.booking.conftest import TOWN, BookingTown, TownAfter
from tests.booking.help_town import NEXT_MONDAY, TODAY, HelpTown, open_for_help
from tests.booking.helpers_town import HALL, PHONE_HELP, SATO, TANAKA
from tests.booking.test_pages import go

FORM = {
    "first": TODAY.isoformat(), "last": NEXT_MONDAY.isoformat(), "part": "any", "weekdays": "1 2 3 4 5",
    "topic": "line",
    "language": "ja", "sign": "none",
}  # fmt: skip


@pytest_asyncio.fixture
async def helps(town_after: TownAfter) -> HelpTown:
    """A town with one helper."""
    helps = HelpTown(await town_after(open_for_help))
    await helps.helper()
    return helps


def coordinator(town: BookingTown) -> httpx.AsyncClient:
    return town.browser("boss", kind="staff", roles=("coordinator",))


def slips(page: httpx.Response) -> list[str]:
    return re.findall(r'slip__number">([^<]+)<', page.text)


async def at_the_visit(helps: HelpTown, browser: httpx.AsyncClient, guest: str = "guest") -> httpx.Response:
    ticket = helps.town.make_pass(guest, procedure=PHONE_HELP, channel="helper")
    return await go(browser, await browser.post("/booking/arrive", data={"pass": helps.town.seal(ticket)}))


async def asked(helps: HelpTown, browser: httpx.AsyncClient, **changes: str) -> httpx.Response:
    """By the form that the visit leads to."""
    visit = await at_the_visit(helps, browser)
    assert "町にさがしてもらう" in visit.text
    form = await browser.get(f"{visit.url.path}/help")
    assert "ご自宅には行きません" in form.text
    return await go(browser, await browser.post(f"{visit.url.path}/help", data=FORM | changes))


async def test_asked_shown_met_and_opened_from_there(helps: HelpTown) -> None:
    browser = helps.town.browser("guest")
    page = await asked(helps, browser, venues=HALL, only_there="yes", sign="wished")
    assert "サポーターをさがしています" in page.text
    for text in ("LINEの使い方", "公民館", "手話（できれば）", "6月1日"):
        assert text in page.text, text
    assert len(slips(page)) == 2
    await helps.match()
    assert "サポーターにお願いしています" in (await browser.get(page.url.path)).text
    await helps.answer(TANAKA, "accept")
    met = await browser.get(page.url.path)
    own = re.search(r'href="(/booking/appointments/[^"]+)"', met.text)
    assert own, met.text
    assert (await browser.get(own[1])).status_code == httpx.codes.OK


async def test_opened_by_number_and_code_and_by_nothing_less(helps: HelpTown) -> None:
    page = await asked(helps, helps.town.browser("guest"))
    number, code = slips(page)
    stranger = helps.town.browser("stranger")
    shut = await stranger.get(page.url.path, follow_redirects=False)
    assert shut.headers["location"].startswith("/booking/find?number=")
    wrong = "000000" if code != "000000" else "111111"
    for _ in range(2):
        again = await go(stranger, await stranger.post("/booking/find", data={"number": number, "code": wrong}))
        assert again.url.path == "/booking/find"
    opened = await go(stranger, await stranger.post("/booking/find", data={"number": number, "code": code}))
    assert opened.url.path == page.url.path
    for _ in range(5):
        await stranger.post("/booking/find", data={"number": number, "code": wrong})
    locked = await go(stranger, await stranger.post("/booking/find", data={"number": number, "code": code}))
    assert locked.url.path == "/booking/find", "five wrong codes lock it"


async def test_the_link_of_a_message_opens_it_once_its_message_is_read(helps: HelpTown) -> None:
    await asked(helps, helps.town.browser("guest"))
    row = (await helps.town.rows("SELECT link_hash FROM booking.help_request"))[0]
    assert row.link_hash is not None  # type: ignore[attr-defined]
    assert (await helps.town.browser("x").get("/booking/a/nothing")).status_code == httpx.codes.NOT_FOUND


async def test_withdrawn_by_its_owner(helps: HelpTown) -> None:
    browser = helps.town.browser("guest")
    page = await asked(helps, browser)
    gone = await go(browser, await browser.post(page.url.path))
    assert "このお願いは取り消しました" in gone.text


async def test_nobody_was_found_and_other_ways_are_offered(helps: HelpTown) -> None:
    browser = helps.town.browser("guest")
    page = await asked(helps, browser, sign="needed")
    row = (await helps.town.rows("SELECT request_id, until FROM booking.help_request"))[0]
    helps.at(row.until)  # type: ignore[attr-defined]
    async with helps.town.db.begin(TOWN) as session:
        await on_help_deadline_due(session, TOWN, str(row.request_id), helps.town.now)  # type: ignore[attr-defined]
    number, code = slips(page)
    browser = helps.town.browser("again")
    page = await go(browser, await browser.post("/booking/find", data={"number": number, "code": code}))
    for text in ("サポーターが見つかりませんでした", "空いている時間", "6月8日", "自分で時間を選ぶ"):
        assert text in page.text, text
    roster = await coordinator(helps.town).get("/helpers/roster")
    assert "見つからなかったお願い（1件）" in roster.text


async def test_a_window_that_cannot_be_is_said_above_the_form(helps: HelpTown) -> None:
    browser = helps.town.browser("guest")
    for changes in ({"last": "2026-05-01"}, {"first": "x"}, {"weekdays": ""}, {"weekdays": "one"}):
        again = await asked(helps, browser, **changes)
        assert REFUSALS["help_window"].title in again.text
    for changes in ({"topic": "x"}, {"venues": "x"}, {"language": "x"}, {"sign": "x"}):
        again = await asked(helps, browser, **changes)
        assert REFUSALS["help_wish"].title in again.text


async def test_who_has_asked_already_reads_how_it_stands(helps: HelpTown) -> None:
    browser = helps.town.browser("guest")
    visit = await at_the_visit(helps, browser)
    await browser.post(f"{visit.url.path}/help", data=FORM)
    assert (await go(browser, await browser.get(f"{visit.url.path}/help"))).url.path.startswith("/booking/help/")


async def test_staff_ask_on_behalf_and_keep_no_cookie(helps: HelpTown) -> None:
    desk = helps.town.browser("desk", kind="staff", roles=("counter",))
    ticket = helps.town.make_pass("desk", procedure=PHONE_HELP, channel="helper", behalf="phone")
    visit = await go(desk, await desk.post("/booking/arrive", data={"pass": helps.town.seal(ticket)}))
    sent = await desk.post(f"{visit.url.path}/help", data=FORM)
    assert "set-cookie" not in sent.headers
    assert "読みあげるか" in (await go(desk, sent)).text
    assert [row.action for row in await helps.town.rows("SELECT action FROM booking.audit")][-1] == "help-ask"  # type: ignore[attr-defined]


async def test_a_coordinator_sees_why_and_chooses_somebody(helps: HelpTown) -> None:
    await helps.helper(SATO)
    await helps.change_helper(signs=True)
    request_id = await helps.ask()
    await helps.match()
    boss = coordinator(helps.town)
    path = f"/helpers/requests/{request_id}"
    assert path in (await boss.get("/helpers/roster")).text
    page = await boss.get(path)
    for text in ("お返事待ち", "選んだ理由：", "今月いちばん少ない", "Tanaka", "Sato"):
        assert text in page.text, text
    assert "花子" not in page.text, "nothing of who asks"
    choice = re.search(rf'value="([0-9a-f-]+/{TANAKA})"', page.text)
    assert choice, page.text
    told = await go(boss, await boss.post(path, data={"choice": choice[1]}))
    assert "サポーターにお願いしました" in told.text
    assert "担当者が選んだ" in told.text
    for bad, code in (("x", "slot_unknown"), (choice[1].replace(TANAKA, "x"), "helper_unknown")):
        again = await go(boss, await boss.post(path, data={"choice": bad}))
        assert REFUSALS[code].title in again.text
    helps.at(helps.town.now + timedelta(minutes=1))
    await helps.answer(TANAKA, "accept")
    assert "見つかった" in (await boss.get(path)).text
    over = await go(boss, await boss.post(path, data={"choice": choice[1]}))
    assert REFUSALS["help_over"].title in over.text
    assert (await boss.get("/helpers/requests/x")).status_code == httpx.codes.NOT_FOUND
