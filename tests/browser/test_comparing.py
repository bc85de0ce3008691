"""The comparison in a real browser: three questions by choice, on the smallest phone, without JavaScript, on paper."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.eyes import look_closely

NewPhone = Callable[..., Page]
PAGE = "/procedures/CHI02"
SMALLEST_PX = 320


def answer(page: Page) -> None:
    page.goto(PAGE)
    page.locator("#situation > summary").click()
    page.locator("input[name=phone][value=none]").check(force=True)
    page.locator("input[name=needs][value=step_free]").check(force=True)
    page.get_by_role("button", name="この答えでくらべる").click()
    expect(page.locator("#situation > summary")).to_contain_text("使わない・持っていない、階段がむずかしい")


def test_questions_are_answered_and_forgotten_without_javascript(new_phone: NewPhone) -> None:
    resident = new_phone(javascript=False)
    answer(resident)
    expect(resident).to_have_url(re.compile(f"{PAGE}$"))
    counter = resident.locator("#channel-counter")
    expect(counter).to_contain_text("スマートフォンもパソコンもいりません。")
    expect(counter).to_contain_text("階段を使わずに行けます")
    expect(resident.locator("#channel-online")).to_contain_text("スマートフォンかパソコンがいります。")
    expect(resident.locator("ul.channels form button")).to_have_count(3)
    resident.locator("#situation > summary").click()
    resident.get_by_role("button", name="答えを消す").click()
    expect(resident.locator("#situation > summary")).to_contain_text("あなたに合うやり方をさがす")
    # The other way is one press away, whatever is suggested.
    resident.get_by_role("button", name="オンラインで申しこむ").click()
    expect(resident).to_have_url(re.compile("/cases/"))


def test_the_smallest_phone_and_large_text_show_all_of_it(phone: Page) -> None:
    phone.set_viewport_size({"width": SMALLEST_PX, "height": 640})
    answer(phone)
    phone.locator("#situation > summary").click()
    assert look_closely(phone, "compare-answered") == []
    phone.emulate_media(media="print")
    expect(phone.locator("#situation")).to_be_hidden()
    expect(phone.locator("ul.channels > li")).to_have_count(3)
    for channel in ("online", "counter", "helper"):
        expect(phone.locator(f"#channel-{channel} .facts").get_by_text("どのくらい確かか")).to_be_visible()
    expect(phone.get_by_role("button", name="この答えでくらべる")).to_be_hidden()
