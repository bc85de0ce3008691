"""Another system of the town may have people told: registered, given a key, watched."""

from playwright.sync_api import Page, expect

from tests.browser.residents import See


def test_another_system_may_have_people_told(tablet: Page, see: See) -> None:
    tablet.goto("/notices/systems")
    see(tablet, "systems-empty")
    tablet.get_by_role("button", name="登録する").click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "systems-refused")
    tablet.get_by_label("システムの名前").fill("図書館システム")
    tablet.get_by_role("button", name="登録する").click()
    tablet.wait_for_url("**/notices/systems/*")
    see(tablet, "system-new")
    tablet.get_by_role("button", name="新しい鍵をつくる").click()
    expect(tablet.get_by_role("main")).to_contain_text("choudo_143421_")
    see(tablet, "system-key")
    tablet.get_by_role("link", name="写しました。次へ").click()
    tablet.wait_for_url("**/notices/systems/*")
    tablet.get_by_label("知らせる先のURL").fill("http://10.0.0.5/")
    tablet.get_by_role("button", name="この先に知らせる").click()
    expect(tablet.get_by_role("main")).to_contain_text("このアドレスには送れません")
    see(tablet, "system-address-refused")
    tablet.get_by_label("知らせる先のURL").fill("https://library.example.jp/hook")
    tablet.get_by_role("button", name="この先に知らせる").click()
    expect(tablet.get_by_role("main")).to_contain_text("whsec_")
    see(tablet, "system-secret")
    tablet.get_by_role("link", name="写しました。次へ").click()
    tablet.wait_for_url("**/notices/systems/*")
    tablet.get_by_role("button", name="試しに知らせる").click()
    expect(tablet.get_by_role("main")).to_contain_text("試しの通知")
    see(tablet, "system")
    tablet.get_by_role("button", name="受付を止める").click()
    expect(tablet.get_by_role("main")).to_contain_text("止めています")
    tablet.get_by_role("button", name="使えなくする").click()
    expect(tablet.get_by_role("main")).to_contain_text("使えません")
    see(tablet, "system-paused")
    tablet.goto("/notices/systems")
    see(tablet, "systems")
