"""What the databases of a running product hold, and waiting until they do."""

import asyncio
import time
from collections.abc import Callable

import asyncpg

from shared.events.subscriptions import SERVICES
from tests.stack import Stack

SETTLE_TIMEOUT_S = 120.0


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

    return asyncio.run(fetch())


def unacknowledged(stack: Stack) -> int:
    """How many deliveries wait for a receipt, over all services."""
    return sum(
        int(ask(stack, f"SELECT count(*) AS n FROM {service}.delivery WHERE acked_at IS NULL")[0]["n"])
        for service in SERVICES
    )
