"""What a resident who applies online does, step by step, and what the office opens."""

import re

from playwright.sync_api import Page


def begin(page: Page, procedure: str) -> None:
    """From a procedure's page to its online form, or to what may be used again."""
    page.goto(f"/procedures/{procedure}")
    page.get_by_role("button", name="オンラインで申しこむ").click()
    page.wait_for_url(re.compile(r"/cases/[\w-]+/(form|reuse)"))


def fill_day(page: Page, name: str, era: str, year: str, month: str, day: str) -> None:
    page.locator(f"select[name={name}_era]").select_option(era)
    for part, text in (("year", year), ("month", month), ("day", day)):
        page.locator(f"input[name={name}_{part}]").fill(text)


def fill_person(page: Page, name: str, phone: str | None = "0463-71-3311") -> None:
    page.get_by_role("textbox", name=re.compile("^お名前")).fill(name)
    fill_day(page, "birth_date", "S", "63", "4", "5")
    page.locator("[name=address_postal_code]").fill("２５９ー０１２３")
    page.locator("[name=address_line]").fill("神奈川県中郡二宮町二宮961")
    if phone:
        page.locator("[name=phone]").fill(phone)


def fill_child_allowance(page: Page, name: str, phone: str = "0463-71-3311") -> None:
    fill_person(page, name, phone)
    page.locator("[name=bank_account_bank]").fill("ちょうど銀行")
    page.locator("[name=bank_account_branch]").fill("二宮支店")
    page.get_by_label("普通").check(force=True)
    page.locator("[name=bank_account_number]").fill("1234567")
    page.locator("[name=bank_account_holder]").fill("ﾆﾉﾐﾔ ﾊﾅｺ")
    page.locator("[name=child_name]").fill("二宮 はじめ")
    page.locator("[name=child_kana]").fill("にのみや はじめ")
    fill_day(page, "child_birth_date", "R", "8", "1", "2")
    page.locator("[name=child_together][value=yes]").check(force=True)


def go_on(page: Page) -> None:
    page.get_by_role("button", name="次へ進む").click()


def choose_reach(page: Page, reach: str, contact: str = "") -> None:
    page.locator(f"input[name=reach][value={reach}]").check(force=True)
    if reach == "email":
        page.get_by_label(re.compile("メールアドレス")).fill(contact)
    go_on(page)
    page.wait_for_url("**/check")


def send(page: Page, button: str = "連絡先をわたして、申請する") -> str:
    page.get_by_role("button", name=button).click()
    page.wait_for_url("**/applications/*")
    return page.locator(".slip__number").first.inner_text().strip()


def open_in_office(tablet: Page, number: str) -> None:
    tablet.goto("/office")
    tablet.get_by_role("link", name=number).click()
