"""What an alert watches: another system of a town that is told nothing any more. No labels: which, the pages say."""

import asyncio

from prometheus_client import Gauge

from shared.db import Database
from shared.log import describe, get_logger
from shared.practice import is_practice
from shared.towns import list_towns
from shared.webhooks.views import count_stopped

log = get_logger(__name__)

WEBHOOKS_STOPPED = Gauge(
    "choudo_webhooks_stopped",
    "Systems of all towns that are told nothing any more: they took nothing for a day, or said that they are gone",
)
# Whoever is stopped was away for a day already; each town is asked by itself.
INTERVAL_S = 600.0


class Measuring:
    """Several may run: each says the same."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            try:
                await self.measure()
            except Exception as error:  # noqa: BLE001 - the database is away: what is stopped stays so
                log.warning("measuring_failed", **describe(error))
            await asyncio.sleep(INTERVAL_S)

    async def measure(self) -> None:
        """Set the metric: how many systems are stopped."""
        async with self._db.begin_across_towns() as session:
            towns = [town for town in await list_towns(session) if not is_practice(town)]
        stopped = 0
        for municipality in towns:
            async with self._db.begin(municipality) as session:
                stopped += await count_stopped(session, municipality)
        WEBHOOKS_STOPPED.set(stopped)
