"""Online in a real browser: fill in, reuse item by item, send, be told; the office's tablet; switching on the way."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

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
from tests.browser.conftest import look
from tests.browser.residents import book_on_visit_page, hand_over
from tests.stack import Stack

REASON = "お子さんの生年月日を、もう一度確かめてください。"


def test_1_a_resident_applies_is_asked_corrects_and_is_told_each_time(phone: Page, tablet: Page, stack: Stack) -> None:
    address = "online@example.jp"
    begin(phone, "CHI02")
    look(phone, "online-form")
    go_on(phone)
    expect(phone.locator("[data-error-summary]")).to_be_visible()
    look(phone, "online-form-errors")
    fill_child_allowance(phone, "二宮 花子")
    go_on(phone)
    phone.wait_for_url("**/you")
    look(phone, "online-contact")
    choose_reach(phone, "email", address)
    expect(phone.get_by_role("main")).to_contain_text("1988年4月5日（昭和63年）")
    look(phone, "online-check")
    number = send(phone)
    look(phone, "online-application")
    message = stack.wait_for_messages(1, to=address, channel="email")[0]
    assert number in message["text"]
    # Back and again makes no second application.
    phone.go_back()
    phone.goto("/my")
    expect(phone.get_by_role("strong").filter(has_text=number)).to_have_count(1)
    look(phone, "online-my")

    tablet.goto("/office")
    look(tablet, "office")
    open_in_office(tablet, number)
    expect(tablet.get_by_role("main")).to_contain_text("二宮 花子")
    look(tablet, "office-application")
    tablet.get_by_label("なおしてほしいところ").fill(REASON)
    tablet.get_by_role("button", name="なおすことをお願いする").click()
    expect(tablet.get_by_role("main")).to_contain_text("なおし待ち")
    asked = stack.wait_for_messages(2, to=address, channel="email")[0]
    assert "なおしてほしい" in asked["subject"]
    assert REASON not in asked["text"], "what the office writes stays in routing"

    link = re.search(r"http://\S+/a/\S+", asked["text"])
    assert link is not None
    phone.goto(link.group(0))
    expect(phone.get_by_role("main")).to_contain_text(REASON)
    assert "/a/" not in phone.url
    look(phone, "online-correction")
    phone.get_by_role("link", name="申請をなおす").click()
    phone.locator("[name=child_birth_date_day]").fill("3")
    go_on(phone)
    phone.wait_for_url("**/check")
    send(phone)
    stack.wait_for_messages(3, to=address, channel="email")

    open_in_office(tablet, number)
    expect(tablet.get_by_role("main")).to_contain_text("2026年1月3日")
    tablet.get_by_role("button", name="申請を受け付ける").click()
    # Told first: what is overtaken before it was sent is not told any more.
    stack.wait_for_messages(4, to=address, channel="email")
    tablet.get_by_role("button", name="手続きを終える").click()
    expect(tablet.get_by_role("main")).to_contain_text("いま、できることはありません")
    look(tablet, "office-completed")
    messages = stack.wait_for_messages(5, to=address, channel="email")
    assert "終わりました" in messages[0]["subject"]
    phone.reload()
    expect(phone.get_by_role("heading", level=1)).to_have_text("手続きが終わりました")


def test_1_what_was_given_before_is_used_again_item_by_item(phone: Page) -> None:
    begin(phone, "CHI02")
    fill_child_allowance(phone, "百合が丘 ひかり")
    go_on(phone)
    choose_reach(phone, "none")
    send(phone, "申請する")
    begin(phone, "CAR02")
    expect(phone).to_have_url(re.compile("/reuse"))
    expect(phone.get_by_role("main")).to_contain_text("百合が丘 ひかり")
    look(phone, "online-reuse")
    phone.get_by_text("ひとつずつ選ぶ").click()
    for item, answer in (("name", "yes"), ("birth_date", "no"), ("address", "yes")):
        phone.locator(f"input[name=use_{item}][value={answer}]").check(force=True)
    look(phone, "online-reuse-each")
    phone.get_by_role("button", name="選んだとおりに次へ進む").click()
    expect(phone.locator("[name=name]")).to_have_value("百合が丘 ひかり")
    expect(phone.locator("[name=address_postal_code]")).to_have_value("259-0123")
    expect(phone.locator("[name=birth_date_year]")).to_have_value("")
    look(phone, "online-form-reused")
    fill_day(phone, "birth_date", "S", "63", "4", "5")
    go_on(phone)
    choose_reach(phone, "none")
    send(phone, "申請する")
    for _ in range(40):
        phone.goto("/my/history")
        if "この申請に使うことを認めました" in phone.get_by_role("main").inner_text():
            break
        phone.wait_for_timeout(250)
    main = phone.get_by_role("main")
    expect(main).to_contain_text("この申請に使わないことにしました")
    expect(main).to_contain_text("もう一度書かずにすみました")
    look(phone, "online-history")


def test_1_moving_out_without_javascript(new_phone: Callable[..., Page], stack: Stack) -> None:
    page = new_phone(javascript=False)
    begin(page, "RES03")
    fill_person(page, "山西 しずか", phone="090-8765-4321")
    fill_day(page, "new_address_day", "R", "8", "12", "1")
    page.locator("[name=new_address_postal_code]").fill("100-0001")
    page.locator("[name=new_address_line]").fill("東京都千代田区千代田1-1")
    go_on(page)
    page.wait_for_url("**/you")
    # The number that was just given can be the one for messages: it stands there already.
    page.locator("input[name=reach][value=sms]").check(force=True)
    expect(page.locator("[name=phone]")).to_have_value("090-8765-4321")
    go_on(page)
    number = send(page)
    message = stack.wait_for_messages(1, to="09087654321", channel="sms")[0]
    assert number in message["text"]
    assert "/a/" in message["text"]


def test_3_halfway_to_the_counter_and_back_nothing_is_asked_again(phone: Page, tablet: Page) -> None:
    begin(phone, "CHI02")
    fill_person(phone, "富士見 みのり")
    phone.locator("[name=child_name]").fill("富士見 そら")
    phone.get_by_role("button", name="窓口で続ける").click()
    expect(phone.get_by_role("main")).to_contain_text("次のことは、まだ保存していません")
    expect(phone.get_by_role("main")).to_contain_text("お子さん")
    look(phone, "online-switched")
    phone.get_by_role("link", name="予約へ進む").click()
    phone.wait_for_url("**/you")
    expect(phone.get_by_label("お名前")).to_have_value("富士見 みのり")
    phone.locator("input[name=reach][value=none]").check(force=True)
    go_on(phone)
    phone.wait_for_url("**/handover")
    look(phone, "online-handover")
    phone.get_by_role("button", name="オンラインで続ける").click()
    phone.wait_for_url("**/form")
    expect(phone.locator("[name=name]")).to_have_value("富士見 みのり")
    expect(phone.locator("[name=address_postal_code]")).to_have_value("259-0123")
    phone.get_by_role("button", name="窓口で続ける").click()
    phone.wait_for_url("**/handover")
    hand_over(phone, answer="はい")
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    book_on_visit_page(phone)
    number = phone.locator(".slip__number, .figure-number").first.inner_text().strip()

    tablet.goto("/counter")
    row = tablet.locator("ol.line > li").filter(has_text=number)
    row.get_by_role("link", name="入力された内容を見る").click()
    expect(row).to_contain_text("〒259-0123")
    expect(row).to_contain_text("1988年4月5日")
    expect(tablet).to_have_url(re.compile("/counter$"))
    look(tablet, "counter-given")
    row.get_by_role("button", name="受け付ける").click()
    tablet.wait_for_url("**/counter")
    # The line goes on living: what was opened stays open until the page is left.
    plain = tablet.context.new_page()
    plain.goto(row.get_by_role("link", name="入力された内容を見る").get_attribute("href") or "")
    expect(plain.get_by_role("heading", level=1)).to_have_text("入力された内容")
    look(plain, "office-given")
    plain.close()
