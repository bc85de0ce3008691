"""Helpers in a real browser: a resident asks for one, a helper accepts or the next one does, and they are told."""

import re
import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import look
from tests.browser.helping import SUZUKI, TANAKA, add_time, ask_for_helper, sign_in, who_is_asked
from tests.stack import COORDINATOR_LOGIN, STAFF_PASSWORD, Stack

FOUND_IN_MS = 15_000


def test_1_helpers_say_when_they_can_come_and_the_compare_page_knows(
    phone: Page, new_phone: Callable[..., Page]
) -> None:
    tanaka = sign_in(new_phone(), TANAKA)
    expect(tanaka.get_by_role("main")).to_contain_text("来られる時間を教えてください")
    look(tanaka, "helper-new")
    # It is Tuesday, ten past nine.
    add_time(tanaka, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    look(tanaka, "helper-shifts")
    suzuki = sign_in(new_phone(), SUZUKI)
    add_time(suzuki, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    card = phone.locator("#channel-helper")
    for _ in range(20):
        phone.goto("/procedures/CHI02")
        if "今日 午前10時" in card.inner_text():
            break
        phone.wait_for_timeout(500)
    expect(card).to_contain_text("今日 午前10時")
    expect(card).to_contain_text("公民館（町民センター 2階）")
    look(phone, "helper-compare")


def test_2_a_helper_is_asked_accepts_and_the_resident_is_told_by_mail(
    phone: Page, new_phone: Callable[..., Page], stack: Stack
) -> None:
    address = "sachiko.helper@example.jp"
    appointment = ask_for_helper(phone, "CHI02", name="中里 幸子", reach="email", contact=address, seen=look)
    look(phone, "helper-asked")
    _wait_for_text(stack, address, "サポーターにお願いしています")

    helper = who_is_asked(new_phone)
    look(helper, "helper-request")
    expect(helper.get_by_role("main")).not_to_contain_text("幸子")
    helper.get_by_role("button", name="引き受ける").first.click()
    expect(helper.get_by_role("main")).to_contain_text("引き受けました")
    expect(helper.get_by_role("main")).to_contain_text("幸子さん")
    expect(helper.get_by_role("main")).not_to_contain_text("中里")
    look(helper, "helper-days")

    found = _wait_for_text(stack, address, "サポーターが決まりました")
    assert "公民館（町民センター 2階）" in found
    phone.goto(appointment)
    expect(phone.get_by_role("main")).to_contain_text("サポーターが決まりました")
    look(phone, "helper-accepted")
    phone.goto("/my")
    expect(phone.get_by_role("main")).to_contain_text("サポーターが決まりました", timeout=FOUND_IN_MS)
    look(phone, "helper-my")
    for _ in range(20):
        phone.goto("/my/history")
        if "サポーターが「お名前」を見ました" in phone.get_by_role("main").inner_text():
            break
        phone.wait_for_timeout(500)
    expect(phone.get_by_role("main")).to_contain_text("サポーターが「お名前」を見ました")


def test_3_who_declines_is_followed_by_the_other_and_then_by_word(
    phone: Page, new_phone: Callable[..., Page], stack: Stack
) -> None:
    address = "kazuo.helper@example.jp"
    appointment = ask_for_helper(phone, "DIG01", name="山西 和男", reach="email", contact=address, slot=2)
    first = who_is_asked(new_phone)
    first.get_by_role("button", name="ことわる").first.click()
    expect(first.get_by_role("main")).to_contain_text("ほかのサポーターにお願いします")
    phone.goto(appointment)
    other = who_is_asked(new_phone)
    other.get_by_role("button", name="引き受ける").first.click()
    expect(other.get_by_role("main")).to_contain_text("和男さん")
    _wait_for_text(stack, address, "サポーターが決まりました")
    # Cannot come after all.
    # The smallest that holds both: the next visit, or a card further down.
    card = other.locator("section.slip, li.card").filter(has_text="和男さん").last
    card.get_by_role("link", name="行けなくなりました").click()
    expect(other.get_by_role("main")).to_contain_text("次のサポーターにお願いします")
    look(other, "helper-cannot-come")
    other.get_by_role("button", name="行けなくなりました").click()
    _wait_for_text(stack, address, "来られるサポーターが見つかりませんでした")
    phone.goto(appointment)
    expect(phone.get_by_role("main")).to_contain_text("サポーターが見つかりませんでした")
    expect(phone.get_by_role("link", name=re.compile("ほかの日時や方法"))).to_be_visible()
    look(phone, "helper-nobody")


def test_4_the_resident_moves_and_cancels(phone: Page, new_phone: Callable[..., Page]) -> None:
    ask_for_helper(phone, "CAR02", name="百合 ゆり", reach="none")
    phone.get_by_role("link", name="日時を変える").click()
    phone.locator("ul.slots button:enabled").last.click()
    phone.get_by_role("button", name="この日時に変える").click()
    expect(phone.get_by_role("main")).to_contain_text("日時を変えました")
    expect(phone.get_by_role("main")).to_contain_text("サポーターにお願いしています")
    phone.get_by_role("link", name="予約を取り消す").click()
    phone.get_by_role("button", name="予約を取り消す").click()
    expect(phone.get_by_role("main")).to_contain_text("この予約は取り消しました")
    for login in (TANAKA, SUZUKI):
        helper = sign_in(new_phone(), login)
        expect(helper.get_by_role("main")).not_to_contain_text("お返事をお願いします")


def test_5_a_helpers_calendar_is_read_without_signing_in(new_phone: Callable[..., Page], stack: Stack) -> None:
    helper = sign_in(new_phone(), TANAKA)
    helper.get_by_role("link", name=re.compile("自分のカレンダーで見る")).click()
    look(helper, "helper-calendar")
    helper.get_by_role("button", name="新しいアドレスを作る").click()
    expect(helper.get_by_label("カレンダーのアドレス")).to_be_visible()
    look(helper, "helper-calendar-made")
    address = helper.get_by_label("カレンダーのアドレス").input_value()
    feed = new_phone().request.get(address)
    assert feed.ok
    text = feed.text()
    assert "BEGIN:VCALENDAR" in text
    assert "幸子" not in text
    assert "和男" not in text


def test_6_without_javascript_a_helper_is_asked_and_accepts(new_phone: Callable[..., Page]) -> None:
    resident = new_phone(javascript=False)
    appointment = ask_for_helper(resident, "CHI02", name="一色 三郎", reach="none")
    helper = who_is_asked(new_phone, javascript=False)
    helper.get_by_role("button", name="引き受ける").first.click()
    expect(helper.get_by_role("main")).to_contain_text("三郎さん")
    resident.goto(appointment)
    expect(resident.get_by_role("main")).to_contain_text("サポーターが決まりました")


def test_7_a_coordinator_asks_another_helper(phone: Page, new_phone: Callable[..., Page]) -> None:
    ask_for_helper(phone, "CHI02", name="二見 恵", reach="none")
    desk = new_phone()
    desk.goto("/helpers/roster")
    desk.get_by_label("ログインID").fill(COORDINATOR_LOGIN)
    desk.get_by_label("パスワード").fill(STAFF_PASSWORD)
    desk.get_by_role("button", name="ログイン").click()
    desk.wait_for_url("**/helpers/roster")
    expect(desk.get_by_role("main")).to_contain_text("田中")
    expect(desk.get_by_role("main")).to_contain_text("鈴木")
    look(desk, "helper-roster")
    waiting = desk.locator("li[id^='request-']").filter(has_text="お返事待ち").first
    waiting.get_by_role("button", name="お願いする", exact=True).click()
    expect(desk.get_by_role("main")).to_contain_text("ほかのサポーターにお願いしました")


def _wait_for_text(stack: Stack, address: str, words: str) -> str:
    """A mail with these words; others (a reminder, say) may come between."""
    deadline = time.monotonic() + FOUND_IN_MS / 1000
    while True:
        texts = [message["text"] for message in stack.messages(to=address, channel="email")]
        found = next((text for text in texts if words in text), None)
        if found is not None:
            return str(found)
        assert time.monotonic() < deadline, texts
        time.sleep(0.1)
