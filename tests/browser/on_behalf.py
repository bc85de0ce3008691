"""What staff do on somebody's behalf, step by step, on the counter's tablet."""

import re

from playwright.sync_api import Page, expect

from tests.browser.applying import go_on
from tests.browser.residents import See, book_on_visit_page, not_looking

BANNER = {"phone": "代わりに入力しています（電話）", "desk": "代わりに入力しています（窓口）"}


def begin_for(tablet: Page, came: str, channel: str, *, procedure: str = "児童手当", seen: See = not_looking) -> None:
    """From the line to the first page of a new person's case."""
    tablet.goto("/counter")
    tablet.get_by_role("link", name="代わりに予約・申請をする").click()
    seen(tablet, "behalf-search")
    tablet.get_by_role("searchbox").fill(procedure)
    tablet.get_by_role("button", name="さがす").click()
    tablet.get_by_role("main").get_by_role("link", name=re.compile(f"^{procedure}")).first.click()
    tablet.locator(f"input[name=behalf][value={came}]").check(force=True)
    tablet.locator(f"input[name=channel][value={channel}]").check(force=True)
    seen(tablet, "behalf-begin")
    tablet.get_by_role("button", name="この方の入力を始める").click()
    tablet.wait_for_url(re.compile(r"/cases/[\w-]+/(you|form)"))
    expect(tablet.get_by_role("note")).to_contain_text(BANNER[came])


def tell(tablet: Page, *, name: str = "", kana: str = "", reach: str = "none", phone: str = "") -> None:
    """What the person says of themselves, as far as the question what may be passed on."""
    tablet.get_by_label("お名前").fill(name)
    tablet.get_by_label("よみがな").fill(kana)
    tablet.locator(f"input[name=reach][value={reach}]").check(force=True)
    if phone:
        tablet.get_by_label("携帯電話の番号").fill(phone)
    go_on(tablet)
    tablet.wait_for_url("**/handover")


def book_earliest(tablet: Page, came: str, *, seen: See = not_looking) -> tuple[str, str]:
    """From the pass to the appointment; its number and code."""
    tablet.wait_for_url("**/pass")
    tablet.get_by_role("button", name="日にちと時間を選ぶ").click()
    tablet.wait_for_url("**/booking/visits/*")
    expect(tablet.get_by_role("note")).to_contain_text(BANNER[came])
    seen(tablet, f"behalf-{came}-visit")
    tablet.get_by_role("button", name=re.compile("もっとも早い")).click()
    tablet.wait_for_url("**/confirm")
    expect(tablet.get_by_role("note")).to_contain_text(BANNER[came])
    seen(tablet, f"behalf-{came}-confirm")
    book_on_visit_page(tablet)
    expect(tablet.get_by_role("note")).to_have_count(0)
    return tuple(tablet.locator(".slip__number").all_inner_texts())  # type: ignore[return-value]
