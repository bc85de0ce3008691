"""The town's catalogue, edited, looked at and published."""

from playwright.sync_api import Page, expect

from tests.browser.helping import sign_in
from tests.browser.residents import See
from tests.stack import STAFF_LOGIN


def test_the_catalogue_is_edited_looked_at_and_published(tablet: Page, see: See) -> None:
    sign_in(tablet, STAFF_LOGIN, "/counter")
    tablet.goto("/office/catalogue")
    see(tablet, "catalogue")
    tablet.goto("/office/catalogue/procedure")
    see(tablet, "catalogue-list")
    tablet.goto("/office/catalogue/event/edit?key=move-in")
    see(tablet, "catalogue-event")
    tablet.goto("/office/catalogue/procedure/edit?key=RES01")
    see(tablet, "catalogue-procedure")
    tablet.get_by_label("手数料（円）").fill("350")
    tablet.get_by_label("何日先まで予約できるか").fill("170")
    tablet.get_by_role("button", name="保存する（まだ公開しません）").click()
    expect(tablet.locator("#f-v_horizon_days-error")).to_be_visible()
    see(tablet, "catalogue-problem")
    tablet.goto("/office/catalogue/preview")
    see(tablet, "catalogue-no-preview")
    tablet.goto("/office/catalogue/procedure/edit?key=RES01")
    tablet.get_by_label("何日先まで予約できるか").fill("")
    tablet.get_by_role("button", name="保存する（まだ公開しません）").click()
    tablet.goto("/office/catalogue/preview")
    expect(tablet.locator(".practice")).to_contain_text("見本（まだ公開していません）")
    see(tablet, "catalogue-preview")
    tablet.goto("/office/catalogue/preview/search?q=住民票")
    see(tablet, "catalogue-preview-search")
    tablet.goto("/office/catalogue/preview/procedures/RES01")
    expect(tablet.get_by_role("main")).to_contain_text("350円")
    see(tablet, "catalogue-preview-procedure")
    tablet.goto("/office/catalogue/preview/life-events/move-in")
    see(tablet, "catalogue-preview-event")
    tablet.goto("/office/catalogue/preview/forms/CHI02")
    see(tablet, "catalogue-preview-form")
    tablet.goto("/office/catalogue/form/edit?key=CHI02")
    see(tablet, "catalogue-form")
    # The last group's last item: what is asked above may decide over it.
    tablet.get_by_role("main").locator("section.card .tap").last.click()
    tablet.get_by_role("main").locator("section.card .tap").last.click()
    expect(tablet.get_by_label("どの質問の答えで決めるか")).to_be_visible()
    see(tablet, "catalogue-condition")
    tablet.goto("/office/catalogue/template/edit?new=1")
    see(tablet, "catalogue-template")
    tablet.goto("/office/catalogue/history")
    see(tablet, "catalogue-history")
    tablet.goto("/office/catalogue/publish")
    see(tablet, "catalogue-publish")
    tablet.get_by_role("button", name="町の人に公開する").click()
    expect(tablet.get_by_role("main")).to_contain_text("公開を待っています")
    see(tablet, "catalogue-waiting")
    tablet.get_by_role("button", name="公開を取りやめる").click()
    expect(tablet.get_by_role("main")).to_contain_text("公開を取りやめました")
