"""What people see, ask and decide about their own information, and a family's."""

from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.browser import asking
from tests.browser.applying import (
    begin,
    choose_reach,
    fill_child_allowance,
    go_on,
    open_in_office,
    send,
)
from tests.browser.helping import sign_in
from tests.browser.residents import See, book
from tests.browser.walks.asked import OFFICE_LOGIN, OFFICER_LOGIN, ExpectStatus, NewPhone, wait_for_page
from tests.stack import Stack, run_cli


def test_a_person_has_their_information_erased(phone: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(422)
    phone.goto("/my/erase")
    see(phone, "erase-nothing")
    book(phone, name="富士見 きえる", kana="フジミ キエル", reach="email", contact="kieru@example.jp")
    address = phone.url
    wait_for_page(phone, "/my/erase", "先に、すませることがあります")
    see(phone, "erase-in-the-way")
    phone.goto(f"{address}/cancel")
    phone.get_by_role("button", name="予約を取り消す").click()
    expect(phone.get_by_role("main")).to_contain_text("取り消しました")
    wait_for_page(phone, "/my/erase", "もとにもどせないことを、わかりました")
    see(phone, "erase")
    phone.get_by_role("button", name="わたしの情報を消す").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "erase-refused")
    phone.locator("[name=understood]").check(force=True)
    phone.get_by_role("button", name="わたしの情報を消す").click()
    phone.wait_for_url("**/erasures/*")
    receipt = urlsplit(phone.url).path
    wait_for_page(phone, receipt, "すべてから消えました")
    see(phone, "erased")
    phone.goto("/my")
    expect(phone.get_by_role("main")).not_to_contain_text("児童手当")


def test_a_family_and_who_is_protected(phone: Page, tablet: Page, new_tablet: NewPhone, stack: Stack, see: See) -> None:
    begin(phone, "CHI02")
    fill_child_allowance(phone, "二宮 花子")
    go_on(phone)
    choose_reach(phone, "none")
    number = send(phone, "申請する")
    begin(phone, "CHI03")
    phone.get_by_text("ご家族の分を申しこむ方").click()
    see(phone, "reuse-for-whom")
    phone.get_by_role("button", name="ご家族の分にする").click()
    phone.wait_for_url("**/family")
    see(phone, "family")
    phone.get_by_role("button", name="選んだとおりに次へ進む").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "family-refused")
    for choice in phone.locator("input[name^=use_][value=yes]").all():
        choice.check(force=True)
    phone.get_by_role("button", name="選んだとおりに次へ進む").click()
    phone.wait_for_url("**/form")
    see(phone, "form-family")
    phone.goto("/my")
    expect(phone.get_by_role("main")).to_contain_text("（ご家族 1 の分）")
    see(phone, "my-family")

    tablet.goto("/office")
    tablet.get_by_role("link", name="支援措置（秘匿）の登録").click()
    see(tablet, "protection-find")
    go_on(tablet)
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "protection-not-found")
    tablet.get_by_label("予約番号か、受付番号").fill(number)
    go_on(tablet)
    tablet.wait_for_url("**/cases/*/protection")
    see(tablet, "protection")
    tablet.get_by_role("button", name="支援措置の方として登録する").click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "protection-refused")
    tablet.locator("input[name=checked]").check(force=True)
    tablet.get_by_role("button", name="支援措置の方として登録する").click()
    expect(tablet.get_by_role("main")).to_contain_text("支援措置の方です")
    see(tablet, "protection-set")

    run_cli(stack.environ, "account", "open", OFFICE_LOGIN, "--town", "143421", "--role", "back_office",
            "--office", "子育て")  # fmt: skip
    office = sign_in(new_tablet(), OFFICE_LOGIN, "/office")
    open_in_office(office, number)
    expect(office.get_by_role("main")).not_to_contain_text("〒259-0123")
    see(office, "office-held-back")
    office.get_by_role("button", name="いま一度だけ開く").click()
    expect(office.locator("[data-error-summary]")).to_be_visible()
    see(office, "office-held-back-unsaid")
    office.locator("input[name=why][value=decide]").check(force=True)
    office.get_by_role("button", name="いま一度だけ開く").click()
    expect(office.get_by_role("main")).to_contain_text("〒259-0123")
    see(office, "office-opened")
    phone.goto(f"/applications/{number.replace('-', '')}")
    expect(phone.get_by_role("main")).not_to_contain_text("〒259-0123")
    see(phone, "application-protected")


def test_what_a_resident_asks_about_their_history(
    phone: Page, new_phone: NewPhone, tablet: Page, stack: Stack, see: See
) -> None:
    run_cli(stack.environ, "account", "open", OFFICER_LOGIN, "--town", "143421", "--role", "privacy_officer")
    officer = sign_in(new_phone(), OFFICER_LOGIN, "/office/watch")
    see(officer, "watch-none")
    begin(phone, "CHI02")
    fill_child_allowance(phone, "中里 よしの")
    go_on(phone)
    choose_reach(phone, "none")
    send(phone, "申請する")
    asking.ask(phone, "おぼえがない", see)
    number = asking.ask(phone, "なおしてほしい", see)
    asking.answer(tablet, number, see, "tablet")
    asking.ask_again_and_close(phone, tablet, number, see)
    phone.goto("/my/history")
    see(phone, "history-asked")
    phone.goto("/my/history/print")
    see(phone, "history-print")
    tablet.goto("/office/uses")
    see(tablet, "office-uses")
    asking.look_too_often(tablet)
    asking.look_into(officer, see, "phone")
