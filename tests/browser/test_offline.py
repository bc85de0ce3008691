"""The tablet without network: cut before a step is sent, after the server took it, and while what was kept is sent.

Booking's web process alone, with a real clock, and a real browser.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import pytest_asyncio
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect, sync_playwright

from services.booking.commands.visits import KANA
from services.booking.keys import subject_context
from shared.clock import utc_now
from shared.web.identity import SESSION_COOKIE
from tests.booking.conftest import CHILD, HOST, TOWN, BookingTown, bare_town  # noqa: F401 a fixture
from tests.booking.test_race import serving
from tests.browser.conftest import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    PAGE_TIMEOUT_MS,
    TABLET,
    find_inaccessible,
    find_too_wide,
    picture,
)

NAME_KANA = "タナシ ユリ"
MERGE = "**/booking/api/line/merge"
STEPS = """
    SELECT s.action, s.at < s.recorded_at FROM booking.line_step s
    JOIN booking.appointment a USING (municipality, appointment_id)
    WHERE a.ticket_counter = $1 AND a.ticket_no = $2::text::integer AND s.action <> 'walk-in' ORDER BY s.version
"""
GIVE_NAME = """
    WITH known AS (INSERT INTO booking.subject_key VALUES ($1, $2, $3))
    UPDATE booking.appointment SET subject_ref = $2, kana_sealed = $4 WHERE (municipality, appointment_id) = ($1, $5)
"""
# What lies in a tablet's databases, as text.
READ_KEPT = """async (name) => {
    if (!(await indexedDB.databases()).some((known) => known.name === name)) return "[]";
    const base = await new Promise((done) => { const asked = indexedDB.open(name);
        asked.onsuccess = () => done(asked.result); });
    const all = await new Promise((done) => { const asked = base.transaction("kept").objectStore("kept").getAll();
        asked.onsuccess = () => done(asked.result); });
    base.close();
    const plain = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value)
        ? new TextDecoder("utf-8").decode(value) : value instanceof CryptoKey ? `key ${value.extractable}` : value;
    return JSON.stringify(all, (_, value) => plain(value));
}"""
# As if all that is kept had been pressed the day before.
AGE_STEPS = """async () => {
    const base = await new Promise((done) => { const asked = indexedDB.open("choudo-steps");
        asked.onsuccess = () => done(asked.result); });
    const change = base.transaction("kept", "readwrite");
    const store = change.objectStore("kept");
    store.getAll().onsuccess = ({ target }) => target.result.forEach((step) => store.put(
        { ...step, at: new Date(Date.parse(step.at) - 86_400_000).toISOString() }, step.key));
    await new Promise((done) => { change.oncomplete = done; });
    base.close();
}"""
WORKS = "navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null)"


class Hall:
    """The town hall: where the tablets find it, and a look at what was written down."""

    def __init__(self, town: BookingTown, url: str) -> None:
        self.town = town
        self.url = url

    def look(self, sql: str, *values: object) -> list[Any]:
        """Playwright's own loop runs in this thread, so the question is asked in another one."""

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self.town.database.admin_url)
            try:
                return list(await connection.fetch(sql, *values))
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as beside:
            return beside.submit(lambda: asyncio.run(ask())).result()

    def steps_of(self, ticket: str) -> list[tuple[str, bool]]:
        """The steps with a ticket's holder since they took it, and whether each was heard later than it was taken."""
        return [tuple(found) for found in self.look(STEPS, *ticket.split("-"))]

    def give_name(self, kana: str) -> None:
        """Somebody in the line has a name for calling."""
        (found,) = self.look("SELECT appointment_id FROM booking.appointment ORDER BY ticket_no DESC LIMIT 1")
        subject = uuid4()
        context = subject_context(TOWN, subject)
        key = self.town.keys.vault.new_key(context)
        sealed = self.town.keys.vault.seal(key, context, f"{KANA}/{found['appointment_id']}", kana)
        self.look(GIVE_NAME, TOWN, subject, key, sealed, found["appointment_id"])


@pytest_asyncio.fixture
async def hall(bare_town: BookingTown) -> AsyncIterator[Hall]:  # noqa: F811
    bare_town.now = utc_now()
    await bare_town.open()
    async with serving(bare_town) as url:
        yield Hall(bare_town, url.replace("127.0.0.1", HOST))


