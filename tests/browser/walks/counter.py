"""From a booking to the end at a counter, and what changes on the way."""

import re
from datetime import datetime

from playwright.sync_api import Locator, Page, expect

from shared.clock import JST
from tests.browser.applying import (
    begin,
    fill_person,
    go_on,
)
from tests.browser.residents import See, book, book_on_visit_page, choose_counter, give_name, hand_over
from tests.browser.walks.asked import (
    ExpectStatus,
    NewPhone,
)


def test_a_counter_from_the_booking_to_the_end(
    phone: Page, new_phone: NewPhone, tablet: Page, see: See, expect_status: ExpectStatus
) -> None:
    expect_status(404)
    choose_counter(phone, "CHI02")
    phone.locator("input[name=reach][value=email]").check(force=True)
    go_on(phone)
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "you-refused")
    number = book(phone, name="二宮 花子", kana="にのみや はなこ", reach="none", contact="", seen=see)
    appointment = phone.url
    for ending in ("slip", "change", "cancel"):
        phone.goto(f"{appointment}/{ending}")
        see(phone, f"appointment-{ending}")
    phone.goto("/my")
    see(phone, "my-booked")
    choose_counter(phone, "CHI02")
    give_name(phone, name="二宮 花子", kana="", reach="none", contact="")
    phone.get_by_text("ひとつずつ選ぶ").click()
    phone.get_by_role("button", name="選んだとおりに次へ進む").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "handover-refused")
    phone.get_by_role("button", name="なにもわたさずに進む").click()
    phone.wait_for_url("**/pass")
    see(phone, "pass")
    phone.get_by_role("button", name="日にちと時間を選ぶ").click()
    phone.wait_for_url("**/booking/visits/*")
    visit = phone.url
    phone.goto(f"{visit}?day=2026-11-28")
    see(phone, "visit-closed-day")
    phone.goto(f"{visit}?lapsed=1")
    expect(phone.get_by_role("main")).to_contain_text("おさえていた時間が過ぎました")
    see(phone, "visit-lapsed")
    phone.goto(visit)
    phone.locator("ul.slots button:enabled").first.click()
    expect(phone.get_by_role("main")).to_contain_text(re.compile("この手続きは、.*に予約があります"))
    see(phone, "booked-already")
    stranger = new_phone()
    stranger.goto(visit)
    see(stranger, "unknown-visit")

    row = tablet.locator("ol.line > li").filter(has_text="ニノミヤ ハナコ")
    see(tablet, "counter-booked")
    tablet.get_by_label("予約番号").fill("ZZZ-ZZZZ")
    tablet.locator("form[action='/counter/check-in']").get_by_role("button", name="受け付ける").click()
    expect(tablet.locator("#counter-told")).to_contain_text("予約が見つかりません")
    see(tablet, "counter-refused")
    for step, state in (
        ("受け付ける", "arrived"),
        ("呼び出す", "called"),
        ("対応を始める", "serving"),
        ("対応を終える", "done"),
    ):
        row.get_by_role("button", name=step, exact=True).click()
        expect(tablet.locator(f".line__row--{state}")).to_have_count(1)
        tablet.locator("#line-over > summary" if state == "done" else ".line__more > summary").click()
        see(tablet, f"counter-{state}")
        phone.goto(appointment)
        see(phone, f"appointment-{state}")
        if state == "called":
            board = tablet.context.new_page()
            board.goto("/board")
            see(board, "board-called")
            board.close()
    see_what_was_paid(tablet, row, see)
    tablet.get_by_label("手続き").select_option("ENV01")
    tablet.get_by_role("button", name="番号札を出す").click()
    tablet.wait_for_url("**/counter/tickets/**")
    see(tablet, "ticket")
    phone.goto(f"{appointment}/slip")
    see(phone, "slip-done")
    assert number in phone.get_by_role("main").inner_text()

    gone = new_phone()
    book(gone, name="", kana="", reach="none", contact="")
    cancelled = gone.url
    gone.goto(f"{cancelled}/cancel")
    gone.get_by_role("button", name="予約を取り消す").click()
    gone.wait_for_url(cancelled)
    see(gone, "appointment-cancelled")


