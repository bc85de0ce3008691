"""In the town hall: the screens, how long people wait, and what a phone does at the door."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import MORNING
from tests.browser.hall import door_path
from tests.browser.residents import See
from tests.stack import Stack

WITHIN_MS = 25_000


def test_a_phone_at_the_door(new_phone: Callable[..., Page], tablet: Page, stack: Stack, see: See) -> None:
    phone = new_phone()
    for path, name in (("/booking/now", "waits"), ("/booking/door", "door-from-home")):
        phone.goto(path)
        see(phone, name)
    for path, name in (("/board/screens?counters=7", "board-screens"), ("/counter/door", "door-poster")):
        tablet.goto(path)
        see(tablet, name)
    phone.goto(door_path(stack, MORNING.date()))
    see(phone, "door")
    phone.goto("/booking/door/CHI02")
    see(phone, "door-procedure")
    phone.get_by_role("button", name="番号札をとる").click()
    phone.wait_for_url("**/booking/tickets/*")
    see(phone, "phone-ticket")
    phone.get_by_role("button", name="すぐもどります").click()
    expect(phone.get_by_role("main")).to_contain_text("お呼びしません")
    see(phone, "phone-ticket-out")
    phone.get_by_role("button", name="もどりました").click()
    tablet.goto("/counter")
    number = phone.locator(".slip__number").inner_text()
    row = tablet.locator("#line-now > li").filter(has_text=number)
    row.get_by_role("button", name="呼び出す").click()
    expect(phone.get_by_role("heading", name="お呼びしています")).to_be_visible(timeout=WITHIN_MS)
    see(phone, "phone-ticket-called")
    phone.goto("/booking/door")
    see(phone, "door-with-ticket")
