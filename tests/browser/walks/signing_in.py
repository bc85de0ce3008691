"""How a helper is told, and signs in without a password."""

from playwright.sync_api import Page, expect

from tests.browser.helping import SUZUKI, sign_in
from tests.browser.residents import See
from tests.browser.signing_in import LONG_AGO, code_sent, link_sent
from tests.browser.walks.asked import ExpectStatus, NewPhone
from tests.journeys.database import ask
from tests.stack import Stack

MAIL = "suzuki.signs.in@example.jp"


def test_a_helper_gives_a_contact_and_signs_in_by_it(
    new_phone: NewPhone, stack: Stack, see: See, expect_status: ExpectStatus
) -> None:
    expect_status(404)
    helper = sign_in(new_phone(), SUZUKI)
    helper.get_by_role("link", name="連絡とログイン", exact=True).click()
    see(helper, "account-empty")
    helper.goto("/account/code")
    see(helper, "account-code-none")
    helper.goto("/account")
    helper.get_by_role("link", name="届け先を登録する").click()
    see(helper, "account-contact")
    helper.get_by_role("button", name="次へ進む").click()
    see(helper, "account-contact-refused")
    give(helper, MAIL)
    see(helper, "account-code")
    helper.get_by_label("6けたの番号").fill("12345")
    helper.get_by_role("button", name="確かめる").click()
    see(helper, "account-code-refused")
    helper.goto("/account")
    see(helper, "account-unproved")
    helper.goto("/account/code")
    helper.get_by_label("6けたの番号").fill(code_sent(stack))
    helper.get_by_role("button", name="確かめる").click()
    expect(helper.get_by_role("main")).to_contain_text("連絡先を確かめました")
    see(helper, "account-proved")
    show_again_who_one_is(helper, stack, see)

    phone = new_phone()
    ask_for_link(phone, "suzuki", see)
    phone.get_by_label("携帯電話の番号か、メールアドレス").fill(MAIL)
    phone.get_by_role("button", name="リンクと番号を送る").click()
    see(phone, "sign-in-code")
    phone.get_by_role("button", name="ログイン", exact=True).click()
    see(phone, "sign-in-code-refused")
    link = link_sent(stack)
    phone.goto(link)
    see(phone, "sign-in-link")
    phone.get_by_role("button", name="ログインする").click()
    phone.wait_for_url("**/helpers")
    phone.goto(link)
    see(phone, "sign-in-link-used")


def show_again_who_one_is(page: Page, stack: Stack, see: See) -> None:
    """What is typed while time goes by waits, sealed."""
    page.goto("/account/contact")
    page.locator("input[name=reach][value=email]").check(force=True)
    page.get_by_label("メールアドレス").fill(f"new.{MAIL}")
    ask(stack, LONG_AGO)
    page.get_by_role("button", name="次へ進む").click()
    expect(page.get_by_role("main")).to_contain_text("入力したことは、残っています")
    see(page, "proof")
    page.get_by_role("button", name="番号を送ってもらう").click()
    see(page, "proof-code")
    page.get_by_label("6けたの番号").fill("12345")
    page.get_by_role("button", name="次へ進む").click()
    see(page, "proof-code-refused")
    page.get_by_label("6けたの番号").fill(code_sent(stack))
    page.get_by_role("button", name="次へ進む").click()
    see(page, "proof-signed-in")
    page.goto("/account")
    ask(stack, LONG_AGO)
    page.reload()
    see(page, "account-proof-first")


def give(page: Page, mail: str) -> None:
    page.locator("input[name=reach][value=email]").check(force=True)
    page.get_by_label("メールアドレス").fill(mail)
    page.get_by_role("button", name="次へ進む").click()
    page.wait_for_url("**/account/code")


def ask_for_link(page: Page, typed: str, see: See) -> None:
    page.goto("/sign-in")
    page.get_by_role("link", name="携帯電話かメールに、リンクを送ってもらう").click()
    see(page, "sign-in-ask")
    page.get_by_label("携帯電話の番号か、メールアドレス").fill(typed)
    page.get_by_role("button", name="リンクと番号を送る").click()
    see(page, "sign-in-ask-refused")
