"""Upkeep: what is settled is forgotten after a time, in small batches, so that a year of work stays as fast as a day.

`docs/decisions/0017-trimming.md` says why rows are deleted instead of partitions, and how long each is kept.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import TextClause, text

from shared.clock import Clock
from shared.db import Database
from shared.log import describe, get_logger
from shared.messaging.dead_letters import INBOX_KEPT, SEALED_KEPT, count_letters
from shared.telemetry import DEAD_LETTERS
from shared.timekeeping import was_set_within

log = get_logger(__name__)

# An event and its deliveries, after the last consumer is done with it: for whoever looks into what happened.
OUTBOX_KEPT = timedelta(days=14)

MEASURE_INTERVAL_S = 15.0
TRIM_INTERVAL_S = 600.0
UNTRIMMED_AFTER_STEP_S = 86_400.0
# A few milliseconds of locks on rows that nobody asks for, and then others get their turn.
BATCH = 500
BATCH_PAUSE_S = 0.05

# Not what waits for its receipt, however old, nor what was refused: its dead letter is undecided, and its publisher is
# told when it ends. The deliveries go with their event.
_OLD_EVENTS = """
    DELETE FROM {schema}.outbox WHERE (municipality, event_id) IN (
        SELECT o.municipality, o.event_id FROM {schema}.outbox o
        WHERE o.occurred_at < :before AND NOT EXISTS (
            SELECT FROM {schema}.delivery d
            WHERE (d.municipality, d.event_id) = (o.municipality, o.event_id)
              AND (d.acked_at IS NULL OR d.acked_at >= :before OR d.outcome = 'refused'))
        ORDER BY o.occurred_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
_OLD_INBOX = """
    DELETE FROM {schema}.inbox WHERE (municipality, event_id) IN (
        SELECT i.municipality, i.event_id FROM {schema}.inbox i
        WHERE i.applied_at < :before AND NOT EXISTS (
            SELECT FROM {schema}.dead_letter d WHERE (d.municipality, d.event_id) = (i.municipality, i.event_id))
        ORDER BY i.applied_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
_OLD_SEALED = """
    UPDATE {schema}.dead_letter SET sealed = NULL, sealed_gone_at = :now WHERE (municipality, event_id) IN (
        SELECT municipality, event_id FROM {schema}.dead_letter
        WHERE died_at < :before AND sealed IS NOT NULL ORDER BY died_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""


class Upkeep:
    """One service's upkeep. Several may run: they skip what another has in hand."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._trims: Sequence[tuple[TextClause, timedelta]] = [
            (text(statement.format(schema=db.service)), kept)
            # What is some person's first. Events last: while a consumer is away for weeks, finding those that are
            # settled among all that are not may take longer than a statement may.
            for statement, kept in (
                (_OLD_SEALED, SEALED_KEPT),
                (_OLD_INBOX, INBOX_KEPT),
                (_OLD_EVENTS, OUTBOX_KEPT),
            )
        ]

    async def run(self) -> None:
        """Measure and trim until cancelled."""
        loop = asyncio.get_running_loop()
        next_trim = 0.0
        while True:
            try:
                await self.measure()
                if loop.time() >= next_trim:
                    next_trim = loop.time() + TRIM_INTERVAL_S
                    await self.trim()
            except Exception as error:  # noqa: BLE001 - the database is away: what is old does not get younger
                log.warning("upkeep_failed", **describe(error))
            await asyncio.sleep(MEASURE_INTERVAL_S)

    async def measure(self) -> None:
        """Set the metric that an alert watches: how many dead letters wait for an operator."""
        DEAD_LETTERS.labels(self._db.service).set(await count_letters(self._db))

    async def trim(self) -> int:
        """Forget all that is old enough; return how many rows that were.

        Nothing for a day after the clock was set: a year that somebody mistyped destroys nothing.
        """
        trimmed = 0
        if was_set_within(self._clock, UNTRIMMED_AFTER_STEP_S):
            return trimmed
        for statement, kept in self._trims:
            while (done := await self._trim_batch(statement, kept)) == BATCH:
                trimmed += done
                await asyncio.sleep(BATCH_PAUSE_S)
            trimmed += done
        return trimmed

    async def _trim_batch(self, statement: TextClause, kept: timedelta) -> int:
        now = self._clock()
        async with self._db.begin_across_towns() as session:
            rows = await session.execute(statement, {"now": now, "before": now - kept, "batch": BATCH})
            return len(rows.all())
