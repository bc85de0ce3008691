"""The thread of a case and its prints, and switching between the ways: by the resident and by staff."""

import re

from playwright.sync_api import Page, expect

from tests.browser.applying import begin, choose_reach, fill_child_allowance, go_on, open_in_office, send
from tests.browser.residents import See, book


def test_the_thread_of_a_case_and_its_prints(phone: Page, see: See) -> None:
    book(phone, name="二宮 花子", kana="にのみや はなこ", reach="none", contact="")
    phone.get_by_role("button", name="この手続きのながれを見る").click()
    phone.wait_for_url("**/cases/*/thread")
    see(phone, "thread")
    phone.get_by_role("link", name="紙に印刷する").click()
    phone.wait_for_url("**/cases/*/print")
    see(phone, "thread-print")
    begin(phone, "CHI02")
    phone.goto("/my")
    phone.get_by_role("link", name="手続きのながれを見る").last.click()
    phone.get_by_text("この手続きをやめる").click()
    see(phone, "thread-giving-up")
    phone.goto("/my")
    phone.get_by_role("link", name="ぜんぶを紙に印刷する").click()
    phone.wait_for_url("**/my/print")
    see(phone, "my-print")


def test_another_way_after_all(phone: Page, tablet: Page, see: See) -> None:
    book(phone, name="二宮 花子", kana="にのみや はなこ", reach="none", contact="")
    phone.get_by_role("link", name="ほかのやり方に変える").click()
    phone.wait_for_url("**/ways")
    see(phone, "ways-booked")
    phone.get_by_role("button", name="オンラインで続ける").click()
    phone.wait_for_url("**/switched")
    see(phone, "switched-online")
    phone.get_by_role("link", name="フォームへ進む").click()
    fill_child_allowance(phone, "二宮 花子")
    go_on(phone)
    phone.wait_for_url(re.compile("/(you|check)$"))
    if phone.url.endswith("/you"):
        choose_reach(phone, "none")
    see(phone, "check-with-appointment")
    number = send(phone, "申請する")
    see(phone, "application-switched")
    phone.get_by_role("link", name="窓口に行くか、サポーターと続ける").click()
    phone.wait_for_url("**/ways")
    see(phone, "ways-sent")
    open_in_office(tablet, number)
    tablet.get_by_role("link", name="ご本人の希望で、やり方を変える").click()
    tablet.wait_for_url("**/ways")
    see(tablet, "office-ways")
    tablet.get_by_role("button", name="やり方を変える").click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "office-ways-refused")
