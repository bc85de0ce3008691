"""With JavaScript off: what the other journeys (booking, moving out, asking for a helper) leave, is done here."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from shared.web.i18n import LANGUAGES
from tests.browser.applying import (
    begin,
    choose_reach,
    fill_child_allowance,
    fill_person,
    go_on,
    open_in_office,
    send,
)
from tests.browser.helping import SUZUKI, TANAKA, add_time, ask_for_helper, sign_in, who_is_asked
from tests.browser.residents import book_on_visit_page, hand_over
from tests.stack import STAFF_LOGIN, Stack

NewPhone = Callable[..., Page]


def test_the_office_asks_for_a_correction_and_completes(new_phone: NewPhone) -> None:
    resident = new_phone(javascript=False)
    begin(resident, "CHI02")
    go_on(resident)
    expect(resident.locator("[data-error-summary]")).to_be_visible()
    fill_child_allowance(resident, "二宮 花子")
    go_on(resident)
    choose_reach(resident, "none")
    number = send(resident, "申請する")
    application = resident.url
    desk = sign_in(new_phone(javascript=False), STAFF_LOGIN, "/counter")
    open_in_office(desk, number)
    desk.get_by_role("button", name="なおすことをお願いする").click()
    expect(desk.locator("[data-error-summary]")).to_be_visible()
    desk.get_by_label("なおしてほしいところ").fill("生年月日を、もう一度確かめてください。")
    desk.get_by_role("button", name="なおすことをお願いする").click()
    expect(desk.get_by_role("main")).to_contain_text("なおし待ち")
    resident.goto(application)
    resident.get_by_role("link", name="申請をなおす").click()
    resident.locator("[name=child_birth_date_day]").fill("3")
    go_on(resident)
    send(resident, "申請する")
    open_in_office(desk, number)
    for button in ("申請を受け付ける", "手続きを終える"):
        desk.get_by_role("button", name=button).click()
    expect(desk.get_by_role("main")).to_contain_text("いま、できることはありません")
    resident.goto(application)
    expect(resident.get_by_role("heading", level=1)).to_have_text("手続きが終わりました")


def test_a_life_event_becomes_a_plan_and_one_of_it_goes_another_way(new_phone: NewPhone) -> None:
    resident = new_phone(javascript=False)
    resident.goto("/life-events/move-in")
    for answer in resident.get_by_role("radio", name="いいえ").all():
        answer.check(force=True)
    resident.locator("input[name=children][value=yes]").check(force=True)
    resident.get_by_role("button", name="必要な手続きを見る").click()
    resident.wait_for_url("**/plans/*")
    for box in resident.get_by_role("checkbox").all():
        box.uncheck(force=True)
    resident.get_by_role("button", name="選んだ手続きをはじめる").click()
    expect(resident.get_by_role("main")).to_contain_text("ひとつ以上")
    # As it was left: nothing is chosen again by itself.
    expect(resident.locator("input[name=procedure]:checked")).to_have_count(0)
    resident.locator("input[name=procedure][value=CHI02]").check(force=True)
    resident.get_by_role("button", name="選んだ手続きをはじめる").click()
    resident.wait_for_url("**/form")
    fill_person(resident, "富士見 みのり")
    resident.locator("[name=child_name]").fill("富士見 そら")
    resident.get_by_role("button", name="窓口で続ける").click()
    expect(resident.get_by_role("main")).to_contain_text("次のことは、まだ保存していません")
    resident.get_by_role("button", name="フォームにもどる").click()
    expect(resident.locator("[name=name]")).to_have_value("富士見 みのり")
    resident.get_by_role("button", name="窓口で続ける").click()
    resident.wait_for_url("**/you")
    resident.locator("input[name=reach][value=none]").check(force=True)
    go_on(resident)
    hand_over(resident, answer="はい")
    resident.locator("ul.slots button:enabled").first.click()
    book_on_visit_page(resident)
    number = resident.locator(".slip__number, .figure-number").first.inner_text().strip()
    desk = sign_in(new_phone(javascript=False), STAFF_LOGIN, "/counter")
    row = desk.locator("ol.line > li").filter(has_text=number)
    row.get_by_role("link", name="入力された内容を見る").click()
    expect(desk.get_by_role("main")).to_contain_text("〒259-0123")


def test_a_helper_says_when_declines_and_the_other_accepts(new_phone: NewPhone) -> None:
    helpers = [sign_in(new_phone(javascript=False), login) for login in (TANAKA, SUZUKI)]
    for helper in helpers:
        add_time(helper, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    helper = helpers[0]
    add_time(helper, weekday="金曜日", start="10:00", end="12:00", venue="KOMINKAN")
    helper.get_by_role("link", name=re.compile("この時間を消す.*金曜日")).click()
    helper.get_by_role("button", name="この時間を消す").click()
    expect(helper.get_by_role("main")).to_contain_text("消しました")
    helper.get_by_role("link", name="予定のページにもどる").click()
    helper.get_by_role("link", name=re.compile("自分のカレンダー")).click()
    helper.get_by_role("button", name="新しいアドレスを作る").click()
    expect(helper.get_by_label("カレンダーのアドレス")).to_be_visible()
    resident = new_phone(javascript=False)
    appointment = ask_for_helper(resident, "DIG01", name="中里 幸子", reach="none")
    asked = who_is_asked(new_phone, javascript=False)
    asked.get_by_role("button", name="ことわる").click()
    other = who_is_asked(new_phone, javascript=False)
    other.get_by_role("button", name="引き受ける").click()
    other.get_by_role("link", name="行けなくなりました").first.click()
    expect(other.get_by_role("button", name="行けなくなりました")).to_be_visible()
    resident.goto(appointment)
    expect(resident.get_by_role("main")).to_contain_text("サポーターが決まりました")


def test_language_and_text_size_are_kept(new_phone: NewPhone, stack: Stack) -> None:
    page = new_phone(javascript=False)
    page.goto("/procedures/CHI02")
    page.get_by_role("link", name=LANGUAGES["en"].name, exact=True).click()
    expect(page).to_have_url(re.compile("/procedures/CHI02$"))
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.goto("/booking/find")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    # The buttons need JavaScript and are not shown; a size that was chosen before holds, from the first paint.
    expect(page.locator("[data-text-size]").first).to_be_hidden()
    page.context.add_cookies([{"name": "text_size", "value": "xlarge", "url": stack.url}])
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-text", "xlarge")
