"""Large text, forced colours, the browser's Back, a hold that ran out: what a resident meets who is not like us."""

import re
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import check_fits, find_inaccessible, look, picture
from tests.browser.residents import book, choose_counter, give_name, hand_over


def visit(page: Page, procedure: str = "INS05") -> None:
    choose_counter(page, procedure)
    give_name(page, name="", kana="", reach="none", contact="")
    hand_over(page, answer="はい")


def test_back_after_a_refusal_shows_the_page_again(phone: Page) -> None:
    phone.goto("/booking/find")
    phone.get_by_label("予約番号").fill("K4M-7RXA")
    phone.get_by_label("確認コード").fill("123456")
    phone.get_by_role("button", name="予約を開く").click()
    expect(phone.get_by_role("main")).to_contain_text("ちがいます")
    phone.get_by_role("link", name="さがす").first.click()
    expect(phone).to_have_url(re.compile("/$"))
    phone.go_back()
    expect(phone.get_by_role("main")).to_contain_text("ちがいます")
    expect(phone.get_by_label("確認コード")).to_have_value("")
    phone.go_back()
    expect(phone.get_by_role("main")).not_to_contain_text("ちがいます")


def test_back_to_a_form_that_had_an_error_shows_what_was_kept(phone: Page) -> None:
    choose_counter(phone, "INS05")
    phone.get_by_label("お名前").fill("二宮 花子")
    phone.get_by_role("button", name="次へ進む").click()
    expect(phone.locator("[data-error-summary]")).to_contain_text("ひとつ選んでください")
    phone.locator("input[name=reach][value=none]").check(force=True)
    phone.get_by_role("button", name="次へ進む").click()
    phone.wait_for_url("**/handover")
    phone.go_back()
    phone.wait_for_url("**/you")
    expect(phone.get_by_label("お名前")).to_have_value("二宮 花子")
    expect(phone.locator("[data-error-summary]")).to_have_count(0)


@pytest.mark.parametrize(("percent", "is_list"), [(100, False), (125, False), (150, True), (200, True)])
def test_days_are_a_list_where_a_calendar_would_be_too_narrow(phone: Page, percent: int, is_list: bool) -> None:
    visit(phone)
    phone.evaluate("percent => { document.documentElement.style.fontSize = `${percent}%` }", percent)
    days = phone.locator(".month a.day")
    first, second = days.nth(0), days.nth(1)
    boxes = [box for box in (day.bounding_box() for day in days.all()) if box]
    assert all(box["width"] >= 44 and box["height"] >= 44 for box in boxes), boxes
    above, below = first.bounding_box(), second.bounding_box()
    assert above
    assert below
    assert (below["y"] > above["y"]) == is_list
    # Two digits stand beside each other.
    heights = phone.locator(".month a .day__date").evaluate_all(
        "all => all.map(date => date.getBoundingClientRect().height / parseFloat(getComputedStyle(date).fontSize))"
    )
    assert max(heights) < 2
    check_fits(phone)
    look(phone, f"days-{percent}")


def test_a_qr_code_is_black_on_white_whatever_colours_are_forced(phone: Page) -> None:
    book(phone, name="", kana="", reach="email", contact="forced@example.jp")
    look(phone, "booked-usual")
    phone.emulate_media(forced_colors="active", color_scheme="dark")
    # No axe here: it knows the colours that the style sheet asked for, not those that are forced.
    picture(phone, "booked-forced")
    source = phone.locator(".qr img").get_attribute("src")
    assert source
    assert "fill='#fff'" in unquote(source)
    # Whoever sees colours of their own sees the drawings in them too.
    icon = phone.locator(".choice-link > .icon").first
    assert icon.evaluate("icon => getComputedStyle(icon).color === getComputedStyle(icon.parentElement).color")


def test_a_hold_that_ran_out_says_so_and_books_nothing(phone: Page) -> None:
    phone.clock.install()
    visit(phone)
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    expect(phone.get_by_role("heading", level=1)).to_have_text("この内容で予約しますか")
    widths = [box["width"] for box in (b.bounding_box() for b in phone.locator(".actions button").all()) if box]
    assert max(widths) - min(widths) < 1
    assert min(widths) > 300
    phone.clock.fast_forward("11:00")
    expect(phone.get_by_text("時間がすぎました").first).to_be_visible()
    expect(phone.get_by_text("おさえています")).to_be_hidden()
    expect(phone.get_by_role("button", name="予約する")).to_be_hidden()
    look(phone, "hold-over")
    phone.get_by_role("link", name="もう一度、時間を選ぶ").click()
    expect(phone.get_by_role("main")).to_contain_text("おさえていた時間が過ぎました")


def test_a_second_booking_is_asked_about(new_phone: Callable[..., Page]) -> None:
    phone = new_phone()
    book(phone, name="", kana="", reach="none", contact="")
    choose_counter(phone, "CHI02")
    give_name(phone, name="", kana="", reach="none", contact="")
    hand_over(phone, answer="はい")
    phone.locator("ul.slots button:enabled").first.click()
    expect(phone.get_by_role("main")).to_contain_text(re.compile("この手続きは、.*に予約があります"))
    look(phone, "booked-already")
    phone.get_by_role("button", name="もう一つ予約する").click()
    phone.wait_for_url("**/booking/appointments/*")


def test_what_axe_finds_is_told_with_its_place(phone: Page) -> None:
    phone.set_content("<html lang='ja'><title>町</title><main><h1>町</h1><img id='map' src='data:,'></main></html>")
    (found,) = find_inaccessible(phone)
    assert found.startswith("image-alt: ")
    assert "#map" in found
    phone.locator("#map").evaluate("map => map.alt = '地図'")
    assert not find_inaccessible(phone)
