"""`make screenshots`: the pictures of the README, taken from the running product."""

import asyncio
import os
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from deploy.local.servers import embedded_servers
from deploy.provision import provision
from deploy.secrets import load_environment
from tests.browser.applying import begin, choose_reach, fill_child_allowance, go_on, open_in_office, send
from tests.browser.conftest import CHROMIUM, CHROMIUM_FLAGS, MORNING, PHONE, TABLET
from tests.browser.helping import TANAKA, add_time, ask_for_helper, sign_in
from tests.browser.residents import book, choose_counter, give_name, hand_over
from tests.conftest import in_database
from tests.stack import ROOT, STAFF_LOGIN, Stack, running_stack

FOLDER = ROOT / "docs" / "screenshots"
DATABASE = "choudo_screenshots"
# Made-up people, in the order of the line.
PEOPLE = (
    ("二宮 花子", "ニノミヤ ハナコ"),
    ("山西 太郎", "ヤマニシ タロウ"),
    ("", ""),
    ("一色 みどり", "イッシキ ミドリ"),
)


def main() -> None:
    """Start the product, walk through it, save the pictures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_servers(Path(folder) / "servers", durable=False, environ={}) as servers,
    ):
        environ = load_environment(
            Path(folder), database_url=servers.database_url, redis_url=servers.redis_url, environ={}, database=DATABASE
        )
        asyncio.run(provision(servers.database_url, environ))
        admin_url = in_database(servers.database_url, DATABASE)
        with (
            running_stack(environ, admin_url, Path(folder) / "stack", starts_at=MORNING) as stack,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", CHROMIUM), args=CHROMIUM_FLAGS
            )
            _take(browser, stack)
            browser.close()


def _take(browser: Browser, stack: Stack) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    resident = _open(browser, stack, PHONE)
    resident.goto("/procedures/CHI02")
    _save(resident, "compare")
    choose_counter(resident, "CHI02")
    give_name(resident, name=PEOPLE[0][0], kana=PEOPLE[0][1], reach="none", contact="")
    hand_over(resident, answer="はい")
    _save(resident, "pick-time")
    for name, kana in PEOPLE:
        book(_open(browser, stack, PHONE), name=name, kana=kana, reach="none", contact="")
    staff = sign_in(_open(browser, stack, TABLET), STAFF_LOGIN, "/counter")
    progress = (("受け付ける", "呼び出す", "対応を始める"), ("受け付ける", "呼び出す"), ("受け付ける",))
    for (_name, kana), steps in zip((PEOPLE[0], PEOPLE[1], PEOPLE[3]), progress, strict=True):
        for step in steps:
            staff.locator("ol.line > li").filter(has_text=kana).get_by_role("button", name=step).click()
            staff.wait_for_timeout(500)
    _save(staff, "counter")
    _take_online(resident, staff)
    _take_helper(browser, stack)


def _take_online(resident: Page, staff: Page) -> None:
    begin(resident, "CHI02")
    resident.get_by_role("button", name="使わずに、はじめから書く").click()
    fill_child_allowance(resident, PEOPLE[0][0])
    go_on(resident)
    choose_reach(resident, "none")
    number = send(resident, "申請する")
    open_in_office(staff, number)
    _save(staff, "office")
    begin(resident, "CAR02")
    resident.get_by_role("button", name="すべて使って次へ進む").click()
    go_on(resident)
    choose_reach(resident, "none")
    send(resident, "申請する")
    line = resident.get_by_text("もう一度書かずにすみました")
    for _ in range(40):
        resident.goto("/my/history")
        if line.count():
            break
        resident.wait_for_timeout(250)
    _save(resident, "history", at="ol.history")


def _take_helper(browser: Browser, stack: Stack) -> None:
    helper = sign_in(_open(browser, stack, PHONE), TANAKA)
    add_time(helper, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    resident = _open(browser, stack, PHONE)
    for _ in range(40):
        resident.goto("/procedures/DIG01")
        if "今日" in resident.locator("#channel-helper").inner_text():
            break
        resident.wait_for_timeout(250)
    ask_for_helper(resident, "DIG01", name="中里 幸子", reach="none")
    helper.goto("/helpers")
    _save(helper, "helper")


def _open(browser: Browser, stack: Stack, size: dict[str, int]) -> Page:
    return browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        device_scale_factor=1,
        locale="ja-JP",
        timezone_id="Asia/Tokyo",
        base_url=stack.url,
    ).new_page()


def _save(page: Page, name: str, *, at: str = "body") -> None:
    page.locator(at).first.evaluate("element => element.scrollIntoView()")
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