@pytest.fixture
def browser(hall: Hall) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", CHROMIUM), args=CHROMIUM_FLAGS, headless=True
        )
        yield found
        found.close()


@pytest.fixture
def new_tablet(browser: Browser, hall: Hall) -> Iterator[Callable[..., Page]]:
    """Makes tablets with somebody signed in, whose browsers may complain of the network."""
    made: list[BrowserContext] = []

    def make(ref: str = "staff") -> Page:
        context = browser.new_context(
            viewport=TABLET,  # type: ignore[arg-type]
            has_touch=True,
            locale="ja-JP",
            timezone_id="Asia/Tokyo",
            base_url=hall.url,
        )
        made.append(context)
        context.set_default_timeout(PAGE_TIMEOUT_MS)
        sign_in(context, hall, ref)
        page = context.new_page()
        open_line(page)
        return page

    yield make
    for context in made:
        context.close()


@pytest.fixture
def tablet(new_tablet: Callable[..., Page]) -> Page:
    return new_tablet()


def sign_in(context: BrowserContext, hall: Hall, ref: str) -> None:
    token = hall.town.token(ref, "staff", ("counter",), "子育て")
    context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": hall.url}])


def open_line(tablet: Page) -> None:
    tablet.goto("/counter")
    expect(tablet.locator(".live-status")).to_have_attribute("data-state", "on")


def fetch(route: Route) -> None:
    """The server takes it, whatever becomes of its answer."""
    asked = route.request
    cookies = asked.frame.page.context.cookies()
    headers = asked.headers | {
        "host": HOST,
        "sec-fetch-site": "same-origin",
        "cookie": "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies),
    }
    url = asked.url.replace(HOST, "127.0.0.1")
    answer = httpx.request(
        asked.method, url, headers=headers, content=asked.post_data_buffer, trust_env=False, timeout=60
    )
    assert answer.status_code == 200


def take_ticket(tablet: Page) -> str:
    """A walk-in's ticket; the tablet is on the line again, and knows it."""
    tablet.get_by_label("手続き").select_option(CHILD)
    tablet.get_by_role("button", name="番号札を出す").click()
    tablet.wait_for_url("**/counter/tickets/**")
    ticket = re.search(r"\d+-\d{3}", tablet.get_by_role("main").inner_text())
    assert ticket
    open_line(tablet)
    return ticket[0]


def row(tablet: Page, ticket: str) -> Locator:
    """Of the live line."""
    return tablet.locator("#line-region .line__row").filter(has_text=ticket)


def kept_row(tablet: Page, ticket: str) -> Locator:
    """Of the line without network."""
    return tablet.locator("#line-offline-list .line__row").filter(has_text=ticket)


def kept(tablet: Page, name: str = "choudo-steps") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(tablet.evaluate(READ_KEPT, name))
    return found


def cut(tablet: Page) -> None:
    tablet.context.set_offline(True)
    expect(tablet.locator("#line-offline-told")).to_contain_text(
        re.compile(r"つながっていません。\d+時\d+分のようすです")
    )
    expect(tablet.locator("#line-region")).to_be_hidden()


def restore(tablet: Page) -> None:
    tablet.context.set_offline(False)
    expect(tablet.locator("#line-region")).to_be_visible()


def test_cut_before_the_send_the_line_is_readable_and_what_is_pressed_is_merged(
    tablet: Page, new_tablet: Callable[..., Page], hall: Hall
) -> None:
    ticket = take_ticket(tablet)
    other = new_tablet()
    board = other.context.new_page()
    board.goto("/board")
    cut(tablet)
    for label, state in (("呼び出す", "呼出"), ("対応を始める", "対応中")):
        kept_row(tablet, ticket).get_by_role("button", name=label).click()
        expect(kept_row(tablet, ticket).locator("[data-fill=state]")).to_have_text(state)
    expect(kept_row(tablet, ticket).get_by_text("送信待ち")).to_be_visible()
    expect(tablet.locator("#line-kept")).to_contain_text("まだ送っていない操作が2件")
    found = find_inaccessible(tablet) + find_too_wide(tablet)
    assert not found
    picture(tablet, "line-offline")
    expect(row(other, ticket).locator(".badge").first).to_have_text("受付")
    assert hall.steps_of(ticket) == []
    restore(tablet)
    expect(row(tablet, ticket).locator(".badge").first).to_have_text("対応中")
    expect(row(other, ticket).locator(".badge").first).to_have_text("対応中")
    expect(board.locator(".board__serving")).to_contain_text(ticket)
    assert hall.steps_of(ticket) == [("call", True), ("start", True)]
    expect(tablet.locator("#line-kept")).to_have_text("")
    assert kept(tablet) == []


