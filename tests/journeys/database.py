"""What the databases of a running product hold, and waiting until they do."""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import asyncpg

from shared.events.subscriptions import SERVICES
from tests.stack import Stack

SETTLE_TIMEOUT_S = 120.0
LOST_TYPE = "booking.never_heard_of.v1"


def wait_for(what: Callable[[], bool], timeout_s: float = SETTLE_TIMEOUT_S) -> None:
    """Poll until it is so. Raises AssertionError."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.1)


def ask(stack: Stack, query: str, *values: object) -> list[asyncpg.Record]:
    """What the database holds, as its administrator sees it."""

    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(stack.environ["DATABASE_URL"])
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query, *values)
            return rows
        finally:
            await connection.close()

    # In a thread of its own: in a browser's test, a loop is running already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, fetch()).result()


def let_die(stack: Stack, service: str, event_id: UUID, *, town: str = "143421", reason: str = "unknown_type") -> None:
    """What a service leaves when it hears of a type that it does not know."""
    told = {"type": LOST_TYPE, "aggregate_id": "7", "aggregate_version": 3, "occurred_at": "2026-11-24T00:00:00Z"}
    ask(
        stack,
        f"""WITH refused AS (
                INSERT INTO {service}.inbox (municipality, event_id, seen_at, applied_at, outcome)
                VALUES ($1, $2, now(), now(), 'refused'))
            INSERT INTO {service}.dead_letter
                (municipality, event_id, publisher, type, payload, sealed, attempts, reason, died_at)
            VALUES ($1, $2, 'booking', $3, $4, 'for-nobody', 1, $5, now())""",
        town,
        event_id,
        LOST_TYPE,
        json.dumps(told).encode(),
        reason,
    )


def unacknowledged(stack: Stack) -> int:
    """How many deliveries wait for a receipt, over all services."""
    return sum(
        int(ask(stack, f"SELECT count(*) AS n FROM {service}.delivery WHERE acked_at IS NULL")[0]["n"])
        for service in SERVICES
    )