def see_what_was_paid(tablet: Page, row: Locator, see: See) -> None:
    """The end is taken back, and written down once more with a payment."""
    row.get_by_role("button", name="一つ前にもどす").click()
    expect(tablet.locator(".line__row--serving")).to_have_count(1)
    row.get_by_role("link", name="したことと支払いを書いて終える").click()
    tablet.wait_for_url("**/finish*")
    see(tablet, "counter-finish")
    tablet.locator("input[name=means][value=cash]").check(force=True)
    tablet.get_by_label("金額（円）").fill("三百")
    tablet.get_by_role("button", name="対応を終える").click()
    expect(tablet.get_by_role("main")).to_contain_text("金額は、1から999,999までの数で書いてください")
    see(tablet, "counter-finish-refused")
    tablet.get_by_label("金額（円）").fill("300")
    tablet.get_by_role("button", name="対応を終える").click()
    expect(tablet.locator("#counter-told")).to_contain_text("対応を終えました")
    tablet.get_by_role("link", name="会計の合計").click()
    expect(tablet.get_by_role("main")).to_contain_text("300円")
    see(tablet, "counter-cash")
    tablet.goto("/counter/cash?day=2026-11-02")
    see(tablet, "counter-cash-empty")
    tablet.goto("/counter")


def test_somebody_is_sent_to_another_counter(tablet: Page, see: See) -> None:
    tablet.goto(
        "/counter/offline"
    )  # what stands in for a page without network; filled in by tests/browser/test_offline.py
    see(tablet, "counter-offline")
    tablet.goto("/counter")
    tablet.get_by_label("手続き").select_option("ENV01")
    tablet.get_by_role("button", name="番号札を出す").click()
    tablet.wait_for_url("**/counter/tickets/**")
    tablet.goto("/counter")
    row = tablet.locator("#line-now > li").filter(has_text="犬の登録").last
    row.locator(".line__more > summary").click()
    see(tablet, "counter-more")
    row.get_by_role("link", name="ほかの窓口へ送る").click()
    tablet.wait_for_url("**/transfer**")
    see(tablet, "transfer")
    tablet.get_by_role("radio", name=re.compile("^1番")).check(force=True)
    tablet.get_by_role("radio", name="その他").check(force=True)
    tablet.get_by_role("button", name="この窓口へ送る").click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "transfer-refused")
    tablet.get_by_role("textbox", name="伝言").fill("鑑札を、あとで渡します")
    tablet.get_by_role("button", name="この窓口へ送る").click()
    expect(tablet.locator("#counter-told")).to_contain_text("を1番へ送りました")
    tablet.locator("#line-recent > summary").click()
    see(tablet, "counter-sent")
    tablet.get_by_label("予約番号").fill("いぬ")
    see(tablet, "counter-nobody-found")


def test_what_was_given_stands_beside_the_line(phone: Page, tablet: Page, see: See) -> None:
    begin(phone, "CHI02")
    fill_person(phone, "富士見 みのり")
    phone.get_by_role("button", name="窓口で続ける").click()
    phone.wait_for_url("**/you")
    phone.locator("input[name=reach][value=none]").check(force=True)
    go_on(phone)
    phone.wait_for_url("**/handover")
    see(phone, "handover-after-form")
    hand_over(phone, answer="はい")
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    book_on_visit_page(phone)
    tablet.goto("/counter")
    given = tablet.get_by_role("link", name="入力された内容を見る").first
    given.click()
    expect(tablet.get_by_text("〒259-0123")).to_be_visible()
    see(tablet, "counter-given")
    tablet.goto(given.get_attribute("href") or "")
    see(tablet, "given-page")


