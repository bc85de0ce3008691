"""What alerts watch of this service: a provider that is left alone, and notices whose turn has come and passed."""

import asyncio

from sqlalchemy import text

from services.notifications.domain.notices import due_kind
from services.notifications.metrics import OLDEST_DUE_NOTICE_SECONDS, PROVIDER_AWAY
from services.notifications.providers.providers import Providers
from services.notifications.tables import SERVICE
from shared.clock import Clock
from shared.db import Database
from shared.log import describe, get_logger

log = get_logger(__name__)

INTERVAL_S = 5.0
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
        while True:
            try:
                await self.measure()
            except Exception as error:  # noqa: BLE001 - the database is away: another alert says so
                log.warning("measuring_failed", **describe(error))
            await asyncio.sleep(INTERVAL_S)

    async def measure(self) -> None:
        """Set the metrics."""
        now = self._clock()
        for health in self._providers.healths(now):
            PROVIDER_AWAY.labels(health.provider).set(health.state != "closed")
        async with self._db.begin_across_towns() as session:
            rows = (await session.execute(_OLDEST, {"kinds": list(LANES)})).all()
        for row in rows:
            late_s = (now - row.due_at).total_seconds() if row.due_at is not None else 0.0
            OLDEST_DUE_NOTICE_SECONDS.labels(LANES[row.kind]).set(max(0.0, late_s))
