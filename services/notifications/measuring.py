"""What alerts watch of this service: providers that are left alone, notices that are late, whom nobody reached."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from sqlalchemy import text

from services.notifications.domain.notices import due_kind
from services.notifications.metrics import (
    OLDEST_DUE_NOTICE_SECONDS,
    PEOPLE_UNREACHED,
    PROVIDER_AWAY,
    STAFF_TASK_OLDEST_SECONDS,
    STAFF_TASKS_OPEN,
)
from services.notifications.providers.providers import Providers
from services.notifications.queries_of_unreached import count_unreached
from services.notifications.tables import SERVICE
from shared.clock import Clock
from shared.db import Database
from shared.log import describe, get_logger
from shared.practice import is_practice
from shared.towns import list_towns

log = get_logger(__name__)

# Notices are late within seconds; staff call within hours, and each town is asked by itself.
SENDING_INTERVAL_S, TASKS_INTERVAL_S = 5.0, 60.0
LANES = {due_kind(bulk=False): "urgent", due_kind(bulk=True): "bulk"}
# The first row of each lane, by the index.
_OLDEST = text(f"""
    SELECT kind, (SELECT d.due_at FROM {SERVICE}.due d WHERE d.kind = lane.kind ORDER BY d.due_at LIMIT 1) AS due_at
    FROM unnest(CAST(:kinds AS text[])) AS lane(kind)
""")


class Measuring:
    """Several may run: of what waits each says the same, of the providers each what it knows itself."""

    def __init__(self, db: Database, providers: Providers, clock: Clock) -> None:
        self._db = db
        self._providers = providers
        self._clock = clock

    async def run(self) -> None:
        """Measure until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_again(self.measure_sending, SENDING_INTERVAL_S))
            group.create_task(_again(self.measure_tasks, TASKS_INTERVAL_S))

    async def measure_sending(self) -> None:
        """Which providers are left alone, and how late each lane is."""
        now = self._clock()
        for health in self._providers.healths(now):
            PROVIDER_AWAY.labels(health.provider).set(health.state != "closed")
        async with self._db.begin_across_towns() as session:
            rows = (await session.execute(_OLDEST, {"kinds": list(LANES)})).all()
        for row in rows:
            late_s = (now - row.due_at).total_seconds() if row.due_at is not None else 0.0
            OLDEST_DUE_NOTICE_SECONDS.labels(LANES[row.kind]).set(max(0.0, late_s))

    async def measure_tasks(self) -> None:
        """How many people staff are to call, why, and since when."""
        now = self._clock()
        async with self._db.begin_across_towns() as session:
            towns = [town for town in await list_towns(session) if not is_practice(town)]
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


async def _again(measure: Callable[[], Awaitable[None]], interval_s: float) -> None:
    while True:
        try:
            await measure()
        except Exception as error:  # noqa: BLE001 - the database is away: another alert says so
            log.warning("measuring_failed", **describe(error))
        await asyncio.sleep(interval_s)
