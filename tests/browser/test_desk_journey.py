"""書かない窓口 in a real browser: prepared on a phone, booked, scanned, corrected, confirmed, and served."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import look
from tests.browser.desk import OTHER_PHONE, check_all, correct_phone, prepare_and_book, scan, sign


def test_prepared_at_home_and_confirmed_on_the_tablet(phone: Page, tablet: Page) -> None:
    number = prepare_and_book(phone, "転入 花子", "テンニュウ ハナコ", seen=look)
    tablet.goto("/counter")
    row = tablet.locator("ol.line > li").filter(has_text="テンニュウ ハナコ")
    for button in ("受け付ける", "呼び出す", "対応を始める"):
        row.get_by_role("button", name=button).click()
        expect(tablet.locator("#counter-told")).to_contain_text(re.compile("ました"))
    scan(tablet, number, seen=look)
    look(tablet, "desk")
    check_all(tablet)
    correct_phone(tablet, seen=look)
    look(tablet, "desk-checked")
    tablet.get_by_role("link", name="タブレットで（本人にわたす）").click()
    tablet.wait_for_url(re.compile("/confirm$"))
    expect(tablet.get_by_role("navigation")).to_have_count(0)
    expect(tablet.get_by_role("main")).to_contain_text(OTHER_PHONE)
    sign(tablet)
    look(tablet, "desk-confirm")
    tablet.get_by_role("button", name="これでよい").click()
    tablet.wait_for_url("**/confirmed")
    expect(tablet.get_by_role("main")).to_contain_text("ありがとうございました")
    expect(tablet.get_by_role("main")).not_to_contain_text("花子")
    look(tablet, "desk-confirmed")
    tablet.get_by_role("link", name="係の者がつづける").click()
    expect(tablet.get_by_role("main")).to_contain_text("本人に確かめてもらいました")
    look(tablet, "desk-after")
    tablet.get_by_role("link", name="印刷する").click()
    expect(tablet.locator(".signature path")).to_have_attribute("d", re.compile("^M.*L"))
    look(tablet, "desk-print")
    tablet.goto("/counter")
    row.get_by_role("button", name="対応を終える").click()
    expect(row.locator(".badge").first).to_have_text("完了")
    phone.go_back()
    phone.reload()
    expect(phone.get_by_role("main")).to_contain_text("窓口で、内容を確かめました")
    look(phone, "prepared-confirmed")


def test_without_javascript_it_is_confirmed_on_paper(new_phone: Callable[..., Page], tablet: Page) -> None:
    phone = new_phone(javascript=False)
    number = prepare_and_book(phone, "紙野 次郎", "カミノ ジロウ")
    scan(tablet, number)
    check_all(tablet)
    tablet.get_by_role("button", name="紙にサインをもらった").click()
    expect(tablet.get_by_role("main")).to_contain_text("紙のサインで")
    tablet.goto("/procedures/RES02/sheet")
    look(tablet, "blank-sheet")
