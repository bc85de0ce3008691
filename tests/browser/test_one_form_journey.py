"""One form for a life event in a real browser: section by section, agreed, checked, sent, and on one page to print."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.applying import choose_reach, fill_child_allowance, go_on
from tests.browser.conftest import look

NewPhone = Callable[..., Page]


@pytest.mark.parametrize("javascript", [True, False], ids=["with_javascript", "without_javascript"])
def test_three_procedures_of_a_birth_are_filled_in_and_sent_as_one(new_phone: NewPhone, javascript: bool) -> None:
    parent = new_phone(javascript=javascript)
    main = parent.get_by_role("main")

    def see(name: str) -> None:
        if javascript:
            look(parent, name)

    parent.goto("/life-events/birth")
    parent.get_by_role("radio", name="いいえ").check(force=True)
    parent.get_by_role("button", name="必要な手続きを見る").click()
    parent.wait_for_url("**/plans/*")
    plan = parent.url
    see("one-form-plan")
    parent.get_by_role("button", name="オンラインでまとめて書く").click()
    parent.wait_for_url("**/form")
    expect(main).to_contain_text("「児童手当の申請」と「小児医療証の申請」で使います")
    expect(parent.locator("[name=address_line]")).to_have_count(1)
    see("one-form")
    # A section by itself: what was typed before it in another one is on the page still.
    parent.locator("[name=address_line]").fill("二宮961")
    parent.locator("[name=name]").fill("二宮 花子")
    parent.get_by_role("button", name="ここまで保存して、次へ").first.click()
    expect(parent.locator("[data-error-summary]")).to_be_visible()
    expect(parent.locator("[name=address_line]")).to_have_value("二宮961")
    see("one-form-errors")
    fill_child_allowance(parent, "二宮 花子")
    parent.locator("input[name=insurance_kind]").first.check(force=True)
    go_on(parent)
    parent.wait_for_url("**/reuse")
    expect(main).to_contain_text("→ 「小児医療証の申請」で使います。")
    see("one-form-reuse")
    parent.get_by_role("button", name="すべて使って次へ進む").click()
    parent.wait_for_url("**/you")
    see("one-form-you")
    choose_reach(parent, "email", "one-form@example.jp")
    expect(main).to_contain_text("「子育て」の係に届きます")
    see("one-form-check")
    parent.get_by_role("button", name="連絡先をわたして、すべて申請する").click()
    parent.wait_for_url("**/sent")
    expect(parent.locator(".slip__number--long")).to_have_count(2)
    see("one-form-sent")
    # Back and again sends nothing more.
    parent.go_back()
    parent.goto(f"{plan}/check")
    parent.wait_for_url("**/sent")
    expect(parent.locator(".slip__number--long")).to_have_count(2)
