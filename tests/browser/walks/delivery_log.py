"""Who was told what: looked through, one notice, one person, sent again, the providers, and the figures."""

import re

from playwright.sync_api import Page, expect

from tests.browser.residents import See, book
from tests.browser.walks.asked import ExpectStatus


def test_the_delivery_log_as_staff_read_it(phone: Page, tablet: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(404)
    expect_status(422)
    number = book(phone, name="元町 十郎", kana="もとまち じゅうろう", reach="email", contact="jurou@example.jp")
    row = tablet.get_by_role("row").filter(has_text=number).filter(has_text="送りました")
    for _ in range(40):
        tablet.goto("/notices?kind=confirmation&way=email&standing=sent")
        if row.count():
            break
        tablet.wait_for_timeout(250)
    see(tablet, "notices-looked-through")
    row.get_by_role("link", name=number).click()
    expect(tablet.get_by_role("heading", level=1)).to_contain_text("予約の確認")
    expect(tablet.get_by_role("main")).to_contain_text("事業者が受けとりました")
    expect(tablet.get_by_role("main")).not_to_contain_text("jurou")
    see(tablet, "notice")
    tablet.get_by_role("button", name="もう一度送る").click()
    expect(tablet.get_by_role("main")).to_contain_text("職員が送りなおしたもの")
    see(tablet, "notice-again")
    tablet.get_by_role("button", name="この人へのお知らせをすべて見る").click()
    expect(tablet.get_by_role("heading", name="この人へのお知らせ", exact=True)).to_be_visible()
    see(tablet, "notice-person")
    tablet.goto("/notices/person")
    see(tablet, "notice-person-asked")
    tablet.get_by_label(re.compile("予約か申請の番号")).fill("とおり")
    tablet.get_by_role("button", name="さがす").click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "notice-person-refused")
    tablet.get_by_label(re.compile("予約か申請の番号")).fill(number)
    tablet.get_by_role("button", name="さがす").click()
    expect(tablet.get_by_role("main")).to_contain_text("もう一度")
    tablet.goto("/notices/providers")
    expect(tablet.get_by_role("main")).to_contain_text("動いています")
    see(tablet, "notice-providers")
    tablet.goto("/notices/figures")
    expect(tablet.get_by_role("main")).to_contain_text("送り方ごとの、お知らせの数")
    see(tablet, "notice-figures")
    tablet.goto("/notices/figures?first=x&last=y")
    see(tablet, "notice-figures-refused")
    tablet.goto("/notices/unreached")
    see(tablet, "notice-unreached")
