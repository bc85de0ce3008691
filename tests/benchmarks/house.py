"""The product as the benchmarks find it: running, with the sample town, and a way to look into its tables."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tests.stack import Stack

TOWN = "143421"
SETTLE_TIMEOUT_S = 120.0

_FREE_SLOTS = """
    SELECT s.slot_id FROM booking.slot s JOIN booking.place p USING (municipality, slot_id)
    WHERE s.municipality = $1 AND s.counter = $2 AND s.starts_at > now() + interval '1 day' AND NOT s.withdrawn
    GROUP BY s.municipality, s.slot_id
    HAVING bool_and(p.appointment_id IS NULL AND p.hold_id IS NULL)
    ORDER BY s.starts_at
"""
_UNFINISHED = " + ".join(
    f"(SELECT count(*) FROM {service}.delivery WHERE acked_at IS NULL)"
    for service in ("routing", "booking", "notifications")
)


class House(msgspec.Struct):
    """The running stack, and the administrator's URL of its database."""

    stack: Stack
    admin_url: str
    redis_url: str

    @property
    def url(self) -> str:
        """The residents' site."""
        return self.stack.url

    @property
    def environ(self) -> Mapping[str, str]:
        """What every process of the product gets."""
        return self.stack.environ

    async def rows(self, sql: str, *values: object) -> list[Any]:
        """Look into any table."""
        connection = await asyncpg.connect(self.admin_url)
        try:
            found: list[Any] = await connection.fetch(sql, *values)
            return found
        finally:
            await connection.close()

    async def execute(self, sql: str, *, timeout_s: int = 60) -> None:
        """Run a statement as the administrator."""
        connection = await asyncpg.connect(self.admin_url)
        try:
            await connection.execute(sql, timeout=timeout_s)
        finally:
            await connection.close()

    async def free_slots(self, counter: str, *, municipality: str = TOWN) -> list[UUID]:
        """Slots of a counter, from tomorrow on, in which every place is free."""
        return [row["slot_id"] for row in await self.rows(_FREE_SLOTS, municipality, counter)]

    async def settle(self) -> None:
        """Wait until all events have been consumed, so that one measurement's work is not paid by the next."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while (left := (await self.rows(f"SELECT {_UNFINISHED} AS n"))[0]["n"]) > 0:
            assert time.monotonic() < deadline, f"{left} deliveries without a receipt\n{self.stack.log_tails()}"
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)
