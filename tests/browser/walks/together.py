"""A helper beside somebody: the rules, the yes and the no, the steps, the way out, and the note."""

from playwright.sync_api import Page, expect

from tests.browser.helping import TANAKA, add_time, ask_for_helper, sign_in
from tests.browser.residents import See
from tests.browser.sitting import begin_meeting
from tests.browser.walks.asked import NewPhone, wait_for_page
from tests.stack import COORDINATOR_LOGIN, Stack

# What one screen tells the other takes a few seconds.
SOON_MS = 20_000


def test_a_helper_beside_somebody(
    phone: Page, new_phone: NewPhone, new_tablet: NewPhone, see: See, stack: Stack
) -> None:
    helper = sign_in(new_phone(), TANAKA)
    # There already, when the walk of the helpers was before.
    if not stack_has_time(helper):
        add_time(helper, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    phone.goto("/together")
    see(phone, "together-none")
    phone.get_by_role("link", name="続きの番号で開く").click()
    see(phone, "resume-together")
    phone.goto("/procedures/CHI02")
    wait_for_page(phone, "/procedures/CHI02", "公民館")
    appointment = ask_for_helper(phone, "CHI02", name="中里 幸子", reach="none")
    wait_for_page(helper, "/helpers", "引き受ける")
    helper.get_by_role("button", name="引き受ける").first.click()
    expect(helper.get_by_role("main")).to_contain_text("引き受けました")
    base = f"/helpers/meetings/{begin_meeting(stack, appointment)}"
    helper.goto(base)
    expect(helper.get_by_role("main")).to_contain_text("いつもご本人の手にあります")
    expect(helper.locator("#steps")).to_contain_text("「はい」を待っています")
    see(helper, "meeting-before")
    phone.goto("/together")
    see(phone, "together-asked")
    phone.get_by_role("link", name="いいえ、見せません").click()
    see(phone, "together-refused")
    phone.get_by_role("button", name="はい、見せます").click()
    expect(phone.get_by_role("main")).to_contain_text("いっしょに進めています")
    see(phone, "together-agreed")
    wait_for_page(helper, base, "同意がありました")
    expect(helper.locator("#steps")).to_contain_text("お名前と連絡のしかた")
    see(helper, "meeting-agreed")
    helper.get_by_role("link", name="どこまで進んだかを見る").click()
    see(helper, "helper-steps")
    phone.get_by_role("button", name="オンラインで、いっしょに進める").click()
    phone.goto("/together")
    see(phone, "together-online")
    _the_same_step(phone, helper, base, see)
    phone.goto("/together")
    phone.get_by_role("button", name="見せるのをやめる").click()
    see(phone, "together-ended")
    helper.goto(base)
    helper.get_by_text("写真の送りかたで止まった").click()
    helper.get_by_label("ひとこと").fill("０９０の１２３４の５６７８です")
    helper.get_by_role("button", name="メモをのこす").click()
    expect(helper.get_by_role("main")).to_contain_text("電話番号のような数字")
    see(helper, "meeting-note-refused")
    helper.get_by_label("ひとこと").fill("字を大きくすると読めた")
    helper.get_by_role("button", name="メモをのこす").click()
    expect(helper.get_by_role("main")).to_contain_text("メモをのこしました")
    see(helper, "meeting-noted")
    phone.goto("/together")
    phone.get_by_role("button", name="はい、見せます").click()
    phone.get_by_role("link", name="手続きの続きを開く").click()
    phone.wait_for_url("**/form")
    _to_the_counter(phone, helper, base, see)
    helper.get_by_role("button", name="来られました", exact=True).click()
    see(helper, "meeting-came")
    desk = sign_in(new_tablet(), COORDINATOR_LOGIN, "/helpers/roster")
    desk.goto(f"/helpers/roster/{base.rsplit('/', 1)[-1]}/notes")
    expect(desk.get_by_role("main")).to_contain_text("字を大きくすると読めた")
    see(desk, "helper-notes")


def _the_same_step(phone: Page, helper: Page, base: str, see: See) -> None:
    """Whatever part of the form is on the person's screen, is explained on the helper's, by itself."""
    helper.goto(base)
    phone.get_by_role("link", name="手続きの続きを開く").click()
    phone.wait_for_url("**/form")
    here = helper.locator("#steps [aria-current=step]")
    expect(here).to_contain_text("申請する方", timeout=SOON_MS)
    phone.locator("#g-child").scroll_into_view_if_needed()
    phone.locator("#g-child input").first.focus()
    expect(here).to_contain_text("お子さん", timeout=SOON_MS)
    see(helper, "meeting-same-step")
    phone.locator("#g-name input").first.focus()
    expect(here).to_contain_text("申請する方", timeout=SOON_MS)


def _to_the_counter(phone: Page, helper: Page, base: str, see: See) -> None:
    """One touch of the helper: the form that lies open leads on by itself; one yes of the person: it is booked."""
    wait_for_page(helper, base, "同意がありました")
    helper.get_by_role("button", name="窓口に切りかえる").click()
    phone.wait_for_url("**/together", timeout=SOON_MS)
    expect(phone.get_by_role("main")).to_contain_text("いちばん早い時間")
    see(phone, "together-earliest")
    wait_for_page(helper, base, "窓口で続けることになりました")
    see(helper, "meeting-switched")
    phone.get_by_role("button", name="はい、この時間にする").click()
    phone.wait_for_url("**/booking/appointments/*")
    expect(phone.get_by_role("main")).to_contain_text("予約ができました")
    see(phone, "together-booked-appointment")
    # By itself.
    expect(helper.get_by_role("main")).to_contain_text("窓口の時間が決まりました", timeout=SOON_MS)
    see(helper, "meeting-taken")
    wait_for_page(phone, "/together", "窓口の時間が決まりました")
    see(phone, "together-taken")


def stack_has_time(helper: Page) -> bool:
    """Whether the helper has said when they can come."""
    helper.goto("/helpers")
    return "来られる時間を教えてください" not in helper.get_by_role("main").inner_text()
