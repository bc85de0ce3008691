"""A resident asks about an entry of their history, staff answer, and a privacy officer looks at who read how much."""

import re

from playwright.sync_api import Page, expect

from services.routing.domain.watching import ONE_PERSON_LOOKS
from tests.browser.residents import See


def ask(page: Page, kind: str, see: See) -> str:
    """From the history to the inquiry; return its number as it is shown."""
    for _ in range(40):
        page.goto("/my/history")
        if page.locator("ol.history").count():
            break
        page.wait_for_timeout(250)
    see(page, "history-entries")
    page.get_by_role("link", name=re.compile(f"^{kind}")).first.click()
    page.wait_for_url("**/my/history/*/*")
    see(page, f"ask-{kind}")
    if kind == "なおしてほしい":
        page.get_by_role("button", name="役場に送る").click()
        expect(page.locator("[data-error-summary]")).to_be_visible()
        see(page, "ask-refused")
    page.locator("textarea[name=text]").fill("生年月日がちがいます。正しくは、昭和63年4月5日です。")
    page.get_by_role("button", name="役場に送る").click()
    page.wait_for_url("**/my/inquiries/*")
    see(page, "inquiry-waiting")
    return page.locator("h1 .number").inner_text().strip()


def answer(page: Page, number: str, see: See, size: str) -> None:
    """Staff find it by its number on the list, and answer."""
    page.goto("/office")
    page.get_by_role("link", name="履歴についての問い合わせ").click()
    page.wait_for_url("**/office/inquiries")
    see(page, f"office-inquiries-{size}")
    page.get_by_role("link", name=number).click()
    see(page, f"office-inquiry-{size}")
    page.get_by_role("button", name="返事を送る").click()
    expect(page.locator("[data-error-summary]")).to_be_visible()
    see(page, f"office-inquiry-refused-{size}")
    page.get_by_label(re.compile("^返事")).fill("正しい日になおしました。")
    page.get_by_role("button", name="返事を送る").click()
    expect(page.get_by_role("main")).to_contain_text("いま、できることはありません")
    see(page, f"office-inquiry-answered-{size}")


def ask_again_and_close(page: Page, staff: Page, number: str, see: See) -> None:
    """The answer is not enough; the next one is."""
    page.reload()
    see(page, "inquiry-answered")
    page.get_by_label(re.compile("^まだわからないこと")).fill("いつなおりましたか。")
    page.get_by_role("button", name="もう一度、役場に送る").click()
    expect(page.get_by_role("main")).to_contain_text("もう一度聞きました")
    answer(staff, number, see, "again")
    page.reload()
    see(page, "inquiry-answered-again")
    page.get_by_role("button", name=re.compile("問い合わせを終える")).click()
    expect(page.get_by_role("main")).to_contain_text("あなたが問い合わせを終えました")
    see(page, "inquiry-closed")


def look_too_often(page: Page) -> None:
    """Staff open the same application again and again."""
    page.goto("/office")
    page.locator("tbody a").first.click()
    page.wait_for_url("**/office/applications/*")
    for _ in range(ONE_PERSON_LOOKS):
        page.reload()


def look_into(page: Page, see: See, size: str) -> None:
    """The officer sees it, and notes that they looked into it."""
    for _ in range(40):
        if page.get_by_role("heading", name="何度も見ています").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    see(page, f"watch-{size}")
    page.get_by_role("button", name=re.compile("確かめた")).first.click()
    expect(page.get_by_role("heading", name="確かめたもの")).to_be_visible()
    see(page, f"watch-checked-{size}")
