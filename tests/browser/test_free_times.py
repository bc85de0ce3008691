"""Free times at a glance: a month and a list, for eyes, ears, keys and paper; and a time that is left."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import look, picture
from tests.browser.eyes import look_closely
from tests.browser.keys import Keys
from tests.browser.test_readers_of_all_kinds import visit

PROCEDURE = "INS05"
SLOTS = f"/booking/api/slots?procedure={PROCEDURE}&days=1&from=2026-11-26"


def places_left(page: Page) -> int:
    """Free places of a day, as the public API tells them."""
    return sum(slot["free"] for slot in page.request.get(SLOTS).json())


def test_a_time_of_the_list_is_taken_without_javascript(new_phone: Callable[..., Page]) -> None:
    phone = new_phone(javascript=False)
    visit(phone)
    phone.get_by_role("link", name="次の月").click()
    expect(phone.get_by_role("heading", name="2026年12月")).to_be_visible()
    expect(phone.get_by_role("main")).to_contain_text("12月29日（火）〜12月31日（木） 年末年始")
    phone.get_by_role("link", name="一覧で見る").click()
    phone.get_by_role("link", name="もっと見る").click()
    expect(phone.get_by_role("link", name="はじめから見る")).to_be_visible()
    phone.locator("ul.slots button").nth(3).click()
    phone.wait_for_url("**/confirm")


def test_month_and_list_are_for_everybody(phone: Page) -> None:
    visit(phone)
    found = look_closely(phone, "month")
    table = phone.get_by_role("table", name=re.compile("2026年11月"))
    expect(table.get_by_role("columnheader")).to_have_count(7)
    expect(table.get_by_role("link", name=re.compile("24 火 .*のこり"))).to_have_attribute("aria-current", "date")
    phone.get_by_role("link", name="一覧で見る").click()
    expect(phone.get_by_role("link", name="一覧で見る")).to_have_attribute("aria-current", "true")
    found += look_closely(phone, "list")
    assert not found


def test_month_and_list_are_turned_by_keyboard(phone: Page) -> None:
    visit(phone)
    keys = Keys(phone)
    keys.press(phone.get_by_role("link", name="次の月"))
    expect(phone.get_by_role("heading", name="2026年12月")).to_be_visible()
    keys.press(phone.get_by_role("link", name="一覧で見る"))
    keys.press(phone.get_by_role("link", name="もっと見る"))
    keys.press(phone.locator("ul.slots button").nth(2))
    phone.wait_for_url("**/confirm")


def test_a_month_stays_a_table_where_letters_are_large_and_on_paper(phone: Page) -> None:
    visit(phone)
    # As a list it has no line for weeks that are over.
    for percent, rows in ((200, 3), (100, 7)):
        phone.evaluate("percent => { document.documentElement.style.fontSize = `${percent}%` }", percent)
        expect(phone.get_by_role("table").get_by_role("row")).to_have_count(rows)
        look(phone, f"month-{percent}")
    phone.emulate_media(media="print")
    expect(phone.get_by_role("link", name="一覧で見る")).to_be_hidden()
    expect(phone.locator(".month a.day").first).to_be_visible()
    picture(phone, "month-paper")


def test_a_held_time_outlives_a_reload_and_is_free_when_its_visitor_has_gone(phone: Page) -> None:
    """Seen to fail without the beacon: the place is kept until it lapses."""
    visit(phone)
    address = phone.url
    phone.goto(f"{address}?day=2026-11-26")
    before = places_left(phone)
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    assert places_left(phone) == before - 1
    for _ in range(2):
        phone.reload()
        expect(phone.get_by_role("heading", level=1)).to_have_text("この内容で予約しますか")
    phone.go_back()
    phone.go_forward()
    expect(phone.get_by_role("heading", level=1)).to_have_text("この内容で予約しますか")
    assert places_left(phone) == before - 1
    phone.goto("about:blank")
    for _ in range(50):
        if places_left(phone) == before:
            break
        phone.wait_for_timeout(100)
    assert places_left(phone) == before
