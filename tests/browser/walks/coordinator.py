"""Who runs the helpers: a week with its gaps, who goes instead, how helpers stand, what is written to them, figures."""

from playwright.sync_api import Page, expect

from tests.browser.helping import SUZUKI, TANAKA, add_time, ask_for_helper, sign_in
from tests.browser.residents import See
from tests.browser.walks.asked import NewPhone
from tests.stack import COORDINATOR_LOGIN


def test_who_runs_the_helpers(new_phone: NewPhone, tablet: Page, see: See) -> None:
    helper = sign_in(new_phone(), TANAKA)
    add_time(helper, weekday="木曜日", start="10:00", end="16:00", venue="KOMINKAN")
    desk = sign_in(tablet, COORDINATOR_LOGIN, "/helpers/roster")
    ask_for_helper(new_phone(), "DIG01", name="山西 和男", reach="none")
    desk.goto("/helpers/roster")
    see(desk, "roster-week")
    desk.get_by_role("link", name="次の週").click()
    expect(desk.get_by_role("main")).to_contain_text("空き")
    see(desk, "roster-next-week")
    desk.goto("/helpers/roster")
    desk.get_by_role("button", name="来られる方みんなに、代わりをお願いする").first.click()
    expect(desk.get_by_role("main")).to_contain_text("代わりを募集しています")
    see(desk, "roster-cover")
    other = sign_in(new_phone(), SUZUKI)
    expect(other.get_by_role("main")).to_contain_text("行ける方をさがしています")
    see(other, "helper-cover")
    address = other.locator("form[action*='/covers/']").first.get_attribute("action")
    other.get_by_role("button", name="代わりに行く").first.click()
    expect(other.get_by_role("main")).to_contain_text("引き受けました")
    other.goto(address or "")
    _the_people(desk, other, see)
    _a_message(desk, see)
    for path, name in (("/helpers/insurance", "insurance"), ("/helpers/figures", "helper-figures")):
        desk.goto(path)
        see(desk, name)
    desk.goto("/helpers/insurance?first=2999-01-01&last=2999-01-02")
    see(desk, "insurance-refused")


def _the_people(desk: Page, other: Page, see: See) -> None:
    desk.goto("/helpers/people")
    see(desk, "people")
    desk.locator("a[href*='/helpers/people/']").first.click()
    see(desk, "person")
    desk.get_by_label("年", exact=True).first.fill("20")
    desk.get_by_role("button", name="保存する").click()
    see(desk, "person-wrong")
    for part, value in (("年", "2026"), ("月", "4"), ("日", "1")):
        desk.get_by_label(part, exact=True).first.fill(value)
    desk.get_by_role("button", name="保存する").click()
    see(desk, "person-kept")
    desk.get_by_label("お休み中").check()
    desk.get_by_role("button", name="状態を変える").click()
    see(desk, "person-unsaid")
    desk.get_by_label("お休み中").check()
    desk.get_by_label("お休みのわけ").select_option("own_wish")
    desk.get_by_role("button", name="状態を変える").click()
    see(desk, "person-suspended")
    other.goto("/helpers")
    see(other, "helper-beside-who-rests")
    desk.get_by_label("活動中").check()
    desk.get_by_role("button", name="状態を変える").click()
    expect(desk.get_by_role("main")).to_contain_text("活動の状態を変えました")


def _a_message(desk: Page, see: See) -> None:
    desk.goto("/helpers/messages")
    see(desk, "helper-messages")
    desk.get_by_role("button", name="送る前に確かめる").click()
    see(desk, "helper-messages-wrong")
    desk.get_by_label("件名").fill("来月の予定")
    desk.get_by_label("本文").fill("来月の、来られる時間を教えてください。")
    desk.get_by_role("button", name="送る前に確かめる").click()
    see(desk, "helper-message-preview")
    desk.get_by_role("button", name="人に送る").click()
    expect(desk.get_by_role("main")).to_contain_text("人に送りました")
    see(desk, "helper-messages-sent")
