"""Everything of a move, booked for one visit: chosen, confirmed, moved and cancelled as a whole."""

import re
from collections.abc import Callable
from datetime import datetime

import pytest
from playwright.sync_api import Page, expect

from shared.clock import JST
from tests.browser.conftest import look
from tests.browser.residents import give_name

NewPhone = Callable[..., Page]


@pytest.mark.parametrize("javascript", [True, False], ids=["with_javascript", "without_javascript"])
def test_all_of_a_move_is_done_in_one_visit(new_phone: NewPhone, javascript: bool) -> None:
    resident = new_phone(javascript=javascript)

    def see(name: str) -> None:
        if javascript:
            look(resident, name)

    resident.goto("/life-events/move-in")
    for answer in resident.get_by_role("radio", name="はい").all():
        answer.check(force=True)
    resident.get_by_role("button", name="必要な手続きを見る").click()
    resident.wait_for_url("**/plans/*")
    plan = resident.url
    see("together-plan")
    for box in resident.get_by_role("checkbox").all():
        box.uncheck(force=True)
    resident.get_by_role("button", name="窓口でまとめて予約する").click()
    expect(resident.get_by_role("main")).to_contain_text("2つ以上選んでください")
    see("together-refused")
    resident.goto(plan)
    resident.get_by_role("button", name="窓口でまとめて予約する").click()
    resident.wait_for_url("**/you")
    expect(resident.get_by_role("main")).to_contain_text("いっしょに予約する手続き")
    see("together-you")
    give_name(resident, name="二宮 花子", kana="ニノミヤ ハナコ", reach="none", contact="")
    see("together-handover")
    resident.get_by_role("button", name="すべてわたして次へ進む").click()
    resident.wait_for_url("**/pass")
    see("together-pass")
    resident.get_by_role("button", name="日にちと時間を選ぶ").click()
    resident.wait_for_url("**/chains")
    see("chains")
    # The move comes first, whatever is done after it.
    first = resident.locator("section ol.plan").first.locator("li").first
    expect(first).to_contain_text("転入届")
    resident.get_by_role("checkbox", name="転入届").uncheck(force=True)
    resident.get_by_role("button", name="2人で手分けする").click()
    expect(resident.get_by_role("main")).to_contain_text("いっしょに来る方")
    expect(resident.get_by_role("checkbox", name="転入届")).not_to_be_checked()
    see("chains-of-two")
    resident.get_by_role("link", name="1人でまわる").click()
    resident.get_by_role("button", name="この日にまとめて予約する").first.click()
    resident.wait_for_url("**/chains/confirm")
    expect(resident.get_by_role("main")).to_contain_text("ニノミヤ ハナコさま")
    see("chain-confirm")
    resident.get_by_role("button", name="まとめて予約する", exact=True).click()
    resident.wait_for_url("**/booking/appointments/*")
    appointment = resident.url
    expect(resident.get_by_role("main")).to_contain_text("予約ができました")
    expect(resident.get_by_role("main")).to_contain_text("まとめて予約した手続きは、ぜんぶで8つです")
    expect(resident.get_by_role("link", name=re.compile("^予約 .*を見る$"))).to_have_count(7)
    see("chain-appointment")
    resident.goto(f"{appointment}/slip")
    expect(resident.get_by_role("main")).to_contain_text("前の窓口から、歩いておよそ")
    see("chain-slip")
    resident.goto(appointment)
    resident.get_by_role("link", name="まとめて日時を変える").click()
    resident.wait_for_url("**/move")
    see("chain-move")
    resident.get_by_role("button", name="この日を選ぶ").nth(1).click()
    see("chain-move-chosen")
    resident.get_by_role("button", name="この日時に変える").click()
    expect(resident.get_by_role("main")).to_contain_text("日時を変えました")
    resident.get_by_role("link", name="予約を取り消す").click()
    see("chain-cancel")
    resident.get_by_role("button", name="8つともぜんぶ取り消す").click()
    expect(resident.get_by_role("main")).to_contain_text("この予約は取り消しました")
    expect(resident.get_by_text("（取り消しました）")).to_have_count(8)


def test_a_day_closes_and_one_touch_takes_the_other_times_of_all_of_it(phone: Page, tablet: Page) -> None:
    phone.goto("/life-events/move-in")
    for answer in phone.get_by_role("radio", name="はい").all():
        answer.check(force=True)
    phone.get_by_role("button", name="必要な手続きを見る").click()
    phone.wait_for_url("**/plans/*")
    phone.get_by_role("button", name="窓口でまとめて予約する").click()
    phone.wait_for_url("**/you")
    give_name(phone, name="二宮 次郎", kana="ニノミヤ ジロウ", reach="none", contact="")
    phone.get_by_role("button", name="すべてわたして次へ進む").click()
    phone.wait_for_url("**/pass")
    phone.get_by_role("button", name="日にちと時間を選ぶ").click()
    phone.wait_for_url("**/chains")
    phone.get_by_role("button", name="この日にまとめて予約する").nth(1).click()
    phone.wait_for_url("**/chains/confirm")
    phone.get_by_role("button", name="まとめて予約する", exact=True).click()
    phone.wait_for_url("**/booking/appointments/*")
    appointment = phone.url.partition("?")[0]
    number = appointment.rpartition("/")[2]
    own = phone.request.get(f"/booking/api/appointments/{number}").json()
    tablet.goto("/counter/close")
    tablet.get_by_label("どこを").select_option(own["counter"])
    tablet.get_by_label("どの日から").select_option(
        datetime.fromisoformat(own["starts_at"]).astimezone(JST).date().isoformat()
    )
    tablet.get_by_label("理由").select_option("weather")
    tablet.get_by_role("button", name="だれに関わるかを確かめる").click()
    tablet.get_by_role("button", name="休みにして、お知らせする").click()
    tablet.wait_for_url("**/counter/close/*")
    for _ in range(40):
        phone.goto(appointment)
        if phone.get_by_role("button", name="この時間にぜんぶ決める").count():
            break
        phone.wait_for_timeout(250)
    look(phone, "chain-closed")
    phone.get_by_role("button", name="この時間にぜんぶ決める").click()
    expect(phone.get_by_role("main")).to_contain_text("日時を変えました")
    look(phone, "chain-moved-by-a-closing")
    tablet.get_by_role("button", name="休みを取りやめる").click()
    expect(tablet.get_by_role("main")).to_contain_text("休みを取りやめました")
