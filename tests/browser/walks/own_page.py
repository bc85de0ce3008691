"""A helper's own pages, on their old phone."""

import re
from datetime import timedelta

from playwright.sync_api import Page, expect

from tests.browser.conftest import MORNING
from tests.browser.helping import TANAKA, sign_in
from tests.browser.residents import See
from tests.browser.walks.asked import NewPhone


def test_a_helpers_own_pages(new_phone: NewPhone, see: See) -> None:
    """Comes after somebody has accepted a visit (`walks/helpers.py`)."""
    helper = sign_in(new_phone(), TANAKA)
    see(helper, "own-page")
    for path in ("week", "month"):
        helper.goto(f"/helpers/{path}")
        see(helper, f"own-{path}")
    helper.get_by_role("link", name="次の月").click()
    see(helper, "own-month-next")
    helper.goto("/helpers/profile")
    helper.get_by_label("手話で話せます").check()
    helper.get_by_role("button", name="これで登録する").click()
    expect(helper.get_by_label("手話で話せます")).to_be_checked()
    see(helper, "own-profile")
    _goes_away(helper, see)
    helper.goto("/helpers/hours")
    see(helper, "own-hours-none")
    # No month has a visit that is over: the page says so.
    helper.goto("/helpers/hours/certificate?first=2026-11&last=2026-11")
    see(helper, "own-certificate-refused")


def _goes_away(helper: Page, see: See) -> None:
    helper.goto("/helpers/away")
    see(helper, "away-none")
    helper.get_by_role("button", name="休む日を登録する").click()
    expect(helper.get_by_role("main")).to_contain_text("なおすところが")
    see(helper, "away-refused")
    last = helper.get_by_role("group", name=re.compile("^行けない日"))
    day = MORNING.date() + timedelta(days=30)
    for label, value in (("年", day.year), ("月", day.month), ("日", day.day)):
        last.get_by_label(label, exact=True).fill(str(value))
    helper.get_by_role("button", name="休む日を登録する").click()
    expect(helper.get_by_role("main")).to_contain_text(f"{day.year}年{day.month}月{day.day}日")
    see(helper, "away-added")
    helper.get_by_role("button", name="お休みにする").click()
    see(helper, "away-paused")
    helper.goto("/helpers")
    see(helper, "own-page-paused")
    helper.goto("/helpers/away")
    helper.get_by_role("button", name="また始める").click()
    helper.get_by_role("button", name="この休みを消す").click()
    expect(helper.get_by_role("main")).to_contain_text("まだ登録がありません")
