"""Signing in without a password in a real browser: by a passkey of the phone, and without JavaScript by a code."""

from collections.abc import Callable

from playwright.sync_api import CDPSession, Page, expect

from tests.browser.conftest import look
from tests.browser.helping import TANAKA, sign_in
from tests.browser.signing_in import LONG_AGO, code_sent
from tests.journeys.database import ask
from tests.stack import STAFF_PASSWORD, Stack

MAIL = "tanaka.signs.in@example.jp"
PHONES_OWN = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def at_localhost(stack: Stack) -> str:
    """No site that is called by a number has passkeys."""
    return stack.url.replace("127.0.0.1", "localhost")


def with_authenticator(page: Page) -> tuple[CDPSession, str]:
    """A phone that opens by a finger, which is always there."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": PHONES_OWN})
    return session, made["authenticatorId"]


def sign_in_there(page: Page, site: str) -> None:
    page.goto(f"{site}/sign-in")
    page.get_by_label("ログインID").fill(TANAKA)
    page.get_by_label("パスワード").fill(STAFF_PASSWORD)
    page.get_by_role("button", name="ログイン").click()
    page.wait_for_url("**/helpers")


def test_1_a_helper_makes_a_passkey_and_signs_in_by_it(
    new_phone: Callable[..., Page], stack: Stack, expect_status: Callable[..., None]
) -> None:
    expect_status(403)
    phone, site = new_phone(), at_localhost(stack)
    session, authenticator = with_authenticator(phone)
    sign_in_there(phone, site)
    phone.goto(f"{site}/account")
    phone.get_by_label("この端末の呼び名").fill("田中のスマホ")
    phone.get_by_role("button", name="パスキーを作る").click()
    expect(phone.get_by_role("main")).to_contain_text("パスキーを登録しました")
    look(phone, "account-passkey")
    phone.get_by_role("button", name="ログアウト").click()
    phone.goto(f"{site}/sign-in")
    look(phone, "sign-in-passkey")
    phone.get_by_role("button", name="パスキーを使う").click()
    phone.wait_for_url("**/helpers")
    phone.goto(f"{site}/account")
    expect(phone.get_by_role("main")).to_contain_text("さいごに使ったとき")
    # The same phone makes no second one.
    phone.get_by_role("button", name="パスキーを作る").click()
    expect(phone.get_by_role("main")).to_contain_text("パスキーを使えませんでした")
    # Long after signing in, the phone shows once more that it is theirs; what was typed is there.
    phone.get_by_label("この端末の呼び名").fill("孫のスマホ")
    ask(stack, LONG_AGO)
    phone.get_by_role("button", name="パスキーを作る").click()
    phone.get_by_role("button", name="パスキーで確かめる").click()
    phone.get_by_role("button", name="つづける").click()
    expect(phone.get_by_label("この端末の呼び名")).to_have_value("孫のスマホ")
    phone.get_by_role("button", name="「田中のスマホ」を消す").click()
    expect(phone.get_by_role("main")).to_contain_text("パスキーを消しました")
    phone.get_by_role("button", name="ログアウト").click()
    # What the phone still has is nothing here.
    phone.goto(f"{site}/sign-in")
    phone.get_by_role("button", name="パスキーを使う").click()
    expect(phone.get_by_role("heading", level=1)).to_contain_text("パスキーを確かめられませんでした")
    look(phone, "passkey-refused")
    # Nor does a phone that has none get further than the page.
    session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})
    with_authenticator(phone)
    phone.goto(f"{site}/sign-in")
    phone.get_by_role("button", name="パスキーを使う").click()
    expect(phone.get_by_role("main")).to_contain_text("ほかの方法を使ってください")


def test_2_without_javascript_the_code_signs_in_and_no_passkey_is_offered(
    new_phone: Callable[..., Page], stack: Stack
) -> None:
    helper = sign_in(new_phone(javascript=False), TANAKA)
    helper.goto("/account")
    expect(helper.get_by_role("button", name="パスキーを作る")).to_be_hidden()
    helper.get_by_role("link", name="届け先を").click()
    helper.locator("input[name=reach][value=email]").check(force=True)
    helper.get_by_label("メールアドレス").fill(MAIL)
    helper.get_by_role("button", name="次へ進む").click()
    helper.get_by_label("6けたの番号").fill(code_sent(stack))
    helper.get_by_role("button", name="確かめる").click()
    expect(helper.get_by_role("main")).to_contain_text("連絡先を確かめました")
    other = new_phone(javascript=False)
    other.goto("/sign-in?next=/helpers/shifts")
    expect(other.get_by_role("button", name="パスキーを使う")).to_be_hidden()
    other.get_by_role("link", name="リンクを送ってもらう").click()
    other.get_by_label("携帯電話の番号か、メールアドレス").fill(MAIL)
    other.get_by_role("button", name="リンクと番号を送る").click()
    other.get_by_label("6けたの番号").fill(code_sent(stack))
    other.get_by_role("button", name="ログイン", exact=True).click()
    other.wait_for_url("**/helpers/shifts")
