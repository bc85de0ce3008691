"""What a resident does, step by step, as the browser tests and the screenshots need it."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

See = Callable[[Page, str], None]


def not_looking(_: Page, __: str) -> None:
    """For journeys whose pages another test looks at."""


def choose_counter(page: Page, procedure: str) -> None:
    """From a procedure's page to the first form."""
    page.goto(f"/procedures/{procedure}")
    page.get_by_role("button", name=re.compile("窓口の日にち")).click()
    page.wait_for_url("**/you")


def give_name(page: Page, *, name: str, kana: str, reach: str, contact: str) -> None:
    """Fill in the first form and go on. `reach` is email, sms or none."""
    if name:
        page.get_by_label("お名前").fill(name)
    if kana:
        page.get_by_label("よみがな").fill(kana)
    page.locator(f"input[name=reach][value={reach}]").check(force=True)
    if reach == "email":
        page.get_by_label(re.compile("メールアドレス")).fill(contact)
    if reach == "sms":
        page.get_by_label(re.compile("携帯電話の番号")).fill(contact)
    page.get_by_role("button", name="次へ進む").click()
    page.wait_for_url("**/handover")


def hand_over(page: Page, *, answer: str) -> None:
    """Answer every item with はい or いいえ (one by one), and carry the pass to booking.

    はい and なにも are one button.
    """
    for_all = page.get_by_role("button", name="すべてわたして次へ進む")
    if not for_all.count():  # nothing to hand over
        page.get_by_role("button", name="次へ進む").click()
    elif answer == "はい":
        for_all.click()
    elif answer == "なにも":
        page.get_by_role("button", name="なにもわたさずに進む").click()
    else:
        page.get_by_text("ひとつずつ選ぶ").click()
        for choice in page.get_by_role("radio", name=re.compile(f"^{answer}")).all():
            choice.check(force=True)
        page.get_by_role("button", name="選んだとおりに次へ進む").click()
    page.wait_for_url("**/pass")
    page.get_by_role("button", name="日にちと時間を選ぶ").click()
    page.wait_for_url("**/booking/visits/*")


def book_on_visit_page(page: Page) -> None:
    """Confirm the held place."""
    page.get_by_role("button", name="予約する").click()
    page.wait_for_url("**/booking/appointments/*")


def book(page: Page, *, name: str, kana: str, reach: str, contact: str, seen: See = not_looking) -> str:
    """The whole way for 児童手当; return the number as it is shown."""
    choose_counter(page, "CHI02")
    seen(page, "you")
    give_name(page, name=name, kana=kana, reach=reach, contact=contact)
    seen(page, "handover")
    hand_over(page, answer="はい")
    seen(page, "visit")
    page.locator("ul.slots button:enabled").first.click()
    page.wait_for_url("**/confirm")
    seen(page, "confirm")
    book_on_visit_page(page)
    seen(page, "appointment")
    expect(page.locator(".slip__number, .figure-number").first).to_be_visible()
    return page.locator(".slip__number, .figure-number").first.inner_text().strip()
