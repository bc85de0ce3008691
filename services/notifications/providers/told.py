"""How the providers do, told to whoever looks at them from another process: a row for each, written when it changed."""

import asyncio
from datetime import datetime
from uuid import uuid4

from services.notifications.commands.provider_health import keep_health
from services.notifications.providers.provider import Health
from services.notifications.providers.providers import Providers
from shared.clock import Clock
from shared.db import Database
from shared.log import describe, get_logger

log = get_logger(__name__)

EVERY_S = 5.0
# Even if nothing changed: so it is seen that somebody is there.
AT_LEAST_EVERY_S = 60.0


class HealthLoop:
    """Tells how this process's providers do."""

    def __init__(self, db: Database, providers: Providers, clock: Clock) -> None:
        self._db = db
        self._providers = providers
        self._clock = clock
        self._process = uuid4()
        self._told: list[Health] = []
        self._told_at: datetime | None = None

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            try:
                await self.run_once()
            except Exception as error:  # noqa: BLE001 - the database is away: it is told the next time
                log.warning("provider_health_not_told", **describe(error))
            await asyncio.sleep(EVERY_S)

    async def run_once(self) -> bool:
        """Tell, if there is anything new; whether there was."""
        now = self._clock()
        healths = self._providers.healths(now)
        is_recent = self._told_at is not None and abs((now - self._told_at).total_seconds()) < AT_LEAST_EVERY_S
        if healths == self._told and is_recent:
            return False
        async with self._db.begin_across_towns() as session:
            await keep_health(session, self._process, healths, now=now)
        self._told, self._told_at = healths, now
        return True
