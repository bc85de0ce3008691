"""The main job in a real browser: find, compare, book a counter, change, cancel, be reminded, be served."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import look
from tests.browser.residents import book, book_on_visit_page, choose_counter, give_name, hand_over
from tests.stack import Stack


@pytest.mark.parametrize("words", ["児童手当", "ｼﾞﾄﾞｳﾃｱﾃ", "じどうてあて", "子どもの お金", "child allowance"])
def test_1_a_resident_finds_the_child_allowance_by_any_of_its_names(phone: Page, words: str) -> None:
    phone.goto("/")
    phone.get_by_role("searchbox").fill(words)
    phone.get_by_role("button", name="さがす").click()
    expect(phone.get_by_role("main").get_by_role("link", name=re.compile("児童手当"))).to_be_visible()
    look(phone, "search")


def test_1_a_resident_finds_every_procedure_by_category(phone: Page) -> None:
    phone.goto("/")
    look(phone, "front")
    phone.get_by_role("link", name=re.compile("^子育て")).click()
    look(phone, "category")
    phone.get_by_role("link", name=re.compile("児童手当")).click()
    expect(phone.get_by_role("heading", level=1)).to_have_text(re.compile("児童手当"))
    phone.goto("/")
    phone.get_by_role("link", name=re.compile("すべての手続き")).click()
    # What most people need stands before all others, and once more among them.
    links = phone.get_by_role("main").locator("a[href^='/procedures/']")
    expect(links).to_have_count(35 + 6)
    assert len(set(links.evaluate_all("links => links.map(link => link.pathname)"))) == 35


def test_1_three_channels_stand_side_by_side_with_a_suggestion_and_its_reasons(phone: Page) -> None:
    phone.goto("/procedures/CHI02")
    channels = phone.locator("ul.channels > li")
    expect(channels).to_have_count(3)
    expect(channels.filter(has_text="あなたにおすすめ")).to_have_count(1)
    suggested = channels.filter(has_text="あなたにおすすめ")
    expect(suggested).to_contain_text("おすすめの理由")
    for fact in ("いちばん早くて", "かかる時間", "場所", "お金", "持ちもの"):
        expect(suggested).to_contain_text(fact)
    expect(channels.filter(has_text="準備しています")).to_have_count(0)
    look(phone, "compare")


def test_1_the_earliest_time_comes_from_real_availability(phone: Page) -> None:
    # At a counter that no other test books: after nine, with half an hour's notice, ten o'clock is the next slot.
    phone.goto("/procedures/PEN01")
    counter = phone.locator("ul.channels > li").filter(has_text="役場の窓口")
    expect(counter).to_contain_text(re.compile(r"今日\s*午前10時"))


def test_2_a_counter_is_booked_with_confirmation_by_mail(phone: Page, stack: Stack) -> None:
    address = "hanako.mail@example.jp"
    number = book(phone, name="二宮 花子", kana="にのみや はなこ", reach="email", contact=address, seen=look)
    expect(phone.get_by_role("main")).to_contain_text(number)
    expect(phone.get_by_role("img", name=re.compile("QR|予約番号|番号"))).to_be_visible()
    message = stack.wait_for_messages(1, to=address, channel="email")[-1]
    assert number in message["text"]
    assert message["calendar"], "the confirmation has a calendar file"
    assert "METHOD:REQUEST" in message["calendar"]


def test_2_a_counter_is_booked_with_confirmation_by_sms(phone: Page, stack: Stack) -> None:
    number = book(phone, name="中里 太郎", kana="ナカザト タロウ", reach="sms", contact="０９０－１２３４－５６７８")
    message = stack.wait_for_messages(1, to="09012345678", channel="sms")[-1]
    assert number in message["text"]
    assert "/booking/a/" in message["text"]


def test_2_a_counter_is_booked_with_nothing_but_a_printed_slip(phone: Page) -> None:
    number = book(phone, name="", kana="", reach="none", contact="")
    phone.get_by_role("link", name=re.compile("控えを印刷")).click()
    expect(phone.get_by_role("main")).to_contain_text(number)
    look(phone, "slip")
    with phone.expect_download() as download:
        phone.goto(f"/booking/appointments/{number.replace('-', '')}")
        phone.get_by_role("link", name=re.compile("カレンダー")).click()
    calendar = download.value.path().read_text("utf-8")
    assert "BEGIN:VEVENT" in calendar


def test_2_without_javascript_the_same_journey_works(new_phone: Callable[..., Page]) -> None:
    page = new_phone(javascript=False)
    number = book(page, name="一色 次郎", kana="いっしき じろう", reach="none", contact="")
    expect(page.get_by_role("main")).to_contain_text(number)


def test_2_a_declined_item_changes_nothing_but_the_calling(phone: Page) -> None:
    choose_counter(phone, "CHI02")
    give_name(phone, name="山西 三郎", kana="", reach="none", contact="")
    hand_over(phone, answer="いいえ")
    phone.locator("ul.slots button:enabled").first.click()
    expect(phone.get_by_role("main")).to_contain_text("番号でお呼びします")
    expect(phone.get_by_role("main")).not_to_contain_text("山西")


def test_2_nothing_is_handed_over_with_one_button(phone: Page) -> None:
    choose_counter(phone, "CHI02")
    give_name(phone, name="山西 三郎", kana="ヤマニシ サブロウ", reach="email", contact="nothing@example.jp")
    hand_over(phone, answer="なにも")
    phone.locator("ul.slots button:enabled").first.click()
    expect(phone.get_by_role("main")).to_contain_text("番号でお呼びします")
    book_on_visit_page(phone)
    expect(phone.locator(".slip__number, .figure-number").first).to_be_visible()
    expect(phone.get_by_role("main")).not_to_contain_text("山西")


@pytest.mark.parametrize("javascript", [True, False])
def test_2_back_forward_and_reload_lose_nothing(new_phone: Callable[..., Page], *, javascript: bool) -> None:
    phone = new_phone(javascript=javascript)
    choose_counter(phone, "CHI02")
    give_name(phone, name="川匂 八重", kana="", reach="none", contact="")
    if javascript:
        look(phone, "handover-choices")
    hand_over(phone, answer="はい")
    days, onward = phone.url, phone.get_by_role("button", name="日にちと時間を選ぶ")

    phone.go_back()
    expect(onward).to_be_visible()
    expect(phone).to_have_url(re.compile("/cases/.*/pass$"))
    if javascript:
        look(phone, "pass")
    phone.reload()
    expect(onward).to_be_visible()
    phone.go_back()
    expect(phone).to_have_url(re.compile("/handover$"))
    expect(phone.get_by_role("button", name="すべてわたして次へ進む")).to_be_visible()
    phone.reload()
    phone.go_forward()
    expect(onward).to_be_visible()
    phone.go_forward()
    expect(phone).to_have_url(days)
    phone.reload()

    # The place that is held is found again, however one comes back to it.
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    phone.go_back()
    expect(phone.get_by_role("main")).to_contain_text("をおさえています")
    phone.go_back()
    onward.click()
    expect(phone).to_have_url(days)
    expect(phone.get_by_role("main")).to_contain_text("をおさえています")
    phone.go_back()
    phone.go_back()
    phone.get_by_role("button", name="すべてわたして次へ進む").click()
    onward.click()
    expect(phone).to_have_url(days)
    phone.get_by_role("link", name="この時間で進む").click()
    book_on_visit_page(phone)
    booked = phone.url

    # And what is booked is not booked twice: not by the two pages before, nor by the one with the pass.
    for _ in range(3):
        phone.go_back()
        if onward.count():  # routing has not heard of the booking yet
            onward.click()
        expect(phone).to_have_url(booked)


def test_2_two_residents_want_the_same_place_and_the_second_is_offered_others(
    phone: Page, new_phone: Callable[..., Page]
) -> None:
    # 生活環境 serves one person at a time: one place a slot.
    second = new_phone()
    for page in (phone, second):
        choose_counter(page, "ENV02")
        give_name(page, name="", kana="", reach="none", contact="")
        hand_over(page, answer="はい")
    slot = phone.locator("ul.slots button:enabled").nth(3)
    value = slot.get_attribute("value")
    slot.click()
    expect(phone).to_have_url(re.compile("/confirm"))
    second.locator(f"ul.slots button[value='{value}']").click()
    expect(second.get_by_role("main")).to_contain_text(re.compile("ほかの(方|人)|うまりました|埋まりました"))
    expect(second.locator("ul.slots button:enabled").first).to_be_visible()
    look(second, "taken")


def test_3_an_appointment_is_changed_and_cancelled_from_the_link(
    phone: Page, new_phone: Callable[..., Page], stack: Stack
) -> None:
    address = "change@example.jp"
    number = book(phone, name="緑が丘 四郎", kana="", reach="email", contact=address)
    first = stack.wait_for_message("予約ができました", to=address, channel="email")
    link = re.search(r"http://\S+/booking/a/\S+", first["text"])
    assert link is not None
    other = new_phone()
    other.goto(link.group(0))
    expect(other.get_by_role("main")).to_contain_text(number)
    assert "/booking/a/" not in other.url
    before = other.get_by_role("main").inner_text()
    other.get_by_role("link", name="日時を変える").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("新しい日時を選んでください")
    look(other, "change")
    other.locator("ul.slots button:enabled").last.click()
    other.get_by_role("button", name="この日時に変える").click()
    other.wait_for_url("**/booking/appointments/*?changed=1")
    expect(other.get_by_role("main")).to_contain_text(number)
    assert other.get_by_role("main").inner_text() != before
    # Notices follow the newest state: cancelled at once, the change would never be told.
    stack.wait_for_message("予約を変更しました", to=address, channel="email")
    other.get_by_role("link", name="予約を取り消す").click()
    other.wait_for_url("**/cancel")
    look(other, "cancel")
    other.get_by_role("button", name="予約を取り消す").click()
    other.wait_for_url("**/booking/appointments/*")
    expect(other.get_by_role("main")).to_contain_text(re.compile("取り消し"))
    look(other, "cancelled")
    stack.wait_for_message("予約を取り消しました", to=address, channel="email")


def test_3_an_appointment_is_opened_with_number_and_code(phone: Page, new_phone: Callable[..., Page]) -> None:
    number = book(phone, name="", kana="", reach="none", contact="")
    code = re.search(r"確認コード\s*(\d{6})", phone.get_by_role("main").inner_text())
    assert code is not None
    other = new_phone()
    other.goto("/booking/find")
    look(other, "find")
    other.get_by_label("予約番号").fill(number.lower())
    other.get_by_label("確認コード").fill("000000" if code.group(1) != "000000" else "111111")
    other.get_by_role("button", name="予約を開く").click()
    expect(other.get_by_role("main")).to_contain_text("ちがいます")
    expect(other.get_by_label("予約番号")).to_have_value(re.compile(number.replace("-", ".?"), re.IGNORECASE))
    other.get_by_label("確認コード").fill(code.group(1))
    other.get_by_role("button", name="予約を開く").click()
    expect(other.get_by_role("heading", level=1)).to_be_visible()
    expect(other.get_by_role("main")).to_contain_text(number)


def test_4_staff_see_a_new_booking_without_reload_and_serve_it(tablet: Page, phone: Page) -> None:
    look(tablet, "counter")
    number = book(phone, name="富士見 五子", kana="ふじみ いつこ", reach="none", contact="")
    row = tablet.locator("ol.line > li").filter(has_text="フジミ イツコ")
    expect(row).to_contain_text(number)
    for button, state in (
        ("受け付ける", "受付"),
        ("呼び出す", "呼出"),
        ("対応を始める", "対応中"),
        ("対応を終える", "完了"),
    ):
        row.get_by_role("button", name=button).click()
        expect(row.locator(".badge").first).to_have_text(state)
        expect(tablet.locator("#counter-told")).to_contain_text(re.compile("ました"))
    look(tablet, "counter-served")


def test_4_staff_note_a_no_show_and_take_a_walk_in(tablet: Page, phone: Page) -> None:
    book(phone, name="松根 七子", kana="まつね ななこ", reach="none", contact="")
    row = tablet.locator("ol.line > li").filter(has_text="マツネ ナナコ")
    row.get_by_role("button", name="受け付ける").click()
    row.get_by_role("button", name="呼び出す").click()
    expect(row).to_contain_text("呼出")
    row.get_by_text("ほかの操作").click()
    row.get_by_role("button", name="不在にする").click()
    expect(row).to_contain_text("不在")
    look(tablet, "counter-no-show")
    tablet.get_by_label("手続き").select_option("ENV01")
    tablet.get_by_role("button", name="番号札を出す").click()
    expect(tablet.get_by_role("main")).to_contain_text("番号札")
    look(tablet, "ticket")
    tablet.goto("/counter")
    expect(tablet.locator("ol.line > li").filter(has_text="犬の登録")).to_be_visible()


def test_4_a_resident_may_not_see_the_line(phone: Page) -> None:
    phone.goto("/counter")
    expect(phone).to_have_url(re.compile("/sign-in"))
    look(phone, "sign-in")


def test_5_the_resident_reads_who_used_what(phone: Page) -> None:
    book(phone, name="百合が丘 六子", kana="ゆりがおか むつこ", reach="email", contact="history@example.jp")
    history = phone.get_by_role("main")

    def reload_until(text: str) -> None:
        for _ in range(40):
            phone.goto("/my/history")
            if text in history.inner_text():
                return
            phone.wait_for_timeout(250)
        expect(history).to_contain_text(text)

    # Written by routing (given, shown, agreed), by booking (used for calling), by notifications (used for sending).
    reload_until("お呼びするため")
    reload_until("お知らせを送るため")
    entries = phone.locator("ol.history > li")
    assert entries.count() >= 8
    look(phone, "history")


def test_6_a_reminder_comes_at_its_time_and_not_after_a_cancellation(
    phone: Page, new_phone: Callable[..., Page], stack: Stack
) -> None:
    gone = new_phone()
    number = book(gone, name="", kana="", reach="email", contact="cancelled@example.jp")
    gone.goto(f"/booking/appointments/{number.replace('-', '')}/cancel")
    gone.get_by_role("button", name="予約を取り消す").click()
    gone.wait_for_url("**/booking/appointments/*")
    stack.wait_for_message("予約を取り消しました", to="cancelled@example.jp", channel="email")
    # Booked later, reminded later: when this one has been reminded, the other one's time is past.
    book(phone, name="", kana="", reach="email", contact="reminded@example.jp")
    stack.wait_for_message("予約が近づき", to="reminded@example.jp", channel="email")
    newest = stack.messages(to="cancelled@example.jp", channel="email")[0]
    assert "取り消しました" in newest["subject"]


def test_going_back_after_confirming_makes_no_second_appointment(phone: Page) -> None:
    number = book(phone, name="", kana="", reach="none", contact="")
    phone.go_back()
    phone.go_forward()
    book_again = phone.get_by_role("button", name="予約する")
    if book_again.count():
        book_on_visit_page(phone)
    phone.goto("/my")
    expect(phone.get_by_role("strong").filter(has_text=number)).to_have_count(1)
    look(phone, "my")
