"""One resident, three ways and two looks by staff: the history tells each use once, and the ledgers hold."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
from playwright.sync_api import Page, expect

from shared.events.subscriptions import SERVICES
from tests.browser.applying import begin, choose_reach, fill_child_allowance, go_on, open_in_office, send
from tests.browser.conftest import look
from tests.browser.helping import TANAKA, add_time, ask_for_helper, sign_in
from tests.browser.residents import book_on_visit_page, hand_over
from tests.stack import Stack, run_cli

ADDRESS = "history@example.jp"
# Who, what and why, as the resident reads it; the service that did it wrote it.
TOLD = {
    "routing": [
        "手続きの受付（このサイト）が「お名前、住所、生年月日」を使いました。もう一度書かずにすみました。",
        "子育ての職員が「お名前、電話番号、住所、生年月日、お子さん、口座」を見ました。",
        "高齢介護の職員が「お名前、住所、生年月日」を見ました。",
    ],
    "booking": ["お呼びするため", "サポーターが「お名前」を見ました"],
    "notifications": ["お知らせを送るため"],
}
TECHNICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|[a-z]+_[a-z]+|\d{4}-\d\d-\d\dT|@|None|[{}]")


def test_the_history_tells_each_use_once_and_the_ledgers_verify(
    phone: Page, new_phone: Callable[..., Page], tablet: Page, stack: Stack
) -> None:
    begin(phone, "CHI02")
    fill_child_allowance(phone, "二宮 花子")
    go_on(phone)
    choose_reach(phone, "email", ADDRESS)
    number = send(phone)
    stack.wait_for_messages(1, to=ADDRESS, channel="email")
    open_in_office(tablet, number)
    tablet.reload()  # a second look on the same day is the same use

    begin(phone, "CAR02")
    phone.get_by_role("button", name="すべて使って次へ進む").click()
    phone.wait_for_url("**/form")
    phone.get_by_role("button", name="窓口で続ける").click()
    phone.wait_for_url("**/you")
    phone.locator("input[name=reach][value=none]").check(force=True)
    go_on(phone)
    phone.wait_for_url("**/handover")
    hand_over(phone, answer="はい")
    phone.locator("ul.slots button:enabled").first.click()
    phone.wait_for_url("**/confirm")
    book_on_visit_page(phone)
    booked = phone.locator(".slip__number").first.inner_text().strip()
    tablet.goto("/counter")
    row = tablet.locator("ol.line > li").filter(has_text=booked)
    row.get_by_role("link", name="入力された内容を見る").click()
    expect(row).to_contain_text("〒259-0123")

    helper = sign_in(new_phone(), TANAKA)
    add_time(helper, weekday="火曜日", start="10:00", end="16:00", venue="KOMINKAN")
    for _ in range(40):
        phone.goto("/procedures/DIG01")
        if "今日" in phone.locator("#channel-helper").inner_text():
            break
        phone.wait_for_timeout(250)
    ask_for_helper(phone, "DIG01", name="二宮 花子", reach="none")
    helper.goto("/helpers")
    helper.get_by_role("button", name="引き受ける").click()
    expect(helper.get_by_role("main")).to_contain_text("花子さん")

    for service, sentences in TOLD.items():
        main = _history_of(phone, service, sentences)
        assert not TECHNICAL.search(main), TECHNICAL.search(main)
    look(phone, "history-of-three-ways")
    entries = phone.request.get("/my/history.json").json()["entries"]
    assert {entry["service"] for entry in entries} == set(SERVICES)
    told = Counter((entry["sentence"], entry["target_procedure"]) for entry in entries)
    assert [use for use, count in told.items() if count > 1] == [], "told twice"

    for _ in range(40):
        if run_cli(stack.environ, "ledger", "verify").count(" 0 not yet chained") == len(SERVICES):
            break
        phone.wait_for_timeout(250)
    assert run_cli(stack.environ, "ledger", "verify").count("intact") == len(SERVICES)
    for service in SERVICES:
        original = _alter(stack, service, "'else'")
        with pytest.raises(AssertionError, match="entry_altered"):
            run_cli(stack.environ, "ledger", "verify")
        _alter(stack, service, original)
    assert run_cli(stack.environ, "ledger", "verify").count("intact") == len(SERVICES)


def _history_of(page: Page, service: str, sentences: list[str]) -> str:
    """What the history says of one service, when it has arrived."""
    main = page.get_by_role("main")
    for _ in range(40):
        page.goto(f"/my/history?service={service}")
        if all(sentence in main.inner_text() for sentence in sentences):
            break
        page.wait_for_timeout(250)
    for sentence in sentences:
        expect(main).to_contain_text(sentence, timeout=1_000)
    return main.inner_text()


def _alter(stack: Stack, service: str, purpose: str) -> str:
    """As the administrator of the database: give the first entry another purpose; return its own, quoted."""

    async def alter() -> str:
        connection = await asyncpg.connect(stack.environ["DATABASE_URL"])
        try:
            row = await connection.fetchrow(
                f"SELECT entry_id, quote_literal(purpose) AS purpose FROM {service}.ledger_chain"
                f" JOIN {service}.ledger_entry USING (municipality, entry_id) WHERE seq = 1"
            )
            await connection.execute(
                f"UPDATE {service}.ledger_entry SET purpose = {purpose} WHERE entry_id = $1", row["entry_id"]
            )
            return str(row["purpose"])
        finally:
            await connection.close()

    # The browser's own loop runs in this thread.
    with ThreadPoolExecutor(max_workers=1) as beside:
        return beside.submit(lambda: asyncio.run(alter())).result()
