"""The line on the tablet: a step changes its row and says so, and the place on the page and the focus stay."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import look
from tests.browser.residents import book
from tests.stack import STAFF_LOGIN, STAFF_PASSWORD

WALK_INS = 6
MESSAGE_MAX_PX = 120


def take_walk_ins(tablet: Page, count: int, procedure: str = "CHI02") -> None:
    for _ in range(count):
        tablet.goto("/counter")
        tablet.get_by_label("手続き").select_option(procedure)
        tablet.get_by_role("button", name="番号札を出す").click()
        tablet.wait_for_url("**/counter/tickets/**")
    tablet.goto("/counter")


def rows(tablet: Page) -> Locator:
    return tablet.locator("#line-now > li")


def number_of(row: Locator) -> str:
    return row.locator(".line__number").inner_text().removeprefix("番号").strip()


def told(tablet: Page) -> Locator:
    return tablet.locator("#counter-told")


@pytest.fixture
def busy(tablet: Page) -> Page:
    """A tablet with more people waiting than fit on it."""
    take_walk_ins(tablet, WALK_INS)
    return tablet


def test_a_tap_far_down_keeps_the_place_and_says_what_it_did(busy: Page) -> None:
    row = rows(busy).last
    ticket = number_of(row)
    row.scroll_into_view_if_needed()
    before = busy.evaluate("scrollY")
    assert before > 0
    row.get_by_role("button", name="呼び出す").tap()
    expect(told(busy)).to_contain_text(f"{ticket}を呼び出しました")
    expect(told(busy)).to_be_in_viewport()
    expect(busy.locator("[role=status]#counter-told")).to_have_count(1)
    # Called stands first now, and the list did not jump.
    assert number_of(rows(busy).first) == ticket
    # The message took its room above, and the browser holds what is on the screen where it was.
    assert abs(busy.evaluate("scrollY") - before) <= MESSAGE_MAX_PX
    look(busy, "line-called")
    # The way back stands in the message.
    told(busy).get_by_role("button", name="一つ前にもどす").click()
    expect(told(busy)).to_contain_text(f"{ticket}を「受付」にもどしました")
    expect(rows(busy).filter(has_text=ticket).locator(".badge").first).to_have_text("受付")


def test_by_keyboard_the_focus_goes_with_the_row(busy: Page) -> None:
    row = rows(busy).nth(3)
    ticket = number_of(row)
    own = busy.locator(".line__row").filter(has_text=ticket)
    row.get_by_role("button", name="呼び出す").focus()
    for label, state in (("呼び出す", "呼出"), ("対応を始める", "対応中")):
        expect(own.get_by_role("button", name=label, exact=True)).to_be_focused()
        busy.keyboard.press("Enter")
        expect(own.locator(".badge").first).to_have_text(state)
    expect(own.get_by_role("button", name="対応を終える")).to_be_focused()
    expect(own.get_by_role("button", name="対応を終える")).to_be_in_viewport()
    # A look at the list from outside leaves it there.
    busy.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    busy.wait_for_timeout(500)
    expect(own.get_by_role("button", name="対応を終える")).to_be_focused()
    busy.keyboard.press("Enter")
    expect(told(busy)).to_contain_text(f"{ticket}の対応を終えました")
    # The row is put away with those who are done; the focus stands at what says so.
    expect(told(busy)).to_be_focused()
    busy.keyboard.press("Tab")
    expect(told(busy).get_by_role("button", name="一つ前にもどす")).to_be_focused()
    busy.locator("#line-over > summary").click()
    expect(own.locator(".badge").first).to_have_text("完了")
    look(busy, "line-done")


def test_a_finger_that_taps_twice_takes_one_step(busy: Page) -> None:
    row = rows(busy).last
    ticket = number_of(row)
    row.get_by_role("button", name="呼び出す").dblclick()
    own = busy.locator(".line__row").filter(has_text=ticket)
    expect(own.locator(".badge").first).to_have_text("呼出")
    busy.wait_for_timeout(700)
    expect(own.locator(".badge").first).to_have_text("呼出")


def test_one_number_after_another_is_checked_in(tablet: Page, phone: Page) -> None:
    number = book(phone, name="梅沢 花", kana="うめさわ はな", reach="none", contact="")
    field = tablet.get_by_label("予約番号")
    field.fill(number)
    field.press("Enter")
    expect(told(tablet)).to_contain_text(re.compile(r"[^ ]+-\d{3}を受け付けました"))
    expect(told(tablet).get_by_role("link", name="番号札を印刷する")).to_be_visible()
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    field.fill(number)
    field.press("Enter")
    expect(told(tablet)).to_contain_text(re.compile(r"すでに受け付けています（[^ ]+-\d{3}・\d番）"))
    expect(field).to_have_value(number)
    look(tablet, "line-known")


def test_the_line_of_one_counter_follows_live(tablet: Page, phone: Page) -> None:
    tablet.get_by_label("窓口", exact=True).select_option(label="7番窓口（子育て）")
    tablet.get_by_role("button", name="表示").click()
    tablet.wait_for_url("**counter=7**")
    count = rows(tablet).count()
    take_walk_ins_elsewhere = tablet.context.new_page()
    take_walk_ins_elsewhere.goto("/counter")
    take_walk_ins_elsewhere.get_by_label("手続き").select_option("ENV01")
    take_walk_ins_elsewhere.get_by_role("button", name="番号札を出す").click()
    take_walk_ins_elsewhere.close()
    book(phone, name="川匂 六", kana="かわわ ろく", reach="none", contact="")
    expect(tablet.locator("#line-now")).to_contain_text("カワワ ロク")
    expect(tablet.locator("#line-now")).not_to_contain_text("犬の登録")
    assert rows(tablet).count() == count + 1


def test_without_javascript_the_page_comes_back_at_the_row(new_phone: Callable[..., Page]) -> None:
    page = new_phone(javascript=False)
    page.goto("/counter")
    page.get_by_label("ログインID").fill(STAFF_LOGIN)
    page.get_by_label("パスワード").fill(STAFF_PASSWORD)
    page.get_by_role("button", name="ログイン").click()
    take_walk_ins(page, 1)
    row = rows(page).filter(has=page.get_by_role("button", name="呼び出す", exact=True)).last
    ticket = number_of(row)
    row.get_by_role("button", name="呼び出す", exact=True).click()
    page.wait_for_url("**#line-*")
    expect(told(page)).to_contain_text(f"{ticket}を呼び出しました")
    expect(told(page)).to_be_in_viewport()
    expect(page.locator(".line__row").filter(has_text=ticket).locator(".line__number")).to_be_in_viewport()
    page.get_by_label("予約番号").fill("ZZZ-ZZZZ")
    page.locator("form[action='/counter/check-in']").get_by_role("button", name="受け付ける").click()
    expect(told(page)).to_contain_text("予約が見つかりません")
    expect(page.get_by_label("予約番号")).to_have_value("ZZZ-ZZZZ")
    page.reload()
    expect(told(page)).to_contain_text("予約が見つかりません")
    page.goto("/counter/check-in")
    expect(page).to_have_url(re.compile("/counter$"))
