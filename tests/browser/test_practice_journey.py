"""Staff practise in a real browser: invented people, marked as such on every page, and a fresh day by one touch."""

import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from services.routing.commands.practice import LOGIN
from tests.browser.conftest import PAGE_TIMEOUT_MS, look, picture
from tests.stack import STAFF_PASSWORD, Stack, run_cli

CODE = "143421"
PEOPLE_ARE_HERE_MS = 3 * PAGE_TIMEOUT_MS


def test_staff_practise_and_begin_anew(new_tablet: Callable[[], Page], stack: Stack) -> None:
    assert f"sign in as {LOGIN}" in run_cli(stack.environ, "practice", "open", CODE)
    home = f"http://renshu.ninomiya.localhost:{urlsplit(stack.url).port}"
    tablet = new_tablet()
    sign_in(tablet, home)
    wait_for_people(tablet, home)
    look(tablet, "practice-counter")
    for path, name in (("/notices", "practice-notices"), ("/board", "practice-board"), ("/", "practice-front")):
        tablet.goto(f"{home}{path}")
        expect(tablet.locator(".practice")).to_be_visible()
        look(tablet, name)
    tablet.goto(f"{home}/office")
    expect(tablet.locator(".practice")).to_be_visible()
    tablet.emulate_media(media="print")
    expect(tablet.locator(".practice-frame span")).to_be_visible()
    picture(tablet, "practice-on-paper")
    tablet.emulate_media(media="screen")
    assert stack.messages() == []
    tablet.goto(f"{home}/office/practice")
    look(tablet, "practice-reset")
    tablet.get_by_role("button", name="はじめからやりなおす").click()
    expect(tablet.get_by_role("status").filter(has_text="新しい練習用の町を作っています")).to_be_visible()
    look(tablet, "practice-being-made")
    assert f"{CODE}-r2 instead of {CODE}-r1" in run_cli(stack.environ, "town", "publish")
    deadline = time.monotonic() + PEOPLE_ARE_HERE_MS / 1_000
    while "/sign-in" not in tablet.url:
        assert time.monotonic() < deadline, "the address leads to the town before"
        tablet.get_by_role("link", name="できたか見る").click()
    sign_in(tablet, home)
    wait_for_people(tablet, home)


def sign_in(page: Page, home: str) -> None:
    # Where there is a default town, a new name leads to it until the names are read again.
    deadline = time.monotonic() + PEOPLE_ARE_HERE_MS / 1_000
    while page.goto(f"{home}/counter") and not page.locator(".practice").count():
        assert time.monotonic() < deadline, "the name leads to no practice town"
        page.wait_for_timeout(1_000)
    page.get_by_label("ログインID").fill(LOGIN)
    page.get_by_label("パスワード").fill(STAFF_PASSWORD)
    page.get_by_role("button", name="ログイン").click()
    page.wait_for_url("**/counter")


def wait_for_people(page: Page, home: str) -> None:
    """Somebody with a name that nobody has is in today's line, by itself."""
    page.goto(f"{home}/counter")
    expect(page.get_by_text(re.compile("練習 |れんしゅう ")).first).to_be_visible(timeout=PEOPLE_ARE_HERE_MS)
