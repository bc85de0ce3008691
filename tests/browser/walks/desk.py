"""What is prepared at home and gone through at the desk, and what staff enter for somebody."""

from playwright.sync_api import Page, expect

from tests.browser.desk import check_all, correct_phone, prepare_and_book, scan
from tests.browser.on_behalf import begin_for, book_earliest, tell
from tests.browser.residents import See


def test_what_is_prepared_at_home(phone: Page, tablet: Page, see: See) -> None:
    phone.goto("/procedures/RES02/sheet")
    see(phone, "blank-sheet")
    number = prepare_and_book(phone, "転入 三郎", "テンニュウ サブロウ", seen=see)
    scan(tablet, number, seen=see)
    see(tablet, "desk")
    check_all(tablet)
    correct_phone(tablet, seen=see)
    tablet.get_by_role("link", name="タブレットで（本人にわたす）").click()
    see(tablet, "desk-confirm")
    tablet.get_by_role("link", name="ちがうところがある").click()
    see(tablet, "desk-not-confirmed")
    tablet.get_by_role("link", name="係の者がなおす").click()
    tablet.get_by_role("link", name="紙に印刷する").click()
    see(tablet, "desk-print")
    tablet.go_back()
    tablet.get_by_role("button", name="紙にサインをもらった").click()
    expect(tablet.get_by_role("main")).to_contain_text("本人に確かめてもらいました")
    see(tablet, "desk-after")
    tablet.goto(tablet.url.partition("#")[0].removesuffix("/desk") + "/confirmed")
    see(tablet, "desk-confirmed")


def test_what_staff_enter_on_somebodys_behalf(tablet: Page, see: See) -> None:
    begin_for(tablet, "phone", "counter", seen=see)
    see(tablet, "behalf-you")
    tell(tablet, name="電話 花子", kana="でんわ はなこ")
    see(tablet, "behalf-handover")
    tablet.get_by_role("button", name="「よい」と答えた（すべてわたす）").click()
    book_earliest(tablet, "phone", seen=see)
    see(tablet, "behalf-booked")
    tablet.goto("/office/behalf?q=zzzz")
    see(tablet, "behalf-found-nothing")
    tablet.goto("/office/behalf/CHI02")
    tablet.get_by_role("button", name="この方の入力を始める").click()
    expect(tablet.get_by_role("main")).to_contain_text("電話か、窓口かを選んでください")
    see(tablet, "behalf-refused")
