"""Helpers, and who asks for one."""

from playwright.sync_api import Page, expect

from tests.browser.helping import TANAKA, add_time, ask_for_helper, sign_in
from tests.browser.residents import See
from tests.browser.walks.asked import NewPhone
from tests.stack import COORDINATOR_LOGIN


def test_helpers_and_who_asks_for_one(phone: Page, new_phone: NewPhone, tablet: Page, see: See) -> None:
    helper = sign_in(new_phone(), TANAKA)
    see(helper, "helper-new")
    for path, name in (("/helpers/shifts", "shifts-empty"), ("/helpers/calendar", "feed-none")):
        helper.goto(path)
        see(helper, name)
    helper.get_by_role("button", name="新しいアドレスを作る").click()
    see(helper, "feed-made")
    helper.goto("/helpers/calendar")
    see(helper, "feed-known")
    add_time(helper, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    see(helper, "shifts-added")
    helper.get_by_role("button", name="この時間を登録する").click()
    see(helper, "shifts-refused")
    helper.goto("/helpers/shifts")
    helper.get_by_role("link", name="この時間を消す").first.click()
    see(helper, "shift-remove")
    helper.goto("/helpers")
    see(helper, "helper-free")
    card = phone.locator("#channel-helper")
    for _ in range(20):
        phone.goto("/procedures/DIG01")
        if "今日" in card.inner_text():
            break
        phone.wait_for_timeout(250)
    see(phone, "compare-helper")
    appointment = ask_for_helper(phone, "DIG01", name="中里 幸子", reach="none", seen=see)
    see(phone, "appointment-asked")
    helper.goto("/helpers")
    see(helper, "helper-asked")
    helper.get_by_role("button", name="引き受ける").first.click()
    expect(helper.get_by_role("main")).to_contain_text("幸子さん")
    see(helper, "helper-accepted")
    helper.get_by_role("link", name="行けなくなりました").first.click()
    see(helper, "helper-cannot-come")
    phone.goto(appointment)
    see(phone, "appointment-accepted")
    phone.goto(f"{appointment}/slip")
    see(phone, "slip-helper")
    other = new_phone()
    nobody = ask_for_helper(other, "DIG01", name="山西 和男", reach="none")
    desk = sign_in(tablet, COORDINATOR_LOGIN, "/helpers/roster")
    see(desk, "roster")
    helper.goto("/helpers")
    helper.get_by_role("button", name="ことわる").first.click()
    see(helper, "helper-declined")
    other.goto(nobody)
    see(other, "appointment-nobody")
