"""Two tablets press 「次の方を呼ぶ」 at once: two people are called, each is told whom, and the board shows both."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import look
from tests.browser.test_line_in_place import take_walk_ins, told
from tests.browser.test_tablet import signed_in

# A board asks again by itself, some seconds after it was cut off.
BACK_MS = 60_000
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


def test_two_tablets_and_a_board_see_the_same_whatever_the_network_does(
    tablet: Page, new_tablet: Callable[[], Page]
) -> None:
    """What one tablet does without network reaches the other and the board when it is back, once, and in its order."""
    take_walk_ins(tablet, 2)
    other, board = signed_in(new_tablet()), new_tablet()
    board.goto("/board")
    for each in (tablet, other):
        each.goto("/counter?counter=7")
        expect(each.locator("#next-button")).to_be_visible()
    tablet.locator("#next-button").click()
    by_tablet = called_on(tablet)
    for page in (other, board):
        expect(page.get_by_role("main")).to_contain_text(by_tablet)
    waiting = other.locator("#line-now > .line__row--arrived .line__number").first.inner_text().removeprefix("番号")
    other.context.set_offline(True)
    kept = other.locator("#line-offline-list .line__row").filter(has_text=waiting)
    kept.get_by_role("button", name="呼び出す").click()
    expect(other.locator("#line-kept")).to_contain_text("まだ送っていない操作が1件あります")
    row = tablet.locator("#line-now > li").filter(has_text=by_tablet)
    row.get_by_role("button", name="対応を始める").click()
    expect(told(tablet)).to_contain_text("対応を始めました")
    # The board has lost the network, too, and comes back with both.
    board.context.set_offline(True)
    other.context.set_offline(False)
    called = tablet.locator(".line__row--called").filter(has_text=waiting)
    expect(called).to_have_count(1)
    board.context.set_offline(False)
    expect(board.locator(".board__number").filter(has_text=waiting)).to_have_count(1, timeout=BACK_MS)
    for each in (tablet, other):
        expect(each.locator("#line-now > li").filter(has_text=waiting)).to_have_count(1)
        expect(each.locator(".line__row--serving").filter(has_text=by_tablet)).to_have_count(1)
    look(board, "board-of-two-tablets")


def test_when_nobody_waits_any_more_the_button_is_gone(tablet: Page) -> None:
    tablet.goto("/counter?counter=7")
    while tablet.locator("#next-button").count():
        tablet.locator("#next-button").click()
        expect(told(tablet)).to_contain_text(CALLED)
        tablet.locator(".line__row--called").first.get_by_role("button", name="対応を始める").click()
        expect(told(tablet)).to_contain_text("対応を始めました")
    expect(tablet.locator(".next__nobody")).to_have_text("お待ちの方はいません")
