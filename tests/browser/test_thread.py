"""The thread of a case in a real browser: a counter's and an online one, on paper, and on somebody else's device."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.applying import begin, choose_reach, fill_child_allowance, go_on, open_in_office, send
from tests.browser.conftest import picture
from tests.browser.eyes import look_closely
from tests.browser.residents import book
from tests.stack import Stack


def see(page: Page, name: str) -> None:
    """A closer look, which finds nothing."""
    assert look_closely(page, name) == []


def on_paper(page: Page, name: str) -> None:
    """As the printer gets it."""
    page.emulate_media(media="print")
    picture(page, name)
    page.emulate_media(media="screen")


def wait_for_words(page: Page, words: str) -> None:
    """What one service tells another takes a moment."""
    for _ in range(80):
        page.reload()
        if words in page.get_by_role("main").inner_text():
            return
        page.wait_for_timeout(250)
    expect(page.get_by_role("main")).to_contain_text(words)


def test_1_an_appointment_is_followed_on_the_thread_and_opened_elsewhere(
    phone: Page, new_phone: Callable[..., Page], stack: Stack
) -> None:
    address = "thread.counter@example.jp"
    number = book(phone, name="二宮 花子", kana="にのみや はなこ", reach="email", contact=address)
    appointment = phone.url
    phone.get_by_role("button", name="この手続きのながれを見る").click()
    phone.wait_for_url("**/cases/*/thread")
    wait_for_words(phone, "お知らせ「予約の確認」を、メールで送りました")
    expect(phone.get_by_role("main")).to_contain_text("予約をとりました")
    expect(phone.get_by_role("main")).not_to_contain_text("二宮 花子")
    assert address not in phone.content()
    see(phone, "thread-booked")
    thread = phone.url
    phone.get_by_role("link", name="紙に印刷する").click()
    expect(phone.get_by_role("main")).to_contain_text(number)
    see(phone, "thread-print")
    on_paper(phone, "thread-print-paper")
    phone.goto("/my")
    see(phone, "my-cases")
    phone.get_by_role("link", name="ぜんぶを紙に印刷する").click()
    see(phone, "my-print")
    on_paper(phone, "my-print-paper")

    # On another device, by the link of the message: this case, and nothing else.
    link = re.search(r"http://\S+/booking/a/\S+", stack.wait_for_messages(1, to=address, channel="email")[0]["text"])
    assert link is not None
    friend = new_phone(javascript=False)
    friend.goto(link.group(0))
    assert friend.url.startswith(appointment)
    friend.get_by_role("button", name="この手続きのながれを見る").click()
    assert friend.url == thread
    expect(friend.get_by_role("main")).to_contain_text("この手続きだけを開いています")
    friend.goto("/my")
    expect(friend.get_by_role("main")).to_contain_text("リンクや番号で開いた手続き")
    friend.get_by_role("link", name="児童手当").click()
    assert friend.url == thread


def test_2_an_application_ends_with_a_notice_that_asks_how_it_went(
    phone: Page, tablet: Page, new_phone: Callable[..., Page], stack: Stack
) -> None:
    address = "thread.online@example.jp"
    begin(phone, "CHI02")
    fill_child_allowance(phone, "二宮 花子")
    go_on(phone)
    choose_reach(phone, "email", address)
    number = send(phone)
    open_in_office(tablet, number)
    tablet.get_by_role("button", name="申請を受け付ける").click()
    stack.wait_for_messages(2, to=address, channel="email")
    tablet.get_by_role("button", name="手続きを終える").click()
    message = stack.wait_for_messages(3, to=address, channel="email")[0]
    phone.goto("/my")
    phone.get_by_text("終わった手続きを見る").click()
    see(phone, "my-ended")
    phone.get_by_role("link", name="手続きのながれを見る").click()
    expect(phone.get_by_role("main")).to_contain_text("項目を入力しました")
    see(phone, "thread-completed")

    link = re.search(r"http://\S+/feedback", message["text"])
    assert link is not None
    family = new_phone()
    family.goto(link.group(0))
    assert "/a/" not in family.url
    family.get_by_label("かんたんだった").check(force=True)
    family.get_by_label("できた", exact=True).check(force=True)
    family.get_by_role("button", name="役場に送る").click()
    expect(family.get_by_role("main")).to_contain_text("ご意見を受けとりました")
    see(family, "feedback-by-link")


def test_3_what_was_begun_is_given_up(phone: Page) -> None:
    begin(phone, "CHI02")
    phone.goto("/my")
    phone.get_by_role("link", name="手続きのながれを見る").click()
    see(phone, "thread-open")
    phone.get_by_text("この手続きをやめる").click()
    see(phone, "thread-giving-up")
    phone.get_by_role("button", name="やめる").click()
    expect(phone.get_by_role("main")).to_contain_text("この手続きは、やめました")
    see(phone, "thread-closed")