def test_cut_after_the_server_took_it_nothing_is_done_twice(tablet: Page, hall: Hall) -> None:
    """The key of the form: the step would come back as one that could not be merged."""
    ticket = take_ticket(tablet)

    def lose_answer(route: Route) -> None:
        fetch(route)
        route.abort("connectionreset")

    tablet.route("**/counter/*/call", lose_answer)
    row(tablet, ticket).get_by_role("button", name="呼び出す").click()
    expect(row(tablet, ticket).locator(".badge").first).to_have_text("呼出")
    expect(tablet.locator("#line-unmerged")).to_be_hidden()
    expect(tablet.locator("#line-kept")).to_have_text("")
    assert [action for action, _ in hall.steps_of(ticket)] == ["call"]
    assert kept(tablet) == []


def test_cut_while_the_batch_is_sent_it_is_merged_once(tablet: Page, hall: Hall) -> None:
    ticket = take_ticket(tablet)
    cut(tablet)
    kept_row(tablet, ticket).get_by_role("button", name="呼び出す").click()
    kept_row(tablet, ticket).get_by_role("button", name="対応を始める").click()
    expect(tablet.locator("#line-kept")).to_contain_text("2件")
    lost = []

    def lose_answer(route: Route) -> None:
        fetch(route)
        lost.append(route.request)
        route.abort("connectionreset")

    tablet.route(MERGE, lose_answer, times=1)
    tablet.context.set_offline(False)
    expect(tablet.locator("#line-kept")).to_have_text("")
    expect(tablet.locator("#line-region")).to_be_visible()
    assert len(lost) == 1
    expect(tablet.locator("#line-unmerged")).to_be_hidden()
    assert [action for action, _ in hall.steps_of(ticket)] == ["call", "start"]


def test_what_was_pressed_outlives_the_tab(tablet: Page, hall: Hall) -> None:
    ticket = take_ticket(tablet)
    cut(tablet)
    kept_row(tablet, ticket).get_by_role("button", name="呼び出す").click()
    expect(tablet.locator("#line-kept")).to_contain_text("1件")
    context = tablet.context
    tablet.close()
    context.set_offline(False)
    again = context.new_page()
    again.goto("/counter")
    expect(row(again, ticket).locator(".badge").first).to_have_text("呼出")
    assert hall.steps_of(ticket) == [("call", True)]
    assert kept(again) == []


def test_opened_without_network_it_shows_the_line_as_it_was(
    tablet: Page, new_tablet: Callable[..., Page], hall: Hall
) -> None:
    ticket = take_ticket(tablet)
    take_ticket(tablet)
    hall.give_name(NAME_KANA)
    open_line(tablet)
    tablet.wait_for_function(WORKS)
    expect(tablet.locator("#line-region")).to_contain_text(NAME_KANA)
    tablet.context.set_offline(True)
    tablet.goto("/counter")
    expect(tablet.locator("#line-offline-told")).to_contain_text(
        re.compile(r"つながっていません。\d+時\d+分のようすです")
    )
    expect(tablet.locator("#line-offline-list")).to_contain_text(NAME_KANA)
    found = find_inaccessible(tablet) + find_too_wide(tablet)
    assert not found
    picture(tablet, "line-offline-opened")
    # Not what they came for.
    assert "児童手当" not in tablet.get_by_role("main").inner_text()
    kept_row(tablet, ticket).get_by_role("button", name="呼び出す").click()
    kept_row(tablet, NAME_KANA).get_by_role("button", name="呼び出す").click()
    tablet.get_by_label("番号で受け付ける").fill("K4M-7RXA")
    tablet.get_by_role("button", name="受け付ける").click()
    expect(tablet.locator("#line-kept")).to_contain_text("3件")
    tablet.context.set_offline(False)
    # By itself, the real page again.
    expect(row(tablet, ticket).locator(".badge").first).to_have_text("呼出")
    expect(row(tablet, NAME_KANA).locator(".badge").first).to_have_text("呼出")
    expect(tablet.locator("#line-unmerged")).to_contain_text("予約番号を読みとれませんでした")
    assert hall.steps_of(ticket) == [("call", True)]


