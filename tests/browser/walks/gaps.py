"""Single days of helpers, and a gap of the roster that all who are free are asked to fill."""

import re
from datetime import timedelta

from playwright.sync_api import Page, expect

from tests.browser.conftest import MORNING
from tests.browser.helping import SUZUKI, TANAKA, sign_in
from tests.browser.residents import See
from tests.browser.walks.asked import NewPhone
from tests.stack import COORDINATOR_LOGIN


def test_single_days_and_gaps(new_phone: NewPhone, tablet: Page, see: See) -> None:
    helper, other = sign_in(new_phone(), TANAKA), sign_in(new_phone(), SUZUKI)
    _a_day_of_their_own(helper, see)
    desk = sign_in(tablet, COORDINATOR_LOGIN, "/helpers/roster")
    desk.goto(f"/helpers/roster?week={MORNING.date() + timedelta(weeks=1)}")
    desk.get_by_role("link", name="この時間に来られる人をさがす").first.click()
    see(desk, "gap")
    desk.get_by_role("button", name="来られる方みんなに聞く").click()
    expect(desk.get_by_role("main")).to_contain_text("来られる方みんなに聞きました")
    see(desk, "roster-gap-searched")
    for phone in (helper, other):
        phone.goto("/helpers")
    see(helper, "helper-gap")
    helper.get_by_role("button", name="この時間に行く").first.click()
    expect(helper.get_by_role("main")).to_contain_text("引き受けました")
    other.goto("/helpers")
    expect(other.get_by_role("main")).to_contain_text("ほかの方に決まりました")
    see(other, "helper-gap-found")
    helper.goto("/helpers/away")
    see(helper, "helper-days")
    _for_somebody(desk, see)


def _a_day_of_their_own(helper: Page, see: See) -> None:
    helper.goto("/helpers/away")
    see(helper, "away")
    form = helper.locator("form[action='/helpers/away/come']")
    form.get_by_role("button", name="この日を登録する").click()
    see(helper, "away-day-wrong")
    _fill_day(helper, ahead=19)
    expect(helper.get_by_role("main")).to_contain_text("登録しました")
    see(helper, "away-day-added")
    helper.get_by_role("link", name="この日を取り消す").first.click()
    see(helper, "day-remove")
    helper.get_by_role("button", name="この日を取り消す").click()
    expect(helper.get_by_role("main")).to_contain_text("取り消しました")


def _for_somebody(desk: Page, see: See) -> None:
    desk.goto("/helpers/people")
    desk.locator("a[href*='/helpers/people/']").first.click()
    see(desk, "person-days")
    _fill_day(desk, ahead=26)
    see(desk, "person-day-added")
    desk.get_by_role("link", name="この日を取り消す").last.click()
    see(desk, "person-day-remove")
    desk.get_by_role("button", name="この日を取り消す").click()
    expect(desk.get_by_role("main")).to_contain_text("取り消しました")


def _fill_day(page: Page, *, ahead: int) -> None:
    # A Sunday: other walks have their rhythms on other days.
    form = page.locator("form", has=page.get_by_role("button", name="この日を登録する"))
    day = MORNING.date() + timedelta(days=ahead)
    for part, value in (("年", day.year), ("月", day.month), ("日", day.day)):
        form.get_by_label(part, exact=True).fill(str(value))
    form.get_by_label(re.compile("^場所")).select_option("KOMINKAN")
    form.get_by_role("button", name="この日を登録する").click()
