"""Two tablets press 「次の方を呼ぶ」 at once: two people are called, and each tablet says whom."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import look
from tests.browser.test_line_in_place import take_walk_ins, told
from tests.browser.test_tablet import signed_in

CALLED = re.compile(r"(7-\d{3})を呼び出しました")


def called_on(tablet: Page) -> str:
    expect(told(tablet)).to_contain_text(CALLED)
    found = CALLED.search(told(tablet).inner_text())
    assert found
    return found[1]


def test_two_tablets_that_press_next_at_once_call_two_people(tablet: Page, new_tablet: Callable[[], Page]) -> None:
    take_walk_ins(tablet, 3)
    other = signed_in(new_tablet())
    for each in (tablet, other):
        each.goto("/counter?counter=7")
        expect(each.locator("#next-button")).to_be_visible()
    # Both forms are on their way before either is answered.
    for each in (tablet, other):
        each.evaluate("setTimeout(() => document.getElementById('next-form').requestSubmit())")
    first, second = called_on(tablet), called_on(other)
    assert first != second
    for each in (tablet, other):
        expect(each.locator(".line__row--called")).to_have_count(2)
    look(tablet, "tablet-two-called")


def test_when_nobody_waits_any_more_the_button_is_gone(tablet: Page) -> None:
    tablet.goto("/counter?counter=7")
    while tablet.locator("#next-button").count():
        tablet.locator("#next-button").click()
        expect(told(tablet)).to_contain_text(CALLED)
        tablet.locator(".line__row--called").first.get_by_role("button", name="対応を始める").click()
        expect(told(tablet)).to_contain_text("対応を始めました")
    expect(tablet.locator(".next__nobody")).to_have_text("お待ちの方はいません")