def test_what_cannot_be_merged_is_shown_until_somebody_has_dealt_with_it(
    tablet: Page, new_tablet: Callable[..., Page], hall: Hall
) -> None:
    ticket = take_ticket(tablet)
    other = new_tablet()
    cut(tablet)
    kept_row(tablet, ticket).get_by_role("button", name="呼び出す").click()
    kept_row(tablet, ticket).get_by_role("button", name="対応を始める").click()
    row(other, ticket).get_by_role("button", name="呼び出す").click()
    expect(row(other, ticket).locator(".badge").first).to_have_text("呼出")
    restore(tablet)
    unmerged = tablet.locator("#line-unmerged")
    expect(unmerged).to_contain_text(
        re.compile(rf"\d\d:\d\d　{ticket}　呼び出す.*ほかの端末で先に操作されました.*呼出")
    )
    expect(unmerged).to_contain_text("この前の操作が入らなかったため")
    expect(row(tablet, ticket).locator(".badge").first).to_have_text("呼出")
    found = find_inaccessible(tablet) + find_too_wide(tablet)
    assert not found
    picture(tablet, "line-unmerged")
    tablet.reload()
    expect(unmerged.get_by_role("button", name="確かめました")).to_have_count(2)
    unmerged.get_by_role("button", name="確かめました").first.click()
    expect(unmerged.get_by_role("button", name="確かめました")).to_have_count(1)
    unmerged.get_by_role("button", name="確かめました").click()
    expect(unmerged).to_be_hidden()
    assert [action for action, _ in hall.steps_of(ticket)] == ["call"]


def test_names_are_kept_sealed_and_gone_at_sign_out(tablet: Page, hall: Hall) -> None:
    take_ticket(tablet)
    hall.give_name(NAME_KANA)
    open_line(tablet)
    expect(tablet.locator("#line-region")).to_contain_text(NAME_KANA)
    tablet.wait_for_function(WORKS)
    line = json.dumps(kept(tablet, "choudo-line"), ensure_ascii=False)
    assert "key false" in line
    assert "sealed" in line
    for secret in ("タナシ", "番号でお呼びください"):
        assert secret not in line
    shown = tablet.evaluate(
        "caches.keys().then((names) => Promise.all(names.map(async (name) =>"
        " (await (await caches.open(name)).keys()).map((each) => new URL(each.url).pathname))))"
    )
    assert {path for paths in shown for path in paths if not path.startswith("/static/")} == {"/counter/offline"}
    tablet.get_by_role("button", name="ログアウト").click()
    tablet.wait_for_load_state()
    assert kept(tablet, "choudo-line") == []
    tablet.context.set_offline(True)
    tablet.goto("/counter")
    expect(tablet.locator("#line-offline-told")).to_contain_text("ひかえがありません")


def test_of_another_day_or_person_nothing_is_shown(tablet: Page) -> None:
    take_ticket(tablet)
    tablet.wait_for_function(WORKS)
    for field, value in (("day", "2026-11-23"), ("owner", "somebody else")):
        tablet.goto("/counter")
        expect(tablet.locator(".live-status")).to_have_attribute("data-state", "on")
        tablet.wait_for_timeout(3_000)  # whoever has just come is told of the line once more, and keeps it anew
        tablet.evaluate(
            """async ([field, value]) => {
                const base = await new Promise((done) => { const asked = indexedDB.open("choudo-line");
                    asked.onsuccess = () => done(asked.result); });
                const store = base.transaction("kept", "readwrite").objectStore("kept");
                const copy = await new Promise((done) => { const asked = store.get("copy");
                    asked.onsuccess = () => done(asked.result); });
                await new Promise((done) => { const put = store.put({ ...copy, [field]: value }, "copy");
                    put.onsuccess = () => done(); });
                base.close();
            }""",
            [field, value],
        )
        if field == "day":
            tablet.context.set_offline(True)
            tablet.goto("/counter")
            expect(tablet.locator("#line-offline-told")).to_contain_text("ひかえがありません")
            assert kept(tablet, "choudo-line") == []
            tablet.context.set_offline(False)
            expect(tablet.locator("#line-region")).to_be_visible()
        else:
            tablet.goto("/counter")
            expect(tablet.locator(".live-status")).to_have_attribute("data-state", "on")
            assert "somebody else" not in json.dumps(kept(tablet, "choudo-line"))


