"""What helpers do on their phones, and what a resident does who asks for one."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.residents import See, book_on_visit_page, give_name, hand_over, not_looking
from tests.stack import HELPERS, STAFF_PASSWORD

TANAKA, SUZUKI = (login for login, _, _ in HELPERS)


def sign_in(page: Page, login: str, home: str = "/helpers") -> Page:
    """As a helper, who is led to their days."""
    page.goto("/sign-in")
    page.get_by_label("ログインID").fill(login)
    page.get_by_label("パスワード").fill(STAFF_PASSWORD)
    page.get_by_role("button", name="ログイン").click()
    page.wait_for_url(f"**{home}")
    return page


def add_time(page: Page, *, weekday: str, start: str, end: str, venue: str) -> None:
    page.goto("/helpers/shifts")
    page.get_by_label(re.compile("^曜日")).select_option(label=weekday)
    page.get_by_label(re.compile("^始まり")).select_option(label=start)
    page.get_by_label(re.compile("^終わり")).select_option(label=end)
    page.get_by_label(re.compile("^場所")).select_option(venue)
    page.get_by_role("button", name="この時間を登録する").click()
    expect(page.get_by_role("main")).to_contain_text("登録しました")


def ask_for_helper(
    page: Page, procedure: str, *, name: str, reach: str, contact: str = "", slot: int = 0, seen: See = not_looking
) -> str:
    """From the compare page to an appointment with a helper; return its address."""
    page.goto(f"/procedures/{procedure}")
    page.get_by_role("button", name="サポーターの日時を選ぶ").click()
    page.wait_for_url("**/you")
    give_name(page, name=name, kana="", reach=reach, contact=contact)
    expect(page.get_by_role("main")).to_contain_text("下のお名前だけ")
    hand_over(page, answer="はい")
    expect(page.get_by_role("heading", level=1)).to_contain_text("サポーターと会う")
    seen(page, "helper-visit")
    page.locator("ul.slots button:enabled").nth(slot).click()
    page.wait_for_url("**/confirm")
    seen(page, "helper-confirm")
    book_on_visit_page(page)
    expect(page.get_by_role("main")).to_contain_text("サポーターにお願いしています")
    return page.url


def who_is_asked(new_phone: Callable[..., Page], *, javascript: bool = True) -> Page:
    """The phone of the helper who has a request to answer."""
    for login in (TANAKA, SUZUKI):
        page = sign_in(new_phone(javascript=javascript), login)
        if page.get_by_role("button", name="引き受ける").count():
            return page
    raise AssertionError("nobody was asked")
