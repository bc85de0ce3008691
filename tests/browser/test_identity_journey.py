"""The identity step in a real browser, away to another site and back; a draft on two devices; the rest at a counter."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from deploy.local.sample_procedure import CODE
from tests.browser.applying import begin, choose_reach, fill_day, fill_person, go_on, send
from tests.browser.conftest import look
from tests.browser.identifying import provider
from tests.stack import Stack

__all__ = ["provider"]

WIDE = {"width": 768, "height": 1024}


def at_both_widths(page: Page, name: str) -> None:
    """Looked at as on a phone and as on a tablet held upright."""
    look(page, name)
    phone = page.viewport_size
    assert phone is not None
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    look(page, f"{name}-768")
    page.set_viewport_size(phone)


def test_1_somebody_proves_who_they_are_and_sends(phone: Page, provider: str) -> None:
    begin(phone, CODE)
    phone.get_by_role("textbox", name=re.compile("^お名前")).fill("二宮 花子")
    fill_day(phone, "birth_date", "S", "63", "4", "5")
    go_on(phone)
    choose_reach(phone, "none")
    at_both_widths(phone, "identity-check")
    phone.get_by_role("link", name="本人確認に進む").click()
    at_both_widths(phone, "identity")
    phone.get_by_role("button", name="本人確認に進む").click()
    phone.wait_for_url(f"{provider}/authorize**")
    phone.get_by_role("button", name="やめる").click()
    phone.wait_for_url("**/identity?problem=declined")
    at_both_widths(phone, "identity-declined")
    phone.get_by_role("button", name="本人確認に進む").click()
    phone.get_by_role("button", name="見本の人として続ける").click()
    phone.wait_for_url("**/check")
    expect(phone.get_by_role("main")).to_contain_text("本人確認ができました")
    at_both_widths(phone, "identity-proven")
    send(phone, "申請する")
    expect(phone.get_by_role("main")).to_contain_text("オンラインの本人確認")


def test_2_a_draft_goes_on_at_another_device_and_ends_at_the_counter(
    phone: Page, new_phone: Callable[..., Page], stack: Stack
) -> None:
    begin(phone, "TAX01")
    at_both_widths(phone, "fee-form")
    fill_person(phone, "二宮 花子", phone=None)
    phone.locator("[name=tax_year]").fill("2026")
    phone.locator("[name=copies_purpose_copies]").fill("2")
    phone.locator("[name=copies_purpose_purpose]").fill("勤め先に出す")
    go_on(phone)
    choose_reach(phone, "none")
    expect(phone.get_by_role("main")).to_contain_text("600円（300円 × 2通）")
    case = re.sub(r"/check$", "", phone.url)
    phone.goto(f"{case}/device")
    at_both_widths(phone, "device")
    phone.get_by_role("button", name="続けるための番号を出す").click()
    at_both_widths(phone, "device-made")
    number, code = (each.inner_text() for each in phone.locator(".slip__number").all())
    # Without scripts, too.
    other = new_phone(javascript=False)
    other.goto("/resume")
    other.get_by_role("textbox", name=re.compile("^続きの番号")).fill(number)
    other.get_by_role("textbox", name=re.compile("^確認コード")).fill(code)
    other.get_by_role("button", name="続きを開く").click()
    other.wait_for_url("**/check")
    expect(other.get_by_role("main")).to_contain_text("二宮 花子")
    phone.goto(f"{case}/device")
    at_both_widths(phone, "device-opened")
    phone.goto(f"{case}/check")
    send(phone, "申請する")
    at_both_widths(phone, "finish")
    phone.get_by_role("link", name="送付状を印刷する").click()
    at_both_widths(phone, "cover")
    phone.go_back()
    phone.get_by_role("button", name="来る日と時間を選ぶ").click()
    phone.wait_for_url("**/handover")
    other.goto("/resume")
    look_without_script(other)


def look_without_script(page: Page) -> None:
    """axe needs scripts: what is looked at is that the page is there."""
    expect(page.get_by_role("heading", name="続きから始める")).to_be_visible()