def test_a_day_is_closed(phone: Page, tablet: Page, see: See) -> None:
    number = book(phone, name="釜野 みちよ", kana="", reach="none", contact="")
    own = phone.request.get(f"/booking/api/appointments/{number.replace('-', '')}").json()
    day = datetime.fromisoformat(own["starts_at"]).astimezone(JST).date()
    tablet.goto("/counter/close")
    see(tablet, "close")
    tablet.get_by_label("どこを").select_option(own["counter"])
    tablet.get_by_label("どの日から").select_option(day.isoformat())
    tablet.get_by_label("理由").select_option("weather")
    tablet.get_by_role("button", name="だれに関わるかを確かめる").click()
    expect(tablet.get_by_role("main")).to_contain_text(number)
    see(tablet, "close-preview")
    tablet.get_by_role("button", name="休みにして、お知らせする").click()
    tablet.wait_for_url("**/counter/close/*")
    for _ in range(40):
        phone.goto(f"/booking/appointments/{number.replace('-', '')}")
        if phone.get_by_role("button", name="この時間に決める").count():
            break
        phone.wait_for_timeout(250)
    see(phone, "appointment-closed")
    tablet.reload()
    expect(tablet.get_by_role("main")).to_contain_text(number)
    see(tablet, "closing")
    tablet.get_by_role("button", name="休みを取りやめる").click()
    expect(tablet.get_by_role("main")).to_contain_text("休みを取りやめました")
    see(tablet, "closing-reopened")


def test_an_earlier_time(phone: Page, tablet: Page, see: See) -> None:
    book(phone, name="一色 さち", kana="", reach="email", contact="hayai@example.jp")
    own = phone.url
    phone.goto(f"{own}/change?view=list")
    phone.locator("ul.slots button:enabled").last.click()
    phone.get_by_role("button", name="この日時に変える").click()
    phone.wait_for_url("**/booking/appointments/*")
    phone.get_by_role("link", name="もっと早い時間があいたら知らせてほしい").click()
    see(phone, "earlier")
    phone.get_by_label("いつから").select_option(index=1)
    phone.get_by_label("いつまで").select_option(index=0)
    phone.get_by_role("button", name="知らせてほしい").click()
    expect(phone.get_by_role("main")).to_contain_text("この選びかたでは、お待ちいただけません")
    see(phone, "earlier-refused")
    phone.goto(f"{own}/earlier")
    phone.get_by_role("button", name="知らせてほしい").click()
    expect(phone.get_by_role("main")).to_contain_text("早い時間があいたら、お知らせします")
    see(phone, "earlier-waits")
    tablet.goto("/counter")
    expect(tablet.get_by_role("main")).to_contain_text("もっと早い時間を待っている方")
    see(tablet, "counter-waits")
    for _ in range(40):
        phone.goto(own)
        if phone.get_by_role("button", name="この時間はいらない").count():
            break
        phone.wait_for_timeout(250)
    see(phone, "appointment-earlier")
    phone.get_by_role("button", name="この時間に決める").click()
    expect(phone.get_by_role("main")).to_contain_text("日時を変えました")
    see(phone, "appointment-earlier-taken")


def test_one_visit_for_everything(phone: Page, see: See) -> None:
    phone.goto("/life-events/move-in")
    for answer in phone.get_by_role("radio", name="はい").all():
        answer.check(force=True)
    phone.get_by_role("button", name="必要な手続きを見る").click()
    phone.wait_for_url("**/plans/*")
    phone.get_by_role("button", name="窓口でまとめて予約する").click()
    phone.wait_for_url("**/you")
    give_name(phone, name="二宮 花子", kana="ニノミヤ ハナコ", reach="none", contact="")
    phone.get_by_role("button", name="すべてわたして次へ進む").click()
    phone.wait_for_url("**/pass")
    phone.get_by_role("button", name="日にちと時間を選ぶ").click()
    phone.wait_for_url("**/chains")
    see(phone, "chains")
    phone.get_by_role("button", name="この日にまとめて予約する").first.click()
    phone.wait_for_url("**/chains/confirm")
    see(phone, "chain-confirm")
    phone.get_by_role("button", name="まとめて予約する", exact=True).click()
    phone.wait_for_url("**/booking/appointments/*")
    phone.get_by_role("link", name="まとめて日時を変える").click()
    phone.wait_for_url("**/move")
    see(phone, "chain-move")
