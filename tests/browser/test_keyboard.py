"""Without a mouse and without a finger: a resident books, applies online, staff serve, a helper accepts."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.helping import TANAKA, add_time, ask_for_helper, sign_in
from tests.browser.keys import Keys
from tests.browser.residents import book

NewPhone = Callable[..., Page]


def test_the_first_stop_leads_past_the_menu(phone: Page) -> None:
    phone.goto("/")
    keys = Keys(phone)
    phone.keyboard.press("Tab")
    skip = phone.get_by_role("link", name="本文へとぶ")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    phone.keyboard.press("Enter")
    phone.keyboard.press("Tab")
    expect(phone.get_by_role("searchbox")).to_be_focused()
    keys.tab_to(phone.get_by_role("button", name="特大"), back=True)
    phone.keyboard.press("Space")
    expect(phone.locator("html")).to_have_attribute("data-text", "xlarge")


def test_a_counter_is_booked_by_keyboard(phone: Page) -> None:
    keys = Keys(phone)
    phone.goto("/")
    keys.write(phone.get_by_role("searchbox"), "児童手当")
    phone.keyboard.press("Enter")
    keys.press(phone.get_by_role("main").get_by_role("link", name=re.compile("児童手当")).first)
    keys.press(phone.get_by_role("button", name=re.compile("窓口の日にち")))
    phone.wait_for_url("**/you")
    keys.press(phone.get_by_role("button", name="次へ進む"))
    # What is missing is told first, and its link leads to the field.
    expect(phone.locator("[data-error-summary]")).to_be_focused()
    keys.press(phone.locator("[data-error-summary] a"))
    expect(phone.locator("input[name=reach]").first).to_be_focused()
    keys.choose("reach", "none")
    keys.press(phone.get_by_role("button", name="次へ進む"))
    phone.wait_for_url("**/handover")
    keys.press(phone.get_by_role("button", name="次へ進む"))
    phone.wait_for_url("**/pass")
    keys.press(phone.get_by_role("button", name="日にちと時間を選ぶ"))
    phone.wait_for_url("**/booking/visits/*")
    keys.press(phone.locator(".month a.day").nth(1))
    expect(phone.locator("#times")).to_contain_text("11月25日")
    keys.press(phone.locator("ul.slots button:enabled").first)
    phone.wait_for_url("**/confirm")
    keys.press(phone.get_by_role("button", name="予約する"), "Space")
    phone.wait_for_url("**/booking/appointments/*")
    expect(phone.get_by_role("heading", level=1)).to_have_text("予約ができました")


def test_an_application_is_written_and_sent_by_keyboard(phone: Page) -> None:
    keys = Keys(phone)

    def write(name: str, text: str) -> None:
        keys.write(phone.locator(f"[name={name}]"), text)

    def write_day(name: str, era: str, year: str, month: str, day: str) -> None:
        keys.pick(phone.locator(f"select[name={name}_era]"), era)
        for part, text in (("year", year), ("month", month), ("day", day)):
            write(f"{name}_{part}", text)

    phone.goto("/procedures/CHI02")
    keys.press(phone.get_by_role("button", name="オンラインで申しこむ"))
    phone.wait_for_url("**/form")
    write("name", "二宮 花子")
    write_day("birth_date", "S", "63", "4", "5")
    write("address_postal_code", "259-0123")
    write("address_line", "神奈川県中郡二宮町二宮961")
    write("phone", "0463-71-3311")
    write("bank_account_bank", "ちょうど銀行")
    write("bank_account_branch", "二宮支店")
    keys.choose("bank_account_kind", "ordinary")
    write("bank_account_number", "1234567")
    write("bank_account_holder", "ニノミヤ ハナコ")
    write("child_name", "二宮 はじめ")
    write("child_kana", "にのみや はじめ")
    write_day("child_birth_date", "R", "8", "1", "2")
    keys.choose("child_together", "yes")
    keys.press(phone.get_by_role("button", name="次へ進む"))
    phone.wait_for_url("**/you")
    keys.choose("reach", "none")
    keys.press(phone.get_by_role("button", name="次へ進む"))
    phone.wait_for_url("**/check")
    keys.press(phone.get_by_role("button", name="申請する"))
    phone.wait_for_url("**/applications/*")
    # What was folded away opens by keyboard, too.
    keys.press(phone.locator("summary"), "Space")
    expect(phone.get_by_role("button", name="取り下げる")).to_be_visible()
    keys.tab_to(phone.get_by_role("button", name="取り下げる"))


def test_staff_serve_somebody_by_keyboard(tablet: Page, phone: Page) -> None:
    number = book(phone, name="梅沢 花", kana="うめさわ はな", reach="none", contact="")
    keys = Keys(tablet)
    row = tablet.locator(".line__row").filter(has_text="ウメサワ ハナ")
    expect(row).to_be_visible()
    field = tablet.get_by_label("予約番号")
    keys.write(field, number)
    tablet.keyboard.press("Enter")
    expect(row.locator(".badge").first).to_have_text("受付")
    # The next number can be typed at once.
    expect(field).to_be_focused()
    keys.tab_to(row.get_by_role("button", name="呼び出す", exact=True))
    for state, step in (("呼出", "対応を始める"), ("対応中", "対応を終える")):
        tablet.keyboard.press("Enter")
        expect(row.locator(".badge").first).to_have_text(state)
        # Another tablet's look at the line may come first: the next key is for when the step itself is answered.
        expect(row.get_by_role("button", name=step)).to_be_focused()
    keys.press(row.locator("summary"))
    keys.tab_to(row.locator(".line__others button").last)
    keys.tab_to(row.get_by_role("button", name="対応を終える"), back=True)
    tablet.keyboard.press("Enter")
    expect(tablet.locator("#counter-told")).to_be_focused()
    keys.press(tablet.locator("#line-over > summary"))
    expect(row.locator(".badge").first).to_have_text("完了")


def test_a_helper_accepts_and_cannot_come_by_keyboard(phone: Page, new_phone: NewPhone) -> None:
    helper = sign_in(new_phone(), TANAKA)
    add_time(helper, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    card = phone.locator("#channel-helper")
    for _ in range(20):
        phone.goto("/procedures/DIG01")
        if "今日" in card.inner_text():
            break
        phone.wait_for_timeout(250)
    ask_for_helper(phone, "DIG01", name="中里 幸子", reach="none")
    helper.goto("/helpers")
    keys = Keys(helper)
    keys.press(helper.get_by_role("button", name="引き受ける"))
    expect(helper.get_by_role("main")).to_contain_text("引き受けました")
    keys.press(helper.get_by_role("link", name="行けなくなりました"))
    keys.press(helper.get_by_role("button", name="行けなくなりました"))
    expect(helper.get_by_role("main")).to_contain_text("ほかのサポーターにお願いします")
