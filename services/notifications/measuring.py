"""What an alert watches of this service: whom no notice reached, and nobody of the staff has called yet."""

import asyncio
from collections import Counter

from sqlalchemy import text

from services.notifications.metrics import PEOPLE_UNREACHED, STAFF_TASK_OLDEST_SECONDS, STAFF_TASKS_OPEN
from services.notifications.queries_of_unreached import count_unreached
from shared.clock import Clock
from shared.db import Database
from shared.log import describe, get_logger
from shared.practice import is_practice

log = get_logger(__name__)

# Staff call within hours; each town is asked by itself.
INTERVAL_S = 60.0
_TOWNS = text("SELECT code FROM town.municipality ORDER BY code LIMIT 2000")


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
        """Set the metrics: how many are to be called, why, and since when."""
        now = self._clock()
        async with self._db.begin_across_towns() as session:
            towns = [town for town in (await session.execute(_TOWNS)).scalars() if not is_practice(town)]
        reasons: Counter[str] = Counter()
        people, oldest = 0, now
        for municipality in towns:
            async with self._db.begin(municipality) as session:
                counts = await count_unreached(session, municipality)
            reasons.update(counts.by_reason)
            people += counts.people
            oldest = min(oldest, counts.oldest or now)
        # A reason that nothing has any more is said no longer.
        STAFF_TASKS_OPEN.clear()
        for reason, count in reasons.items():
            STAFF_TASKS_OPEN.labels(reason).set(count)
        PEOPLE_UNREACHED.set(people)
        STAFF_TASK_OLDEST_SECONDS.set((now - oldest).total_seconds())
