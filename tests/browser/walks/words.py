"""What a town says itself in its notices: written, looked at by every channel, published, gone back to."""

from playwright.sync_api import Page, expect

from tests.browser.residents import See

PATH = "/notices/templates"
LONG = "{town}からのお知らせです。\n予約の日が近づきました。\n\n番号　{number}\n日時　{when}\n場所　{place}\n\n{link}"
SHORT = "【{town}】予約の日が近づきました。番号{number} {when} 変更・取消 {link}"


def test_a_town_says_it_in_its_own_words(tablet: Page, see: See) -> None:
    page, kind = tablet, "reopened"
    page.goto("/notices")
    page.get_by_role("link", name="お知らせの文をなおす").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("お知らせの文")
    see(page, "words-list")
    page.goto(f"{PATH}/{kind}")
    see(page, "words-empty")
    page.locator("[name=sms_ja]").fill("https://example.com/ {nubmer} おくやみ")
    page.locator("[name=email_ja]").fill("{{ 7 * 7 }}\n{number}")
    page.get_by_role("button", name="保存する（まだ公開しません）").click()
    expect(page.locator("[data-error-summary]")).to_be_visible()
    expect(page.locator("[name=email_ja]")).to_have_value("{{ 7 * 7 }}\n{number}")
    see(page, "words-refused")
    for language in ("ja", "ja-easy", "en"):
        page.locator(f"[name=email_{language}]").fill(LONG)
        page.locator(f"[name=letter_{language}]").fill(LONG)
        page.locator(f"[name=sms_{language}]").fill(SHORT if language != "en" else "")
    page.get_by_role("button", name="保存する（まだ公開しません）").click()
    page.wait_for_url("**/publish")
    see(page, "words-not-yet")
    page.get_by_role("link", name="文をなおす").click()
    see(page, "words-drafted")
    page.locator("[name=sms_en]").fill(SHORT)
    page.get_by_role("button", name="保存する（まだ公開しません）").click()
    page.wait_for_url("**/publish")
    see(page, "words-publish")
    page.get_by_role("link", name="先に見本を見る").click()
    see(page, "words-preview")
    page.get_by_label("どんなとき").select_option("discreet")
    page.get_by_label("読む人のことば").select_option("ja-easy")
    page.get_by_role("button", name="見る", exact=True).click()
    page.wait_for_url("**case=discreet**")
    see(page, "words-preview-discreet")
    page.goto(f"{PATH}/{kind}/publish")
    page.get_by_role("button", name="この文で送るようにする").click()
    page.wait_for_url("**/history")
    see(page, "words-published")
    page.goto(f"{PATH}/{kind}")
    page.locator("[name=sms_ja]").fill(SHORT.replace("予約の日", "予約の日時"))
    page.get_by_role("button", name="保存する（まだ公開しません）").click()
    page.goto(f"{PATH}/{kind}/history")
    see(page, "words-history")
    page.get_by_role("button", name="この文にもどす（まだ公開しません）").first.click()
    page.wait_for_url("**/publish")
    expect(page.get_by_role("main")).to_contain_text("公開しているものと同じです")
    see(page, "words-back")
