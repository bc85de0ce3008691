"""What a town writes to many at once: drafted, looked at, tested on oneself, sent, and stopped."""

from datetime import timedelta

from playwright.sync_api import Page, expect

from shared.clock import jst_day, utc_now
from tests.browser.residents import See, book
from tests.notifications.bulk_writing import PATH, WORDS

SAVE = "保存して、見本を見る（まだ送りません）"


def test_a_town_writes_to_many(phone: Page, tablet: Page, see: See) -> None:
    book(phone, name="", kana="", reach="email", contact="yomu@example.jp")
    page = tablet
    page.goto("/notices")
    page.get_by_role("link", name="まとめて送る").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("まとめて送るお知らせ")
    see(page, "many-none-yet")
    page.get_by_role("link", name="1通の料金").click()
    page.locator("[name=sms]").fill("三円")
    page.get_by_role("button", name="保存する").click()
    expect(page.locator("[data-error-summary]")).to_be_visible()
    see(page, "many-prices-refused")
    page.locator("[name=sms]").fill("3.3")
    page.get_by_role("button", name="保存する").click()
    see(page, "many-prices")
    page.goto(f"{PATH}/new")
    see(page, "many-new")
    page.locator("[name=subject_ja]").fill("おくやみの方へ")
    page.get_by_role("button", name=SAVE).click()
    expect(page.locator("[data-error-summary]")).to_be_visible()
    see(page, "many-to-be-corrected")
    page.get_by_role("radio", name="連絡先のある人みんな").check(force=True)
    page.locator("[name=until_day]").fill((jst_day(utc_now()) + timedelta(days=5)).isoformat())
    for field, words in WORDS.items():
        page.locator(f"[name={field}]").fill(words)
    page.get_by_role("button", name=SAVE).click()
    page.wait_for_url("**/check")
    see(page, "many-check")
    page.get_by_label("読む人のことば").select_option("ja-easy")
    page.get_by_role("button", name="見る", exact=True).click()
    page.wait_for_url("**language=ja-easy**")
    see(page, "many-check-easy")
    page.get_by_role("radio", name="メールアドレスを入力する").check(force=True)
    page.get_by_role("button", name="試しに送る").click()
    expect(page.locator("[data-error-summary]")).to_be_visible()
    see(page, "many-test-refused")
    page.locator("[name=test_address]").fill("kacho@example.jp")
    page.get_by_role("button", name="試しに送る").click()
    page.wait_for_url("**/check#test")
    see(page, "many-tested")
    here = page.url.partition("/check")[0]
    page.get_by_role("button", name="人に送る").click()
    page.wait_for_url(here)
    expect(page.get_by_role("heading", name="進み具合")).to_be_visible()
    see(page, "many-progress")
    page.get_by_role("link", name="送るのを止める").click()
    page.wait_for_url("**/stop")
    see(page, "many-stop")
    page.get_by_role("button", name="止める").click()
    page.wait_for_url(here)
    expect(page.get_by_text("止めました。", exact=False)).to_be_visible()
    see(page, "many-stopped")
    page.goto(PATH)
    see(page, "many-list")
