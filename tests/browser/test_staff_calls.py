"""Reaching people: the phone that is called by its number, and the person whom a notice did not reach."""

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import look
from tests.browser.residents import book
from tests.stack import Stack

RENEWED_WITHIN_MS = 25_000


def test_the_phone_says_by_itself_which_number_is_called_and_where(tablet: Page, phone: Page) -> None:
    number = book(phone, name="山下 八重", kana="やました やえ", reach="none", contact="")
    now = phone.locator("#appointment-now")
    row = tablet.locator("#line-now > li").filter(has_text="ヤマシタ ヤエ")
    row.get_by_role("button", name="受け付ける").click()
    ticket = row.locator(".line__number")
    expect(ticket).not_to_contain_text(number)
    expect(now).to_contain_text("お呼びしたら、7番窓口へお越しください", timeout=RENEWED_WITHIN_MS)
    expect(now.locator(".slip__number")).to_have_text(ticket.inner_text().removeprefix("番号").strip())
    look(phone, "phone-checked-in")
    row.get_by_role("button", name="呼び出す").click()
    expect(now).to_contain_text("お呼びしています", timeout=RENEWED_WITHIN_MS)
    expect(now).to_contain_text("7番窓口へお越しください")
    look(phone, "phone-called")
    tablet.goto("/board")
    expect(tablet.locator(".board__number")).to_have_count(1)
    expect(tablet.get_by_role("link", name="本文へとぶ")).to_have_count(1)
    # Nothing to press but what lets the screen be heard.
    expect(tablet.get_by_role("button")).to_have_text(["音声：止まっています。ここを押すと出ます"])
    look(tablet, "board")


def test_whom_no_notice_reached_is_called_with_a_look_at_the_contact(tablet: Page, phone: Page, stack: Stack) -> None:
    httpx.post(f"{stack.sink_url}/behaviour", json={"channel": "sms", "mode": "reject_permanent"}, timeout=5)
    number = book(phone, name="元町 九郎", kana="もとまち くろう", reach="sms", contact="080-9876-5432")
    task = tablet.locator("article").filter(has_text=number)
    for _ in range(40):
        tablet.goto("/notices/unreached")
        if task.count():
            break
        tablet.wait_for_timeout(250)
    expect(task).to_contain_text("児童手当")
    expect(task).to_contain_text("7番窓口")
    expect(task).not_to_contain_text("080-9876-5432")
    look(tablet, "notices-task")
    task.get_by_role("button", name="連絡先を見る").focus()
    tablet.keyboard.press("Enter")
    expect(task.get_by_role("link", name="080-9876-5432")).to_be_visible()
    look(tablet, "notices-contact")
    task.get_by_role("link", name="今日の受付の列で見る").click()
    expect(tablet.locator(".line__row:target")).to_contain_text("モトマチ クロウ")
    tablet.goto("/notices/unreached")
    task.get_by_role("button", name="連絡しました").click()
    expect(tablet.get_by_role("main")).to_contain_text(f"{number}に連絡したことを記録しました")
    expect(task).to_have_count(0)
    look(tablet, "notices-done")
    tablet.get_by_role("button", name="連絡していない状態にもどす").click()
    expect(task).to_have_count(1)
    # The person reads of the look.
    phone.goto("/my/history")
    for _ in range(40):
        if "見ました" in phone.get_by_role("main").inner_text():
            break
        phone.wait_for_timeout(250)
        phone.reload()
    expect(phone.get_by_role("main")).to_contain_text("お知らせが届かないときに職員が連絡するため")
