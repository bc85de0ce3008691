"""A resident takes a receipt home and checks it against the numbers that the town has published."""

import asyncio
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from shared.db import Database
from shared.events.subscriptions import SERVICES
from shared.ledger.checkpoints import Checkpointer
from tests.browser.conftest import MORNING, picture
from tests.browser.eyes import look_closely
from tests.browser.residents import book
from tests.journeys.database import unacknowledged, wait_for
from tests.shared.makers import make_outbox
from tests.stack import Stack, run_cli

TOWN = "143421"
ADDRESS = "receipt@example.jp"
Found = dict[str, Any]


def test_a_receipt_is_saved_with_its_proofs_and_holds_against_the_published_numbers(
    phone: Page, stack: Stack, tmp_path: Path
) -> None:
    book(phone, name="二宮 花子", kana="にのみや はなこ", reach="email", contact=ADDRESS)
    # The reminder, too: it is a use of the contact, and would stand in a receipt that is taken after it.
    stack.wait_for_messages(2, to=ADDRESS, channel="email")
    _wait(phone, "/my/receipt.json", lambda receipt: _services(receipt) == set(SERVICES))
    # Nothing is on its way any more that would be written after the day was closed.
    wait_for(lambda: unacknowledged(stack) == 0)
    _wait_until_chained(phone, stack)
    _close_the_day(stack)
    published = _wait(phone, "/open-data/ledger/checkpoints.json", _has_every_service)
    roots = tmp_path / "roots.json"
    roots.write_text(json.dumps(published), "utf-8")

    wrong = []
    phone.goto("/my/history")
    phone.get_by_role("link", name="記録の控えを受けとる").click()
    phone.wait_for_url("**/my/receipt")
    wrong += look_closely(phone, "receipt")
    with phone.expect_download() as saving:
        phone.get_by_role("link", name="証明をつけて保存する").click()
    file = tmp_path / "receipt.json"
    saving.value.save_as(file)
    expect(phone.get_by_role("main")).to_contain_text("まだ証明のない記録は0件です")
    receipt = json.loads(file.read_text("utf-8"))
    assert {entry["service"] for entry in receipt["entries"] if entry["proof"]} == set(SERVICES)
    said = run_cli(stack.environ, "ledger", "check", str(file), "--roots", str(roots))
    count = len(receipt["entries"])
    assert f"{count} of {count} entries are in the published trees" in said
    paper = re.sub(r"\s", "", phone.locator(".slip .hash").inner_text())
    assert f"the number {paper}" in said

    phone.get_by_role("link", name="まとめ番号と、確かめ方を見る").click()
    phone.wait_for_url("**/open-data/ledger")
    wrong += look_closely(phone, "open-data")
    phone.get_by_role("link", name="掲示する紙を開く").first.click()
    expect(phone.get_by_role("main")).to_contain_text("この紙を印刷する")
    wrong += look_closely(phone, "ledger-notice")
    phone.emulate_media(media="print")
    # No finger touches what is on paper.
    expect(phone.get_by_role("button", name="この紙を印刷する")).to_be_hidden()
    picture(phone, "ledger-notice-paper")
    assert wrong == []


def test_without_javascript_the_receipt_names_where_each_proof_is(new_phone: Callable[..., Page]) -> None:
    phone = new_phone(javascript=False)
    book(phone, name="中井 一郎", kana="なかい いちろう", reach="none", contact="")
    receipt = _wait(phone, "/my/receipt.json", lambda found: len(found["entries"]) > 3)
    for entry in receipt["entries"]:
        assert entry["proof_address"].endswith(f"/{entry['service']}/api/ledger/proofs/{entry['entry_id']}")
        assert phone.request.get(entry["proof_address"]).status in (200, 409)


def _services(receipt: Found) -> set[str]:
    return {entry["service"] for entry in receipt["entries"]}


def _has_every_service(published: Found) -> bool:
    return {each["service"] for each in published["checkpoints"] if each["tree_size"]} == set(SERVICES)


def _wait(page: Page, path: str, is_there: Callable[[Found], bool]) -> Found:
    found: Found = {}
    for _ in range(120):
        found = page.request.get(path).json()
        if is_there(found):
            return found
        page.wait_for_timeout(250)
    raise AssertionError(f"{path}: {found}")


def _wait_until_chained(page: Page, stack: Stack) -> None:
    for _ in range(40):
        if run_cli(stack.environ, "ledger", "verify").count(" 0 not yet chained") == len(SERVICES):
            return
        page.wait_for_timeout(250)
    raise AssertionError("entries stay unchained")


def _close_the_day(stack: Stack) -> None:
    """As the workers do after midnight: of the day before the one that they closed when they started."""

    async def close() -> None:
        for service in SERVICES:
            db = Database(stack.environ[f"CHOUDO_{service.upper()}_DATABASE_URL"], service=service)
            assert await Checkpointer(db, make_outbox(service)).make(TOWN, now=MORNING - timedelta(days=1))
            await db.dispose()

    # The browser's own loop runs in this thread.
    with ThreadPoolExecutor(max_workers=1) as beside:
        beside.submit(lambda: asyncio.run(close())).result()
