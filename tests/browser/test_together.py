"""Two phones of 360 px side by side: the helper's follows the person's, without either being loaded again."""

from playwright.sync_api import Page, expect

from tests.browser.applying import fill_child_allowance, go_on
from tests.browser.conftest import look
from tests.browser.helping import TANAKA, add_time, ask_for_helper, sign_in
from tests.browser.sitting import begin_meeting
from tests.browser.walks.asked import NewPhone, wait_for_page
from tests.stack import Stack

NAME = "二宮 花子"


def test_agree_steps_follow_and_on_at_the_counter(phone: Page, new_phone: NewPhone, stack: Stack) -> None:
    helper = sign_in(new_phone(), TANAKA)
    add_time(helper, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    wait_for_page(phone, "/procedures/CHI02", "今日")
    appointment = ask_for_helper(phone, "CHI02", name=NAME, reach="none")
    wait_for_page(helper, "/helpers", "引き受ける")
    helper.get_by_role("button", name="引き受ける").first.click()
    base = f"/helpers/meetings/{begin_meeting(stack, appointment)}"
    helper.goto("/helpers")
    helper.get_by_role("link", name="この方のページを開く").click()
    helper.wait_for_url(f"**{base}")
    steps = helper.locator("#steps")
    expect(steps).to_contain_text("「はい」を待っています")
    look(helper, "together-helper-waits")

    # What the QR code says.
    phone.goto("/together")
    look(phone, "together-asked")
    phone.get_by_role("button", name="はい、見せます").click()
    expect(steps).to_contain_text("日にちと時間")

    phone.get_by_role("button", name="オンラインで、いっしょに進める").click()
    phone.get_by_role("link", name="フォームへ進む").click()
    expect(steps).to_contain_text("いまのところ：申請する方")
    fill_child_allowance(phone, NAME)
    # Kept as they type: the helper's screen goes on by itself, and says nothing of what they typed.
    go_on(phone)
    expect(steps).to_contain_text("確かめて送る")
    expect(steps.locator("[aria-current=step]")).not_to_contain_text("申請する方")
    look(helper, "together-helper-follows")
    for typed in (NAME, "花子", "961", "1234567", "はじめ"):
        expect(steps).not_to_contain_text(typed)

    # It does not work out: one touch, and the person's page knows.
    phone.goto("/together")
    helper.get_by_role("button", name="窓口に切りかえる").click()
    expect(helper.get_by_role("main")).to_contain_text("町に伝えました")
    wait_for_page(helper, base, "窓口で続けることになりました")
    expect(helper.get_by_role("main")).to_contain_text("いちばん早い時間")
    yes = phone.get_by_role("button", name="はい、この時間にする")
    expect(yes).to_be_visible()
    expect(phone.get_by_role("main")).to_contain_text(NAME)
    look(phone, "together-to-the-counter")
    yes.click()
    expect(phone.get_by_role("main")).to_contain_text("予約ができました")
    wait_for_page(helper, base, "窓口の時間が決まりました")
    look(helper, "together-helper-after")
