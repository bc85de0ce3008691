"""Over all services, with real relays and workers: what is promised arrives once, and nobody else learns of it."""

import signal
import time

import httpx
import redis

from shared.events.subscriptions import SERVICES
from shared.reference_number import show_number
from tests.journeys.database import SETTLE_TIMEOUT_S, ask, unacknowledged, wait_for
from tests.journeys.resident import Resident
from tests.stack import Stack, run_cli

REST_S = 4.0
BROKER_ASKS = ("evalsha", "blmove", "exists", "llen")


def test_at_rest_the_product_asks_little(stack: Stack) -> None:
    """160 transactions and 240 fetches a second, when every loop and consumer asked for itself, were half a core."""
    wait_for(lambda: unacknowledged(stack) == 0)
    time.sleep(REST_S)

    def count() -> tuple[int, int]:
        (row,) = ask(stack, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        with redis.Redis.from_url(stack.environ["CHOUDO_REDIS_URL"]) as broker:
            commands = broker.info("commandstats")
        return row["xact_commit"], sum(commands.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in BROKER_ASKS)

    before = count()
    time.sleep(REST_S)
    transactions, asked = (after - earlier for earlier, after in zip(before, count(), strict=True))
    assert transactions / REST_S < 130
    assert asked / REST_S < 40


def test_every_service_writes_what_it_reused_and_the_ledgers_verify(stack: Stack) -> None:
    with Resident(stack.url) as resident:
        resident.book(name="二宮 花子", reach="email", contact="ledger@example.jp")
        stack.wait_for_messages(1, to="ledger@example.jp", channel="email")

        def told_by() -> set[str]:
            return {entry["service"] for entry in resident.get("/my/history.json").json()["entries"]}

        wait_for(lambda: told_by() == set(SERVICES))
    wait_for(lambda: "0 not yet chained" in run_cli(stack.environ, "ledger", "verify"))
    report = run_cli(stack.environ, "ledger", "verify")
    assert report.count("intact") == len(SERVICES)


def test_a_killed_worker_sends_the_confirmation_once_when_it_is_back(stack: Stack) -> None:
    stack.stop("notifications-worker", signal.SIGKILL)
    with Resident(stack.url) as resident:
        number = resident.book(reach="email", contact="killed@example.jp")
    stack.start("notifications-worker")
    first = stack.wait_for_messages(1, to="killed@example.jp", channel="email", timeout_s=SETTLE_TIMEOUT_S)
    assert show_number(number) in first[-1]["text"]
    wait_for(lambda: unacknowledged(stack) == 0)
    confirmations = [
        message
        for message in stack.messages(to="killed@example.jp", channel="email")
        if "近づき" not in message["subject"]
    ]
    assert len(confirmations) == 1


def test_a_wiped_broker_loses_nothing(stack: Stack) -> None:
    with Resident(stack.url) as resident:
        resident.book(reach="sms", contact="080-1111-2222")
        with redis.Redis.from_url(stack.environ["CHOUDO_REDIS_URL"]) as broker:
            broker.flushdb()
    stack.wait_for_messages(1, to="08011112222", channel="sms", timeout_s=SETTLE_TIMEOUT_S)
    wait_for(lambda: unacknowledged(stack) == 0)


def test_no_name_address_code_or_link_stands_where_others_could_read_it(stack: Stack) -> None:
    name, address = "目立太郎", "medatsu@example.jp"
    with Resident(stack.url) as resident:
        resident.book(name=name, reach="email", contact=address)
        message = stack.wait_for_messages(1, to=address, channel="email")[-1]
    token = message["text"].split("/booking/a/")[1].split()[0]
    code = message["text"].split("確認コード")[2].split()[0]
    httpx.get(f"{stack.url}/booking/a/{token}", follow_redirects=True)
    wait_for(lambda: unacknowledged(stack) == 0)
    logs = "".join(path.read_text("utf-8") for path in stack.logs.glob("*.log"))
    for secret in (name, address, token):
        assert secret not in logs
    for service in SERVICES:
        rows = ask(stack, f"SELECT convert_from(payload, 'UTF8') AS payload, sealed FROM {service}.outbox")
        assert rows
        # What was sealed for one reader is blanked once that reader has it.
        assert all(row["sealed"] is None for row in rows)
        published = "".join(row["payload"] for row in rows)
        for secret in (name, address, token, f'"{code}"'):
            assert secret not in published
        for table in ask(stack, "SELECT tablename FROM pg_tables WHERE schemaname = $1", service):
            stored = ask(
                stack, f"SELECT count(*) AS n FROM {service}.{table['tablename']} t WHERE t::text LIKE $1", f"%{name}%"
            )
            assert stored[0]["n"] == 0, f"{service}.{table['tablename']}"
            stored = ask(
                stack, f"SELECT count(*) AS n FROM {service}.{table['tablename']} t WHERE t::text LIKE $1", f"%{token}%"
            )
            assert stored[0]["n"] == 0, f"{service}.{table['tablename']}"


def test_workers_stop_gracefully_and_come_back(stack: Stack) -> None:
    for name in ("routing-worker", "booking-worker", "notifications-worker"):
        assert stack.stop(name) == 0
        stack.start(name)
    with Resident(stack.url) as resident:
        resident.book(reach="email", contact="back@example.jp")
    stack.wait_for_messages(1, to="back@example.jp", channel="email", timeout_s=SETTLE_TIMEOUT_S)
