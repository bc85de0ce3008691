"""The call display and the phones of who waits: heard once, all day, whatever the network does."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import MORNING, look
from tests.browser.hall import take_ticket
from tests.stack import Stack

TV, UPRIGHT = {"width": 1920, "height": 1080}, {"width": 1080, "height": 1920}
WITHIN_MS = 5_000
# A browser without a voice and without a loudspeaker: what it was told to say is written down.
VOICES = """
    window.heard = [];
    const voices = ["ja-JP", "en-US"].map((lang) => ({ lang, localService: true, name: lang }));
    window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
    Object.defineProperty(window, "speechSynthesis", { value: {
        getVoices: () => voices,
        cancel: () => {},
        speak: (said) => { window.heard.push(`${said.lang} ${said.text}`); setTimeout(() => said.onend(), 10); },
    } });
"""
CALLS = """<div class="board__head"><h1>お呼びしている番号</h1><p>午前9時現在</p></div>
    <div class="board__body" role="status"><ul class="board__now board__now--1"><li class="board__call"><h2>7番窓口</h2>
    <p class="board__numbers board__numbers--1"><strong class="board__number">{ticket}</strong></p></li></ul></div>
    <ul id="board-calls" hidden data-turns="1" data-time="午前9時"><li data-call="{ticket}@{call}" data-turn="0"
    data-ja="{ticket} ja" data-en="{ticket} en"></li></ul>"""


@pytest.fixture
def new_screen(chromium: Browser, stack: Stack) -> Iterator[Callable[..., Page]]:
    """Makes screens for the hall, with ears."""
    contexts = []

    def make(size: dict[str, int] = TV) -> Page:
        context = chromium.new_context(viewport=size, locale="ja-JP", base_url=stack.url)  # type: ignore[arg-type]
        context.add_init_script(VOICES)
        contexts.append(context)
        page = context.new_page()
        page.goto("/board")
        return page

    yield make
    for context in contexts:
        context.close()


def heard(screen: Page) -> list[str]:
    said: list[str] = screen.evaluate("window.heard")
    return said


def until_heard(screen: Page, count: int) -> list[str]:
    screen.wait_for_function("count => window.heard.length >= count", arg=count, timeout=30_000)
    return heard(screen)


def let_it_be_heard(screen: Page) -> None:
    screen.locator("#board-sound").click()
    expect(screen.locator("#board-sound")).to_have_text("音声：出ています")


def test_who_is_called_is_seen_and_heard_in_two_languages(
    new_screen: Callable[..., Page], phone: Page, tablet: Page, stack: Stack
) -> None:
    screen, upright = new_screen(), new_screen(UPRIGHT)
    expect(screen.locator("#board-sound")).to_have_text("音声：止まっています。ここを押すと出ます")
    let_it_be_heard(screen)
    ticket = take_ticket(phone, stack, MORNING.date())
    counter, number = ticket.split("-")
    tablet.goto("/counter")
    row = tablet.locator("#line-now > li").filter(has_text=ticket)
    row.get_by_role("button", name="呼び出す").click()
    for page in (screen, upright):
        expect(page.locator(".board__number")).to_contain_text([ticket], timeout=WITHIN_MS)
    said = until_heard(screen, 2)
    assert said[0].startswith("ja-JP ")
    assert "ばんのかた" in said[0]
    assert said[1] == f"en-US Number {int(counter)}, {int(number)}. Please come to counter {int(counter)}."
    # Nobody has let this one be heard: it shows so, and says nothing.
    assert heard(upright) == []
    look(screen, "board-tv")
    look(upright, "board-upright")
    expect(phone.get_by_role("heading", name="お呼びしています")).to_be_visible()
    look(phone, "phone-ticket-called")
    # Called again it is heard again; reloaded, nobody is called anew.
    row.locator(".line__more > summary").click()
    row.get_by_role("button", name="もう一度呼ぶ").click()
    assert until_heard(screen, 4)[2:] == said
    screen.reload()
    screen.locator("#board-sound").click()
    screen.wait_for_timeout(4_000)
    assert heard(screen) == []


def test_a_screen_stands_all_day_with_and_without_network(chromium: Browser, stack: Stack) -> None:
    """500 changes, a night and hours without network: each call is heard once, and nothing is left behind.

    Seen to fail where what was said is not remembered.
    """
    context = chromium.new_context(viewport=TV, base_url=stack.url)  # type: ignore[arg-type]
    context.add_init_script(VOICES)
    page = context.new_page()
    page.clock.install(time=MORNING)
    call = {"number": 0}
    is_cut = {"now": False}

    def answer(route: Route) -> None:
        if is_cut["now"]:
            route.abort()
        else:
            ticket = f"7-{call['number']:03}"
            route.fulfill(body=CALLS.format(ticket=ticket, call=call["number"]), content_type="text/html")

    page.route("**/board/now*", answer)
    page.route("**/board/events", lambda route: route.abort())
    page.goto("/board")
    page.locator("#board-sound").click()
    page.clock.run_for(3_000)
    before = nodes(page)
    for number in range(1, 501):
        call["number"] = number
        page.evaluate("window.heard.length > 40 && window.heard.splice(0, 20)")
        page.clock.run_for(3_500)
    expect(page.locator(".board__number")).to_have_text("7-500")
    # What is fetched takes real time, and what is said takes the clock's.
    for _ in range(10):
        page.clock.run_for(3_500)
    assert nodes(page) <= before + 20
    assert heard(page)[-2:] == ["ja-JP 7-500 ja", "en-US 7-500 en"]
    # The network is gone for hours, and a night passes.
    is_cut["now"] = True
    page.clock.run_for(20_000)
    expect(page.locator("#board-old")).to_contain_text("つながっていません")
    expect(page.locator("#board-old")).to_contain_text("午前9時の番号です")
    page.clock.fast_forward("10:00:00")
    page.evaluate("window.heard.length = 0")
    is_cut["now"] = False
    for _ in range(10):
        page.clock.run_for(3_500)
    expect(page.locator("#board-old")).to_be_hidden()
    # Still called, and said already.
    assert heard(page) == []
    call["number"] = 501
    for _ in range(10):
        page.clock.run_for(3_500)
    assert heard(page) == ["ja-JP 7-501 ja", "en-US 7-501 en"]
    context.close()


def nodes(page: Page) -> int:
    """How much of a document there is."""
    count: int = page.evaluate("document.querySelectorAll('*').length")
    return count


def test_a_screen_without_scripts_renews_itself(new_phone: Callable[..., Page]) -> None:
    plain: Any = new_phone(javascript=False)
    plain.goto("/board")
    expect(plain.get_by_role("heading", name="お呼びしている番号")).to_be_visible()
    expect(plain.locator("#board-sound")).to_be_hidden()
