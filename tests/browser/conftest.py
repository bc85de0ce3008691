"""A real browser on the whole product: residents at phone size, staff at tablet size, axe on every page."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from deploy.local.servers import Servers
from deploy.provision import clone_database, drop_database
from shared.clock import JST
from tests.conftest import TEMPLATE, in_database
from tests.stack import ROOT, STAFF_LOGIN, STAFF_PASSWORD, Stack, running_stack

CHROMIUM = "/usr/bin/chromium-headless-shell"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 360, "height": 740}
TABLET = {"width": 1180, "height": 820}
# A Tuesday morning on which the town hall is open.
MORNING = datetime(2026, 11, 24, 9, 10, tzinfo=JST)
DATABASE = "choudo_browser"
BROWSER_REDIS_DATABASE = 9
# A ceiling and no wait: nothing that is late on a busy machine is wrong for that.
PAGE_TIMEOUT_MS = 30_000
expect.set_options(timeout=PAGE_TIMEOUT_MS)

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
AXE_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
# All that axe says of a page is 200 kB; to bring that here takes three times as long as to find it.
FIND_VIOLATIONS = f"""
    axe.run(document, {json.dumps(AXE_RULES)}).then(({{ violations }}) => violations.map(({{ id, help, nodes }}) =>
      ({{ id, help, targets: nodes.slice(0, 3).map(({{ target }}) => target) }})))
"""


@pytest.fixture(scope="module")
def stack(
    servers: Servers, template_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The whole product, on a database of its own, on a Tuesday morning."""
    folder = tmp_path_factory.mktemp("stack")
    asyncio.run(_fresh_database(servers, template_environ))
    redis = in_database(servers.redis_url, str(BROWSER_REDIS_DATABASE))
    environ = {
        name: in_database(value, DATABASE) if name.endswith("DATABASE_URL") else value
        for name, value in template_environ.items()
    } | {"CHOUDO_REDIS_URL": redis}
    with running_stack(environ, in_database(servers.database_url, DATABASE), folder, starts_at=MORNING) as running:
        yield running


async def _fresh_database(servers: Servers, template_environ: dict[str, str]) -> None:
    await drop_database(servers.database_url, DATABASE)
    await clone_database(servers.database_url, TEMPLATE, DATABASE, template_environ)


@pytest.fixture(scope="module")
def chromium(stack: Stack) -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", CHROMIUM), args=CHROMIUM_FLAGS, headless=True
        )
        yield browser
        browser.close()


@pytest.fixture
def new_phone(chromium: Browser, stack: Stack, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Makes phones: each its own visitor, with or without JavaScript."""
    contexts: list[BrowserContext] = []

    def make(*, javascript: bool = True) -> Page:
        context = chromium.new_context(
            viewport=PHONE,  # type: ignore[arg-type]
            device_scale_factor=2,
            has_touch=True,
            is_mobile=True,
            locale="ja-JP",
            timezone_id="Asia/Tokyo",
            base_url=stack.url,
            java_script_enabled=javascript,
        )
        contexts.append(context)
        return _watched(context)

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def phone(new_phone: Callable[..., Page]) -> Page:
    """A resident's phone."""
    return new_phone()


@pytest.fixture
def new_tablet(chromium: Browser, stack: Stack) -> Iterator[Callable[[], Page]]:
    """Makes tablets, on which nobody has signed in."""
    contexts: list[BrowserContext] = []

    def make() -> Page:
        context = chromium.new_context(
            viewport=TABLET,  # type: ignore[arg-type]
            has_touch=True,
            locale="ja-JP",
            timezone_id="Asia/Tokyo",
            base_url=stack.url,
        )
        contexts.append(context)
        return _watched(context)

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def tablet(new_tablet: Callable[[], Page]) -> Page:
    """A counter's tablet, signed in, on today's line."""
    page = new_tablet()
    page.goto("/counter")
    page.get_by_label("ログインID").fill(STAFF_LOGIN)
    page.get_by_label("パスワード").fill(STAFF_PASSWORD)
    page.get_by_role("button", name="ログイン").click()
    page.wait_for_url("**/counter")
    return page


def _watched(context: BrowserContext) -> Page:
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    page = context.new_page()
    # What the browser complains about (a blocked script, a style the policy forbids) is a bug of the page.
    page.on("console", lambda message: _fail(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: _fail(str(error)))
    page.add_init_script(LEAVING)
    return page


# A press that leads elsewhere returns before the page is gone: whoever looks then would look at the one before, or at
# one that is taken away under their eyes. Each document says by itself that it is being left; the next knows nothing.
LEAVING = """
addEventListener("submit", (event) => { window.isLeft = !event.defaultPrevented; });
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (link && !link.target && !link.hasAttribute("download") && !link.getAttribute("href").startsWith("#"))
    window.isLeft = !event.defaultPrevented;
});
addEventListener("hashchange", () => { window.isLeft = false; });
"""
LOOK_AGAIN_MS = 50


def wait_until_there(page: Page) -> None:
    """Until the page that was asked for stands, if one was."""
    for _ in range(PAGE_TIMEOUT_MS // LOOK_AGAIN_MS):
        # It may be taken away while it is asked.
        with suppress(Error):
            if page.evaluate("!window.isLeft && document?.readyState === 'complete'"):
                return
        page.wait_for_timeout(LOOK_AGAIN_MS)
    pytest.fail(f"{page.url}: another page was asked for, and did not come")


# A form that comes back with advice. The browser notes each such answer; only a test that asks for others may get them.
ANSWERS_TO_FORMS = frozenset({400, 409, 422})
# Only a test that cuts the network itself can see this one.
CUT_OFF = "Failed to load resource: net::ERR_INTERNET_DISCONNECTED"
_ANSWERED = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")
_expected: set[int] = set()
_complaints: list[str] = []


def _fail(text: str) -> None:
    if text == CUT_OFF:
        return
    answered = _ANSWERED.match(text)
    if answered is None or int(answered[1]) not in _expected:
        _complaints.append(text)


@pytest.fixture(autouse=True)
def no_complaints() -> Iterator[None]:
    """The browser's console stayed quiet during the test."""
    _complaints.clear()
    _expected.clear()
    _expected.update(ANSWERS_TO_FORMS)
    yield
    assert not _complaints, _complaints


@pytest.fixture
def expect_status(no_complaints: None) -> Callable[..., None]:
    """Says which refusals (404, 410 …) this test wants to see."""
    return lambda *statuses: _expected.update(statuses)


def find_inaccessible(page: Page) -> list[str]:
    """Run axe on the page as it stands; what it found and where."""
    wait_until_there(page)
    page.evaluate(AXE.read_text("utf-8"))
    violations = page.evaluate(FIND_VIOLATIONS)
    return [f"{rule['id']}: {rule['help']} {rule['targets']}" for rule in violations]


def find_too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways, if anything does."""
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return [f"{wide} px wide on a screen of {screen} px"] if wide > screen else []


def check_fits(page: Page) -> None:
    """Nothing makes the page scroll sideways."""
    found = find_too_wide(page)
    assert not found, f"{page.url}: {found}"


SHOTS = Path(os.environ["CHOUDO_SCREENSHOTS"]) if "CHOUDO_SCREENSHOTS" in os.environ else None


def look(page: Page, name: str) -> None:
    """Every page of a journey: accessible, fitting, and, when a folder is asked for, on a picture."""
    found = find_inaccessible(page) + find_too_wide(page)
    assert not found, f"{page.url}: {found}"
    picture(page, name)


def picture(page: Page, name: str) -> None:
    """The page on a picture, when a folder is asked for."""
    if SHOTS is not None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
