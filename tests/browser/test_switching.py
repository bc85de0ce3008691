"""One case over all three ways and back, without JavaScript: nothing is typed twice."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.applying import begin, choose_reach, fill_child_allowance, go_on, open_in_office, send
from tests.browser.conftest import picture
from tests.browser.helping import TANAKA, add_time, sign_in
from tests.browser.residents import book_on_visit_page, hand_over
from tests.stack import STAFF_LOGIN

NAME = "二宮 花子"


def test_online_counter_helper_online_sent_and_the_counter_instead(new_phone: Callable[..., Page]) -> None:
    add_time(
        sign_in(new_phone(javascript=False), TANAKA), weekday="水曜日", start="10:00", end="16:00", venue="KOMINKAN"
    )
    resident = new_phone(javascript=False)
    main = resident.get_by_role("main")
    begin(resident, "CHI02")
    fill_child_allowance(resident, NAME)
    resident.get_by_role("button", name="窓口で続ける").click()
    resident.wait_for_url("**/you")
    expect(resident.get_by_label("お名前")).to_have_value(NAME)
    resident.locator("input[name=reach][value=none]").check(force=True)
    go_on(resident)
    expect(main).to_contain_text(NAME)
    hand_over(resident, answer="はい")
    resident.locator("ul.slots button:enabled").first.click()
    book_on_visit_page(resident)
    # With a time at the counter, on with a helper.
    resident.get_by_role("link", name="ほかのやり方に変える").click()
    resident.wait_for_url("**/ways")
    picture(resident, "switching-ways")
    resident.get_by_role("button", name="スマホのサポーターで続ける").click()
    resident.wait_for_url("**/switched")
    expect(main).to_contain_text("まだそのままです")
    picture(resident, "switching-switched")
    resident.get_by_role("link", name="予約へ進む").click()
    hand_over(resident, answer="はい")
    resident.locator("ul.slots button:enabled").first.click()
    expect(main).to_contain_text("の予約は取り消します")
    picture(resident, "switching-confirm")
    book_on_visit_page(resident)
    # And online after all: everything is filled in.
    resident.get_by_role("link", name="ほかのやり方に変える").click()
    resident.get_by_role("button", name="オンラインで続ける").click()
    resident.get_by_role("link", name="フォームへ進む").click()
    expect(resident.locator("[name=name]")).to_have_value(NAME)
    expect(resident.locator("[name=bank_account_number]")).to_have_value("1234567")
    go_on(resident)
    if resident.url.endswith("/you"):
        choose_reach(resident, "none")
    expect(main).to_contain_text("申請すると取り消します")
    picture(resident, "switching-check")
    number = send(resident, "申請する")
    application = resident.url
    # Sent, and to the counter instead.
    resident.get_by_role("link", name="窓口に行くか、サポーターと続ける").click()
    resident.get_by_role("button", name="役場の窓口で続ける").click()
    expect(main).to_contain_text("送った申請は、そのままです")
    resident.get_by_role("link", name="予約へ進む").click()
    hand_over(resident, answer="はい")
    resident.locator("ul.slots button:enabled").first.click()
    book_on_visit_page(resident)
    resident.goto(application)
    expect(main).to_contain_text("窓口に来ることを、役場に伝えてあります")
    expect(main).to_contain_text("オンライン → 役場の窓口")
    picture(resident, "switching-application")
    desk = sign_in(new_phone(javascript=False), STAFF_LOGIN, "/counter")
    open_in_office(desk, number)
    expect(desk.get_by_role("main")).to_contain_text("ご本人の希望：役場の窓口")
    desk.get_by_role("link", name="ご本人の希望で、やり方を変える").click()
    picture(desk, "switching-office")
