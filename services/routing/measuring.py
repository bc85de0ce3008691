"""What an alert watches of this service: an inquiry that nobody answers."""

import asyncio

from services.routing.metrics import OLDEST_INQUIRY_SECONDS
from services.routing.queries.inquiries import find_oldest_unanswered
from shared.clock import Clock
from shared.db import Database
from shared.log import describe, get_logger
from shared.practice import is_practice
from shared.towns import list_towns

log = get_logger(__name__)

# It is about days, and asks each town by itself.
INTERVAL_S = 600.0


class Measuring:
    """Several may run: each says the same."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            try:
                await self.measure()
            except Exception as error:  # noqa: BLE001 - the database is away: who waits, waits
                log.warning("measuring_failed", **describe(error))
            await asyncio.sleep(INTERVAL_S)

    async def measure(self) -> None:
        """Set the metric: how long the inquiry waits that has waited longest."""
        now = self._clock()
        async with self._db.begin_across_towns() as session:
            towns = [town for town in await list_towns(session) if not is_practice(town)]
        oldest = now
        for municipality in towns:
            async with self._db.begin(municipality) as session:
                since = await find_oldest_unanswered(session, municipality)
            oldest = min(oldest, since or now)
        OLDEST_INQUIRY_SECONDS.set((now - oldest).total_seconds())
