"""Pages before anybody came, and what is refused."""

from playwright.sync_api import Page, expect

from tests.browser.helping import TANAKA, sign_in
from tests.browser.residents import See
from tests.browser.walks.asked import UNKNOWN, ExpectStatus


def test_before_anybody_came(phone: Page, tablet: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(404)
    for path, name in (
        ("/", "front"),
        ("/search", "search-all"),
        ("/search?q=xyz", "search-nothing"),
        ("/p/NOPE99", "unknown-procedure"),
        ("/e/NOPE99", "unknown-event"),
        ("/search?q=児童", "search-found"),
        ("/procedures/CHI02", "compare"),
        ("/procedures/RES02", "compare-closed"),
        ("/life-events/move-in", "life-event"),
        ("/booking/find", "find"),
        ("/applications/find", "find-application"),
        ("/my", "my-empty"),
        ("/my/history", "history-empty"),
        ("/my/data", "data-empty"),
        ("/my/receipt", "receipt-empty"),
        ("/open-data/ledger", "open-data-empty"),
        ("/quality", "quality-empty"),
        ("/open-data/quality", "quality-data"),
        ("/open-data/ledger/2026-11-23", "open-data-notice"),
        ("/sign-in", "sign-in"),
        (UNKNOWN, "unknown"),
    ):
        phone.goto(path)
        see(phone, name)
    for path, name in (
        ("/counter", "counter-empty"),
        ("/office", "office-empty"),
        ("/helpers/roster", "roster-empty"),
        ("/notices", "notices-empty"),
        ("/board", "board-empty"),
    ):
        tablet.goto(path)
        see(tablet, name)


def test_what_is_refused(phone: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(403)
    phone.goto("/life-events/move-in")
    phone.get_by_role("button", name="必要な手続きを見る").click()
    see(phone, "life-event-refused")
    for path, number, button in (
        ("/booking/find", "予約番号", "予約を開く"),
        ("/applications/find", "受付番号", "申請を開く"),
    ):
        phone.goto(path)
        phone.get_by_label(number).fill("K4M-7RXA")
        phone.get_by_label("確認コード").fill("123456")
        phone.get_by_role("button", name=button).click()
        expect(phone.get_by_role("main")).to_contain_text("ちがいます")
        see(phone, f"refused{path.replace('/', '-')}")
    phone.goto("/counter")
    phone.get_by_label("ログインID").fill("nobody")
    phone.get_by_label("パスワード").fill("nothing")
    phone.get_by_role("button", name="ログイン").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "sign-in-refused")
    sign_in(phone, TANAKA)
    phone.goto("/counter")
    see(phone, "forbidden")