def test_who_is_looked_for_is_not_kept(tablet: Page, hall: Hall) -> None:
    """With a hit, without one, of a case, and without network. Seen to fail where whatever is typed is a check-in."""
    ticket = take_ticket(tablet)
    hall.give_name(NAME_KANA)
    open_line(tablet)
    number = tablet.locator("#f-number")
    number.fill("たなし")
    number.press("Enter")
    expect(row(tablet, ticket).locator(".line__primary button")).to_be_focused()
    assert kept(tablet) == []
    cut(tablet)
    for typed in ("たなし", "タナシ ユリ", "K4M7RXAC2PW", "tanashi yuri"):
        number.fill(typed)
        number.press("Enter")
        expect(tablet.locator("#line-offline-told")).to_have_text("これは、つながってから操作してください。")
        tablet.get_by_label("番号で受け付ける").fill(typed)
        tablet.locator("#line-offline-number button").click()
        expect(tablet.locator("#line-offline-told")).to_contain_text("予約番号は7文字です")
        assert kept(tablet) == []
    for typed in ("Ｋ４Ｍー７ＲＸＡ", "k4m 7rxa"):
        tablet.get_by_label("番号で受け付ける").fill(typed)
        tablet.locator("#line-offline-number button").click()
        expect(tablet.get_by_label("番号で受け付ける")).to_have_value("")
    assert {step["number"] for step in kept(tablet)} == {"K4M7RXA"}


def test_what_another_person_pressed_is_not_taken_away_and_ends_with_its_day(tablet: Page, hall: Hall) -> None:
    """What is not sent yet is nobody's to take away, and is not kept as it is for ever."""
    ticket = take_ticket(tablet)
    cut(tablet)
    kept_row(tablet, ticket).get_by_role("button", name="呼び出す").click()
    expect(tablet.locator("#line-kept")).to_contain_text("1件")
    tablet.get_by_label("番号で受け付ける").fill("K4M-7RXA")
    tablet.locator("#line-offline-number button").click()
    expect(tablet.locator("#line-kept")).to_contain_text("2件")
    context = tablet.context
    tablet.close()
    context.set_offline(False)
    sign_in(context, hall, "other")
    page = context.new_page()
    open_line(page)
    unmerged = page.locator("#line-unmerged")
    expect(unmerged.get_by_text("別の人が押した操作です")).to_have_count(2)
    expect(unmerged.get_by_role("button")).to_have_count(0)
    page.evaluate(AGE_STEPS)
    open_line(page)
    expect(unmerged.get_by_text("送れないまま、日が変わりました")).to_have_count(2)
    expect(unmerged).to_contain_text(ticket)
    assert "K4M" not in json.dumps(kept(page))
    for left in (1, 0):
        unmerged.get_by_role("button", name="確かめました").first.click()
        expect(page.locator("#line-unmerged-list li")).to_have_count(left)
    assert kept(page) == []
    assert hall.steps_of(ticket) == []


def test_an_answer_that_says_nothing_of_the_step_takes_it_away_from_nobody(tablet: Page, hall: Hall) -> None:
    """The server failed, or was asked too often: the step is still to be sent."""
    for status in (500, 429):
        ticket = take_ticket(tablet)
        tablet.route("**/counter/*/call", partial(Route.fulfill, status=status, body=""), times=1)
        row(tablet, ticket).get_by_role("button", name="呼び出す").click()
        expect(row(tablet, ticket).locator(".badge").first).to_have_text("呼出")
        expect(tablet.locator("#line-kept")).to_have_text("")
        assert [action for action, _ in hall.steps_of(ticket)] == ["call"]
    assert kept(tablet) == []
