"""Who leaves the time to the town: asked for, looked for, and chosen for by a coordinator."""

from playwright.sync_api import Page, expect

from tests.browser.helping import SUZUKI, add_time, sign_in
from tests.browser.residents import See, give_name, hand_over
from tests.browser.walks.asked import NewPhone
from tests.stack import COORDINATOR_LOGIN


def test_who_leaves_the_time_to_the_town(new_phone: NewPhone, tablet: Page, see: See) -> None:
    helper = sign_in(new_phone(), SUZUKI)
    add_time(helper, weekday="水曜日", start="10:00", end="16:00", venue="KOMINKAN")
    phone = new_phone()
    phone.goto("/procedures/DIG01")
    phone.get_by_role("button", name="サポーターの日時を選ぶ").click()
    phone.wait_for_url("**/you")
    give_name(phone, name="川匂 ハル", kana="", reach="none", contact="")
    hand_over(phone, answer="はい")
    phone.get_by_role("link", name="町にさがしてもらう").click()
    see(phone, "help-ask")
    phone.get_by_role("radio", name="できる人でないと、こまる").check()
    phone.get_by_role("button", name="さがしてもらう").click()
    expect(phone.get_by_role("main")).to_contain_text("サポーターをさがしています")
    see(phone, "help-looked-for")
    desk = sign_in(tablet, COORDINATOR_LOGIN, "/helpers/roster")
    see(desk, "roster-help")
    desk.get_by_role("link", name="このお願いを開く").first.click()
    see(desk, "help-staff")
    desk.get_by_role("radio").first.check()
    desk.get_by_role("button", name="この人にお願いする").click()
    expect(desk.get_by_role("main")).to_contain_text("サポーターにお願いしました")
    see(desk, "help-staff-asked")
    phone.reload()
    expect(phone.get_by_role("main")).to_contain_text("サポーターにお願いしています")
    see(phone, "help-asked")
    phone.get_by_role("button", name="お願いを取り消す").click()
    expect(phone.get_by_role("main")).to_contain_text("このお願いは取り消しました")
    see(phone, "help-withdrawn")
