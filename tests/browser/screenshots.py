"""`make screenshots`: the pictures of the README, taken from the running product."""

import asyncio
import os
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from deploy.local.servers import embedded_servers
from deploy.provision import provision
from deploy.secrets import load_environment
from tests.browser.conftest import CHROMIUM, CHROMIUM_FLAGS, MORNING, PHONE, TABLET
from tests.browser.residents import book, choose_counter, give_name, hand_over
from tests.conftest import in_database
from tests.stack import ROOT, STAFF_LOGIN, STAFF_PASSWORD, Stack, running_stack

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
    staff = _open(browser, stack, TABLET)
    staff.goto("/counter")
    staff.get_by_label("ログインID").fill(STAFF_LOGIN)
    staff.get_by_label("パスワード").fill(STAFF_PASSWORD)
    staff.get_by_role("button", name="ログイン").click()
    progress = (("受け付ける", "呼び出す", "対応を始める"), ("受け付ける", "呼び出す"), ("受け付ける",))
    for (_name, kana), steps in zip((PEOPLE[0], PEOPLE[1], PEOPLE[3]), progress, strict=True):
        for step in steps:
            staff.locator("ol.line > li").filter(has_text=kana).get_by_role("button", name=step).click()
            staff.wait_for_timeout(500)
    _save(staff, "counter")


def _open(browser: Browser, stack: Stack, size: dict[str, int]) -> Page:
    return browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        device_scale_factor=1,
        locale="ja-JP",
        timezone_id="Asia/Tokyo",
        base_url=stack.url,
    ).new_page()


def _save(page: Page, name: str) -> None:
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
