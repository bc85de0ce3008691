"""Every page in its states, looked at closely: residents and helpers at phone size, staff at tablet size."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import get_args
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from litestar.response import Template
from playwright.sync_api import Page, expect

from shared.clock import JST
from tests.browser import asking, drawing
from tests.browser.applying import (
    begin,
    choose_reach,
    fill_child_allowance,
    fill_day,
    fill_person,
    go_on,
    open_in_office,
    send,
)
from tests.browser.desk import check_all, correct_phone, prepare_and_book, scan
from tests.browser.eyes import look_closely
from tests.browser.helping import TANAKA, add_time, ask_for_helper, sign_in
from tests.browser.on_behalf import begin_for, book_earliest, tell
from tests.browser.residents import See, book, book_on_visit_page, choose_counter, give_name, hand_over
from tests.journeys.database import ask, let_die
from tests.stack import COORDINATOR_LOGIN, STAFF_LOGIN, Stack, run_cli
from tests.structure.conftest import Route, apps, environ, routes

__all__ = ["apps", "environ", "routes"]

UNKNOWN = "/no/such/page"
OPERATOR_LOGIN, OFFICER_LOGIN, OFFICE_LOGIN, KIOSK_LOGIN = "unyou", "kanri", "kosodate", "hakkenki"
# A finger of somebody who stands, or sits below: CSS pixels.
TOUCH_MIN = 64

NewPhone = Callable[..., Page]
ExpectStatus = Callable[..., None]


@pytest.fixture(scope="module")
def seen_paths() -> set[str]:
    """Where the walks have been."""
    return set()


@pytest.fixture
def see(seen_paths: set[str]) -> Iterator[See]:
    """Look closely and go on: one run tells all that it found."""
    found: list[str] = []

    def see(page: Page, name: str) -> None:
        seen_paths.add(urlsplit(page.url).path)
        found.extend(look_closely(page, name))

    yield see
    assert not found, "\n".join(found)


def test_before_anybody_came(phone: Page, tablet: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(404)
    for path, name in (
        ("/", "front"),
        ("/search", "search-all"),
        ("/search?q=xyz", "search-nothing"),
        ("/p/NOPE99", "unknown-procedure"),
        ("/e/NOPE99", "unknown-event"),
        ("/search?q=児童", "search-found"),
        ("/procedures/CHI02", "compare"),
        ("/procedures/RES02", "compare-closed"),
        ("/life-events/move-in", "life-event"),
        ("/booking/find", "find"),
        ("/applications/find", "find-application"),
        ("/my", "my-empty"),
        ("/my/history", "history-empty"),
        ("/my/data", "data-empty"),
        ("/my/receipt", "receipt-empty"),
        ("/open-data/ledger", "open-data-empty"),
        ("/quality", "quality-empty"),
        ("/open-data/quality", "quality-data"),
        ("/open-data/ledger/2026-11-23", "open-data-notice"),
        ("/sign-in", "sign-in"),
        (UNKNOWN, "unknown"),
    ):
        phone.goto(path)
        see(phone, name)
    for path, name in (
        ("/counter", "counter-empty"),
        ("/office", "office-empty"),
        ("/helpers/roster", "roster-empty"),
        ("/notices", "notices-empty"),
        ("/board", "board-empty"),
    ):
        tablet.goto(path)
        see(tablet, name)


def test_what_is_refused(phone: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(403)
    phone.goto("/life-events/move-in")
    phone.get_by_role("button", name="必要な手続きを見る").click()
    see(phone, "life-event-refused")
    for path, number, button in (
        ("/booking/find", "予約番号", "予約を開く"),
        ("/applications/find", "受付番号", "申請を開く"),
    ):
        phone.goto(path)
        phone.get_by_label(number).fill("K4M-7RXA")
        phone.get_by_label("確認コード").fill("123456")
        phone.get_by_role("button", name=button).click()
        expect(phone.get_by_role("main")).to_contain_text("ちがいます")
        see(phone, f"refused{path.replace('/', '-')}")
    phone.goto("/counter")
    phone.get_by_label("ログインID").fill("nobody")
    phone.get_by_label("パスワード").fill("nothing")
    phone.get_by_role("button", name="ログイン").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "sign-in-refused")
    sign_in(phone, TANAKA)
    phone.goto("/counter")
    see(phone, "forbidden")


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
    tablet.locator("form[action='/counter/check-in']").get_by_role("button").click()
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


def test_online_from_a_life_event_to_the_end(
    phone: Page, new_phone: NewPhone, tablet: Page, stack: Stack, see: See
) -> None:
    phone.goto("/life-events/move-in")
    for answer in phone.get_by_role("radio", name="はい").all():
        answer.check(force=True)
    phone.get_by_role("button", name="必要な手続きを見る").click()
    phone.wait_for_url("**/plans/*")
    see(phone, "plan")
    for box in phone.get_by_role("checkbox").all():
        box.uncheck(force=True)
    phone.get_by_role("button", name="選んだ手続きをはじめる").click()
    expect(phone.get_by_role("main")).to_contain_text("ひとつ以上")
    see(phone, "plan-refused")
    phone.locator("input[name=procedure][value=RES02]").check(force=True)
    phone.locator("input[name=procedure][value=CHI02]").check(force=True)
    phone.get_by_role("button", name="選んだ手続きをはじめる").click()
    expect(phone.get_by_text("はじめました").first).to_be_visible()
    see(phone, "plan-begun")
    begin(phone, "CHI02")
    see(phone, "form")
    go_on(phone)
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "form-refused")
    phone.locator("[name=child_name]").fill("二宮 はじめ")
    phone.get_by_role("button", name="窓口で続ける").click()
    expect(phone.get_by_role("main")).to_contain_text("次のことは、まだ保存していません")
    see(phone, "switched-unsaved")
    phone.get_by_role("button", name="フォームにもどる").click()
    phone.wait_for_url("**/form")
    fill_child_allowance(phone, "二宮 花子")
    go_on(phone)
    phone.wait_for_url("**/you")
    see(phone, "contact")
    choose_reach(phone, "none")
    see(phone, "check")
    number = send(phone, "申請する")
    see(phone, "application-sent")
    code = phone.locator(".slip__number").nth(1).inner_text().strip()

    begin(phone, "CAR02")
    see(phone, "reuse")
    phone.get_by_text("ひとつずつ選ぶ").click()
    phone.get_by_role("button", name="選んだとおりに次へ進む").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "reuse-refused")
    phone.get_by_role("button", name="すべて使って次へ進む").click()
    phone.wait_for_url("**/form")
    see(phone, "form-reused")
    phone.get_by_role("button", name="窓口で続ける").click()
    phone.wait_for_url(re.compile("/(you|handover|switched)"))
    see(phone, "switched")

    tablet.goto("/office")
    see(tablet, "office")
    open_in_office(tablet, number)
    see(tablet, "office-application")
    tablet.goto(f"{tablet.url}/print")
    see(tablet, "office-print")
    tablet.go_back()
    stale = tablet.context.new_page()
    stale.goto(tablet.url)
    tablet.get_by_role("button", name="なおすことをお願いする").click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "office-refused")
    tablet.get_by_label("なおしてほしいところ").fill("生年月日を、もう一度確かめてください。")
    tablet.get_by_role("button", name="なおすことをお願いする").click()
    expect(tablet.get_by_role("main")).to_contain_text("なおし待ち")
    see(tablet, "office-asked")
    stale.get_by_role("button", name="申請を受け付ける").click()
    expect(stale.get_by_role("alert")).to_be_visible()
    see(stale, "office-stale")
    stale.close()
    phone.goto(f"/applications/{number.replace('-', '')}")
    see(phone, "application-correction")
    elsewhere = new_phone()
    elsewhere.goto("/applications/find")
    elsewhere.get_by_label("受付番号").fill(number)
    elsewhere.get_by_label("確認コード").fill(code)
    elsewhere.get_by_role("button", name="申請を開く").click()
    elsewhere.wait_for_url("**/applications/*")
    see(elsewhere, "application-elsewhere")
    phone.get_by_role("link", name="申請をなおす").click()
    see(phone, "form-correction")
    go_on(phone)
    phone.wait_for_url("**/check")
    send(phone, "申請する")
    open_in_office(tablet, number)
    tablet.get_by_role("button", name="申請を受け付ける").click()
    expect(tablet.get_by_role("main")).to_contain_text("受け付けました")
    phone.reload()
    see(phone, "application-accepted")
    tablet.get_by_role("button", name="手続きを終える").click()
    expect(tablet.get_by_role("main")).to_contain_text("いま、できることはありません")
    see(tablet, "office-completed")
    phone.reload()
    see(phone, "application-completed")

    begin(phone, "RES03")
    phone.get_by_role("button", name="使わずに、はじめから書く").click()
    fill_person(phone, "二宮 花子", phone="090-8765-4321")
    fill_day(phone, "new_address_day", "R", "8", "12", "1")
    phone.locator("[name=new_address_postal_code]").fill("100-0001")
    phone.locator("#g-new_address").get_by_role("button", name="郵便番号から住所を入れる").click()
    line = phone.locator("[name=new_address_line]")
    expect(line).to_have_value("東京都千代田区千代田")
    see(phone, "form-address-found")
    line.fill("東京都千代田区千代田1-1")
    phone.locator("[name=new_address_members_0_name]").fill("二宮 太郎")
    phone.get_by_role("button", name="もうひとり書く").click()
    expect(phone.locator("[name=new_address_members_1_name]")).to_be_visible()
    see(phone, "form-one-more-person")
    go_on(phone)
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "form-half-a-person")
    fill_day(phone, "new_address_members_0_birth_date", "S", "50", "3", "1")
    go_on(phone)
    choose_reach(phone, "none")
    send(phone, "申請する")
    phone.get_by_text("申請を取り下げる").click()
    phone.get_by_role("button", name="取り下げる").click()
    expect(phone.get_by_role("heading", level=1)).to_contain_text("取り下げ")
    see(phone, "application-withdrawn")
    phone.goto("/my")
    see(phone, "my-all")
    phone.goto("/my/history")
    see(phone, "history")
    phone.goto("/my/history?service=notifications")
    see(phone, "history-none-of-these")
    phone.goto("/my/data")
    see(phone, "data")
    phone.locator("#i-phone").get_by_role("button", name="ほかの手続きで使わない").click()
    expect(phone.locator("#i-phone")).to_contain_text("ほかの手続きでは使いません")
    see(phone, "data-stopped")
    phone.locator("#i-name").get_by_role("link", name="なおす").click()
    see(phone, "data-item")
    phone.get_by_role("textbox").fill("")
    phone.get_by_role("button", name="保存する").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "data-item-refused")
    tablet.goto("/office/figures")
    see(tablet, "figures")


def test_a_person_has_their_information_erased(phone: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(422)
    phone.goto("/my/erase")
    see(phone, "erase-nothing")
    book(phone, name="富士見 きえる", kana="フジミ キエル", reach="email", contact="kieru@example.jp")
    address = phone.url
    wait_for_page(phone, "/my/erase", "先に、すませることがあります")
    see(phone, "erase-in-the-way")
    phone.goto(f"{address}/cancel")
    phone.get_by_role("button", name="予約を取り消す").click()
    expect(phone.get_by_role("main")).to_contain_text("取り消しました")
    wait_for_page(phone, "/my/erase", "もとにもどせないことを、わかりました")
    see(phone, "erase")
    phone.get_by_role("button", name="わたしの情報を消す").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "erase-refused")
    phone.locator("[name=understood]").check(force=True)
    phone.get_by_role("button", name="わたしの情報を消す").click()
    phone.wait_for_url("**/erasures/*")
    receipt = urlsplit(phone.url).path
    wait_for_page(phone, receipt, "すべてから消えました")
    see(phone, "erased")
    phone.goto("/my")
    expect(phone.get_by_role("main")).not_to_contain_text("児童手当")


def wait_for_page(page: Page, path: str, words: str) -> None:
    """What one service tells another takes a moment."""
    for _ in range(80):
        page.goto(path)
        if words in page.get_by_role("main").inner_text():
            return
        page.wait_for_timeout(250)
    expect(page.get_by_role("main")).to_contain_text(words)


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


def test_what_is_prepared_at_home(phone: Page, tablet: Page, see: See) -> None:
    phone.goto("/procedures/RES02/sheet")
    see(phone, "blank-sheet")
    number = prepare_and_book(phone, "転入 三郎", "テンニュウ サブロウ", seen=see)
    scan(tablet, number, seen=see)
    see(tablet, "desk")
    check_all(tablet)
    correct_phone(tablet, seen=see)
    tablet.get_by_role("link", name="タブレットで（本人にわたす）").click()
    see(tablet, "desk-confirm")
    tablet.get_by_role("link", name="ちがうところがある").click()
    see(tablet, "desk-not-confirmed")
    tablet.get_by_role("link", name="係の者がなおす").click()
    tablet.get_by_role("link", name="紙に印刷する").click()
    see(tablet, "desk-print")
    tablet.go_back()
    tablet.get_by_role("button", name="紙にサインをもらった").click()
    expect(tablet.get_by_role("main")).to_contain_text("本人に確かめてもらいました")
    see(tablet, "desk-after")


def test_what_staff_enter_on_somebodys_behalf(tablet: Page, see: See) -> None:
    begin_for(tablet, "phone", "counter", seen=see)
    see(tablet, "behalf-you")
    tell(tablet, name="電話 花子", kana="でんわ はなこ")
    see(tablet, "behalf-handover")
    tablet.get_by_role("button", name="「よい」と答えた（すべてわたす）").click()
    book_earliest(tablet, "phone", seen=see)
    see(tablet, "behalf-booked")
    tablet.goto("/office/behalf?q=zzzz")
    see(tablet, "behalf-found-nothing")
    tablet.goto("/office/behalf/CHI02")
    tablet.get_by_role("button", name="この方の入力を始める").click()
    expect(tablet.get_by_role("main")).to_contain_text("電話か、窓口かを選んでください")
    see(tablet, "behalf-refused")


def test_a_family_and_who_is_protected(phone: Page, tablet: Page, new_tablet: NewPhone, stack: Stack, see: See) -> None:
    begin(phone, "CHI02")
    fill_child_allowance(phone, "二宮 花子")
    go_on(phone)
    choose_reach(phone, "none")
    number = send(phone, "申請する")
    begin(phone, "CHI03")
    phone.get_by_text("ご家族の分を申しこむ方").click()
    see(phone, "reuse-for-whom")
    phone.get_by_role("button", name="ご家族の分にする").click()
    phone.wait_for_url("**/family")
    see(phone, "family")
    phone.get_by_role("button", name="選んだとおりに次へ進む").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "family-refused")
    for choice in phone.locator("input[name^=use_][value=yes]").all():
        choice.check(force=True)
    phone.get_by_role("button", name="選んだとおりに次へ進む").click()
    phone.wait_for_url("**/form")
    see(phone, "form-family")
    phone.goto("/my")
    expect(phone.get_by_role("main")).to_contain_text("（ご家族 1 の分）")
    see(phone, "my-family")

    tablet.goto("/office")
    tablet.get_by_role("link", name="支援措置（秘匿）の登録").click()
    see(tablet, "protection-find")
    go_on(tablet)
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "protection-not-found")
    tablet.get_by_label("予約番号か、受付番号").fill(number)
    go_on(tablet)
    tablet.wait_for_url("**/cases/*/protection")
    see(tablet, "protection")
    tablet.get_by_role("button", name="支援措置の方として登録する").click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "protection-refused")
    tablet.locator("input[name=checked]").check(force=True)
    tablet.get_by_role("button", name="支援措置の方として登録する").click()
    expect(tablet.get_by_role("main")).to_contain_text("支援措置の方です")
    see(tablet, "protection-set")

    run_cli(stack.environ, "account", "open", OFFICE_LOGIN, "--town", "143421", "--role", "back_office",
            "--office", "子育て")  # fmt: skip
    office = sign_in(new_tablet(), OFFICE_LOGIN, "/office")
    open_in_office(office, number)
    expect(office.get_by_role("main")).not_to_contain_text("〒259-0123")
    see(office, "office-held-back")
    office.get_by_role("button", name="いま一度だけ開く").click()
    expect(office.locator("[data-error-summary]")).to_be_visible()
    see(office, "office-held-back-unsaid")
    office.locator("input[name=why][value=decide]").check(force=True)
    office.get_by_role("button", name="いま一度だけ開く").click()
    expect(office.get_by_role("main")).to_contain_text("〒259-0123")
    see(office, "office-opened")
    phone.goto(f"/applications/{number.replace('-', '')}")
    expect(phone.get_by_role("main")).not_to_contain_text("〒259-0123")
    see(phone, "application-protected")


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
    helper.get_by_text("行けなくなったとき").click()
    see(helper, "helper-accepted")
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


def test_when_a_counter_is_open(tablet: Page, see: See, expect_status: ExpectStatus) -> None:
    expect_status(422)
    desk = sign_in(tablet, COORDINATOR_LOGIN, "/helpers/roster")
    desk.goto("/counter/opening")
    see(desk, "rules")
    desk.goto("/counter/opening/9")
    see(desk, "rule")
    hours = desk.get_by_label("時間（月曜日）")
    hours.fill("朝から")
    desk.get_by_role("button", name="変わるところを見る").click()
    expect(desk.locator("[data-error-summary]")).to_be_visible()
    see(desk, "rule-refused")
    hours.fill("9:00〜12:00、13:00〜16:00")
    desk.get_by_label("いつもとちがう日").fill("2027-01-05 休み 棚卸しのため")
    desk.get_by_role("button", name="変わるところを見る").click()
    expect(desk.get_by_role("heading", level=1)).to_have_text("受付時間を変える前の確認")
    see(desk, "rule-preview")
    desk.get_by_role("button", name="この受付時間を公開する").click()
    expect(desk.get_by_role("main")).to_contain_text("公開しました。")
    see(desk, "rule-published")
    desk.get_by_role("button", name="取りやめる").click()
    expect(desk.get_by_role("main")).to_contain_text("取りやめました。")


def test_the_machine_in_the_lobby(tablet: Page, stack: Stack, see: See) -> None:
    """Large targets, and in the lower two thirds: for whoever stands, and whoever sits in a wheelchair."""
    run_cli(stack.environ, "account", "open", KIOSK_LOGIN, "--town", "143421", "--role", "kiosk")
    machine = sign_in(tablet, KIOSK_LOGIN, "/kiosk")
    touched = "a, button, input:not([type=hidden]), select"
    looks = [("kiosk", "/kiosk"), ("kiosk-row", "/kiosk?row=さ"), ("kiosk-refused", "/kiosk?refused=kiosk_full")]
    for name, path in [*looks, ("kiosk-procedure", "/kiosk/procedures/RES01")]:
        machine.goto(path)
        see(machine, name)
        boxes = [found.bounding_box() for found in machine.locator(touched).all() if found.is_visible()]
        seen = [box for box in boxes if box is not None and box["y"] >= 0]
        screen = machine.viewport_size
        assert seen
        assert screen
        assert all(box["height"] >= TOUCH_MIN for box in seen), (name, seen)
        assert all(box["y"] >= screen["height"] / 3 for box in seen), (name, seen)
    machine.get_by_role("button", name="番号札をとる").click()
    expect(machine.get_by_role("main")).to_contain_text("2-001")
    see(machine, "kiosk-ticket")
    machine.go_back()
    slots = machine.locator("ul.slots button")
    if slots.count():  # not at night
        slots.first.click()
        expect(machine.get_by_role("heading", level=1)).to_have_text("予約の控え")
        see(machine, "kiosk-slip")
        # Who presses the way back after them finds no slip.
        machine.get_by_role("link", name="おわる").click()
        machine.wait_for_url("**/kiosk")
        machine.go_back()
        expect(machine.get_by_role("heading", level=1)).not_to_have_text("予約の控え")
    # Whoever was there has gone: the next person finds the start.
    machine.clock.install()
    machine.goto("/kiosk/procedures/RES01")
    machine.clock.fast_forward("00:59")
    machine.mouse.click(5, 700)
    machine.clock.fast_forward("00:59")
    expect(machine).to_have_url(re.compile("/kiosk/procedures/RES01$"))
    machine.clock.fast_forward("00:02")
    machine.wait_for_url("**/kiosk")


def test_whom_no_notice_reached(phone: Page, tablet: Page, stack: Stack, see: See) -> None:
    httpx.post(f"{stack.sink_url}/behaviour", json={"channel": "sms", "mode": "reject_permanent"}, timeout=5)
    number = book(phone, name="元町 九郎", kana="", reach="sms", contact="080-9876-5432")
    task = tablet.locator("article").filter(has_text=number)
    for _ in range(40):
        tablet.goto("/notices")
        if task.count():
            break
        tablet.wait_for_timeout(250)
    see(tablet, "notices-task")
    task.get_by_role("button", name="連絡先を見る").click()
    expect(task.get_by_role("link", name="080-9876-5432")).to_be_visible()
    see(tablet, "notices-contact")
    task.get_by_role("button", name="連絡しました").click()
    expect(tablet.get_by_role("main")).to_contain_text("連絡したことを記録しました")
    see(tablet, "notices-done")


def test_what_stopped_between_the_services(phone: Page, new_tablet: NewPhone, stack: Stack, see: See) -> None:
    run_cli(stack.environ, "account", "open", OPERATOR_LOGIN, "--town", "143421", "--role", "operator")
    home = "/routing/dead-letters"
    tablet = sign_in(new_tablet(), OPERATOR_LOGIN, home)
    expect(tablet.get_by_role("main")).to_contain_text("止まっている連絡はありません")
    see(tablet, "dead-letters-none")
    sign_in(phone, OPERATOR_LOGIN, home)
    for service, place in (("routing", "手続き・申請"), ("booking", "予約・窓口"), ("notifications", "お知らせ")):
        first, second, old = uuid4(), uuid4(), uuid4()
        let_die(stack, service, first)
        let_die(stack, service, second)
        let_die(stack, service, old, reason="older_than_inbox")
        for page, size in ((tablet, "tablet"), (phone, "phone")):
            page.goto(home)
            page.get_by_role("main").get_by_role("link", name=place).click()
            page.wait_for_url(f"**/{service}/dead-letters")
            see(page, f"dead-letters-{service}-{size}")
            page.goto(f"/{service}/dead-letters/{second}")
            see(page, f"dead-letter-{service}-{size}")
            page.get_by_role("link", name="捨てる").click()
            page.get_by_role("button", name="捨てる").click()
            expect(page.locator("[data-error-summary]")).to_be_visible()
            see(page, f"dead-letter-refused-{service}-{size}")
            _look_at_one_too_old_to_tell(page, service, old, see, size)
        tablet.goto(f"/{service}/dead-letters/{first}")
        tablet.get_by_role("button", name="やり直す").click()
        told = tablet.locator("main .notice")
        expect(told).to_contain_text(re.compile("やり直しを頼みました|また止まりました"))
        see(tablet, f"dead-letter-asked-{service}")
        for _ in range(40):
            tablet.reload()
            if "また止まりました" in told.inner_text():
                break
            tablet.wait_for_timeout(250)
        expect(told).to_contain_text("unknown_type")
        see(tablet, f"dead-letter-again-{service}")
        phone.goto(f"/{service}/dead-letters/{second}/discard")
        phone.get_by_text("必要なことは、手ですませた").click()
        phone.get_by_role("button", name="捨てる").click()
        expect(phone.get_by_role("main")).to_contain_text("もう処理されません")
        see(phone, f"dead-letter-discarded-{service}")


def _look_at_one_too_old_to_tell(page: Page, service: str, old: UUID, see: See, size: str) -> None:
    page.goto(f"/{service}/dead-letters/{old}")
    see(page, f"dead-letter-old-{service}-{size}")
    page.get_by_role("link", name="確かめてから、やり直す").click()
    page.get_by_role("button", name="やり直す").click()
    expect(page.locator("[data-error-summary]")).to_be_visible()
    see(page, f"dead-letter-old-refused-{service}-{size}")


def test_what_a_resident_asks_about_their_history(
    phone: Page, new_phone: NewPhone, tablet: Page, stack: Stack, see: See
) -> None:
    run_cli(stack.environ, "account", "open", OFFICER_LOGIN, "--town", "143421", "--role", "privacy_officer")
    officer = sign_in(new_phone(), OFFICER_LOGIN, "/office/watch")
    see(officer, "watch-none")
    begin(phone, "CHI02")
    fill_child_allowance(phone, "中里 よしの")
    go_on(phone)
    choose_reach(phone, "none")
    send(phone, "申請する")
    asking.ask(phone, "おぼえがない", see)
    number = asking.ask(phone, "なおしてほしい", see)
    asking.answer(tablet, number, see, "tablet")
    asking.ask_again_and_close(phone, tablet, number, see)
    phone.goto("/my/history")
    see(phone, "history-asked")
    phone.goto("/my/history/print")
    see(phone, "history-print")
    tablet.goto("/office/uses")
    see(tablet, "office-uses")
    asking.look_too_often(tablet)
    asking.look_into(officer, see, "phone")


def test_what_people_say_and_everybody_sees(phone: Page, tablet: Page, stack: Stack, see: See) -> None:
    begin(phone, "CHI02")
    fill_child_allowance(phone, "元町 八重")
    go_on(phone)
    choose_reach(phone, "none")
    number = send(phone, "申請する")
    open_in_office(tablet, number)
    for button in ("申請を受け付ける", "手続きを終える"):
        tablet.get_by_role("button", name=button).click()
    expect(tablet.get_by_role("main")).to_contain_text("いま、できることはありません")
    phone.reload()
    see(phone, "application-may-say")
    phone.get_by_role("link", name="ご意見を送る").click()
    see(phone, "feedback")
    phone.get_by_role("button", name="役場に送る").click()
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    see(phone, "feedback-refused")
    phone.get_by_label("むずかしかった").check(force=True)
    phone.get_by_label("できた", exact=True).check(force=True)
    phone.get_by_role("textbox").fill("口座の書きかたが、わかりませんでした。")
    phone.get_by_role("button", name="役場に送る").click()
    expect(phone.get_by_role("main")).to_contain_text("ご意見を受けとりました")
    see(phone, "feedback-given")
    phone.goto("/my")
    see(phone, "my-said")
    tablet.goto("/office/feedback")
    see(tablet, "office-feedback-list")
    tablet.locator("main table a").first.click()
    see(tablet, "office-feedback")
    tablet.locator("[name=said]").fill("口座のらんに、例がほしい。")
    tablet.locator("[name=answer]").fill("例をのせました。")
    publish = tablet.get_by_role("button", name="だれでも見られるページに出す")
    publish.click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    see(tablet, "office-feedback-unchecked")
    tablet.locator("[name=checked]").check(force=True)
    publish.click()
    expect(tablet.get_by_role("main")).to_contain_text("公開しているもの")
    see(tablet, "office-feedback-published")
    ask(stack, """INSERT INTO routing.quality_count
            (municipality, month, procedure, channel, kind, took_min, people)
        SELECT '143421', month, 'CHI02', channel, kind, 1440, people
        FROM unnest(ARRAY['2026-09-01', '2026-10-01']::date[]) month,
            (VALUES ('online', 24), ('counter', 61), ('helper', 3)) by (channel, people),
            unnest(ARRAY['started', 'sent', 'finished', 'easy', 'hard']) kind""")  # fmt: skip
    tablet.goto("/office/quality")
    tablet.locator("[name=said]").fill("用紙の項目を、2つへらしました。")
    tablet.get_by_role("button", name="だれでも見られるページに出す").click()
    expect(tablet.locator("button[name=remove]")).to_be_visible()
    see(tablet, "office-quality")
    phone.goto("/quality")
    expect(phone.get_by_role("main")).to_contain_text("122人")
    see(phone, "quality")
    tablet.goto("/quality")
    see(tablet, "quality-wide")


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


def test_a_draw(phone: Page, new_phone: NewPhone, tablet: Page, see: See) -> None:
    phone.goto("/booking/draws")
    see(phone, "draws-empty")
    drawing.announce(tablet, "年末の特別相談", seen=see)
    number, code = drawing.enter(phone, seen=see)
    own = new_phone()
    own.goto("/booking/draws")
    see(own, "draws")
    own.get_by_role("link", name="年末の特別相談").click()
    own.wait_for_url("**/booking/draws/*")
    see(own, "draw-open")
    own.get_by_role("link", name="自分の申し込みを見る").click()
    own.get_by_label("抽選番号").fill(number)
    own.get_by_label("確認コード").fill("x")
    own.get_by_role("button", name="申し込みを開く").click()
    expect(own.get_by_role("main")).to_contain_text("ちがいます")
    see(own, "draw-find-refused")
    own.get_by_label("抽選番号").fill(number)
    own.get_by_label("確認コード").fill(code)
    own.get_by_role("button", name="申し込みを開く").click()
    own.wait_for_url("**/entries/*")
    own.get_by_role("button", name="申し込みを取り消す").click()
    expect(own.get_by_role("main")).to_contain_text("この申し込みは取り消しました")
    see(own, "draw-withdrawn")
    tablet.goto("/counter/draws")
    tablet.get_by_role("link", name="「年末の特別相談」を取りやめる").click()
    tablet.wait_for_url("**/call-off")
    see(tablet, "draw-call-off")
    tablet.get_by_role("button", name="抽選を取りやめて、お知らせする").click()
    expect(tablet.get_by_role("main")).to_contain_text("抽選を取りやめました")
    see(tablet, "draw-staff-called-off")
    own.goto("/booking/draws")
    own.get_by_role("link", name="年末の特別相談").click()
    own.wait_for_url("**/booking/draws/*")
    see(own, "draw-called-off")
    own.goto("/open-data/draws")
    see(own, "draws-open-data")


def test_another_system_is_told(tablet: Page, see: See) -> None:
    tablet.goto("/counter/webhooks")
    see(tablet, "webhooks-empty")
    tablet.get_by_label("システムの名前").fill("1階の案内表示")
    tablet.get_by_label("送り先のURL").fill("https://display.example.jp/hook")
    tablet.get_by_label("よびだした").check(force=True)
    tablet.get_by_role("button", name="登録して、秘密の鍵を見る").click()
    expect(tablet.get_by_role("main")).to_contain_text("whsec_")
    see(tablet, "webhook-secret")
    tablet.get_by_role("link", name="写しました。次へ").click()
    tablet.wait_for_url("**/counter/webhooks/*")
    tablet.get_by_role("button", name="試しに送る").click()
    expect(tablet.get_by_role("main")).to_contain_text("試しの通知")
    see(tablet, "webhook")
    tablet.get_by_role("button", name="送るのを止める").click()
    expect(tablet.get_by_role("main")).to_contain_text("送るのを止めています")
    see(tablet, "webhook-paused")
    tablet.goto("/counter/webhooks")
    see(tablet, "webhooks")


def test_the_catalogue_is_edited_looked_at_and_published(tablet: Page, see: See) -> None:
    sign_in(tablet, STAFF_LOGIN, "/counter")
    tablet.goto("/office/catalogue")
    see(tablet, "catalogue")
    tablet.goto("/office/catalogue/procedure")
    see(tablet, "catalogue-list")
    tablet.goto("/office/catalogue/event/edit?key=move-in")
    see(tablet, "catalogue-event")
    tablet.goto("/office/catalogue/procedure/edit?key=RES01")
    see(tablet, "catalogue-procedure")
    tablet.get_by_label("手数料（円）").fill("350")
    tablet.get_by_label("何日先まで予約できるか").fill("170")
    tablet.get_by_role("button", name="保存する（まだ公開しません）").click()
    expect(tablet.locator("#f-v_horizon_days-error")).to_be_visible()
    see(tablet, "catalogue-problem")
    tablet.goto("/office/catalogue/preview")
    see(tablet, "catalogue-no-preview")
    tablet.goto("/office/catalogue/procedure/edit?key=RES01")
    tablet.get_by_label("何日先まで予約できるか").fill("")
    tablet.get_by_role("button", name="保存する（まだ公開しません）").click()
    tablet.goto("/office/catalogue/preview")
    expect(tablet.locator(".practice")).to_contain_text("見本（まだ公開していません）")
    see(tablet, "catalogue-preview")
    tablet.goto("/office/catalogue/preview/search?q=住民票")
    see(tablet, "catalogue-preview-search")
    tablet.goto("/office/catalogue/preview/procedures/RES01")
    expect(tablet.get_by_role("main")).to_contain_text("350円")
    see(tablet, "catalogue-preview-procedure")
    tablet.goto("/office/catalogue/preview/life-events/move-in")
    see(tablet, "catalogue-preview-event")
    tablet.goto("/office/catalogue/history")
    see(tablet, "catalogue-history")
    tablet.goto("/office/catalogue/publish")
    see(tablet, "catalogue-publish")
    tablet.get_by_role("button", name="町の人に公開する").click()
    expect(tablet.get_by_role("main")).to_contain_text("公開を待っています")
    see(tablet, "catalogue-waiting")
    tablet.get_by_role("button", name="公開を取りやめる").click()
    expect(tablet.get_by_role("main")).to_contain_text("公開を取りやめました")


# Pieces of pages, which stand on a page that was looked at.
PIECES = {"/board/now", "/counter/line"}


def test_no_page_was_left_out(seen_paths: set[str], routes: list[Route]) -> None:
    """Comes last: it counts the pages that the walks above came to."""
    pages = {
        route.path
        for route in routes
        if route.method == "GET" and Template in (route.answer, *get_args(route.answer)) and route.path not in PIECES
    }
    left_out = {path for path in pages if not any(route_matches(path, seen) for seen in seen_paths)}
    assert left_out == set()


def test_every_page_can_be_opened_again_by_its_address(seen_paths: set[str], routes: list[Route]) -> None:
    """Whoever reloads by the address line, or keeps it, must not be told that this cannot be done."""
    known = {route.path for route in routes if route.method == "GET"}
    lost = {seen for seen in seen_paths - {UNKNOWN} if not any(route_matches(path, seen) for path in known)}
    assert lost == set()


def route_matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) is not None
