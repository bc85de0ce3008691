"""What is settled long ago goes (`domain/retention.py`): small batches, each in a transaction of its own.

A loop and no due row: it knows whether the clock was set, so that a year that somebody mistyped destroys nothing.
"""

import asyncio
from datetime import datetime

from services.notifications.domain.retention import CODES_KEPT, NOTICES_KEPT, REFS_KEPT
from services.notifications.tables import SERVICE
from shared.clock import Clock
from shared.db import Database, Prepared
from shared.log import describe, get_logger
from shared.timekeeping import was_set_within
from shared.towns import list_towns

log = get_logger(__name__)

# Codes live a day, and not much longer.
EVERY_S = 3_600.0
FAILED_PAUSE_S = 600.0
UNTOUCHED_AFTER_STEP_S = 86_400.0
# A few milliseconds of locks on rows that nobody asks for, and then others get their turn.
BATCH = 500
BATCH_PAUSE_S = 0.05

_OLD_CODES = f"""
    DELETE FROM {SERVICE}.way_code WHERE (municipality, code_id) IN (
        SELECT municipality, code_id FROM {SERVICE}.way_code
        WHERE municipality = :municipality AND asked_at <= :before LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
_OLD_LINE_CODES = f"""
    DELETE FROM {SERVICE}.line_code WHERE (municipality, code_id) IN (
        SELECT municipality, code_id FROM {SERVICE}.line_code
        WHERE municipality = :municipality AND asked_at <= :before LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
_OLD_LINE_TRIES = f"""
    DELETE FROM {SERVICE}.line_try WHERE (municipality, try_id) IN (
        SELECT municipality, try_id FROM {SERVICE}.line_try
        WHERE municipality = :municipality AND tried_at <= :before LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
_OLD_REFS = f"""
    UPDATE {SERVICE}.attempt SET (provider_ref, tag) = (NULL, NULL) WHERE (municipality, notice_id, attempt_no) IN (
        SELECT municipality, notice_id, attempt_no FROM {SERVICE}.attempt
        WHERE municipality = :municipality AND started_at <= :before AND num_nonnulls(provider_ref, tag) > 0
        LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
# Not what waits, what staff still have to do, or what is about a day that is not past so long: it may be told again.
_OLD_NOTICES = f"""
    WITH old AS MATERIALIZED (
        SELECT municipality, notice_id FROM {SERVICE}.notice n
        WHERE municipality = :municipality AND created_at <= :before AND coalesce(settled_at, created_at) <= :before
          AND state NOT IN ('pending', 'sending', 'unknown')
          AND NOT EXISTS (
            SELECT FROM {SERVICE}.staff_task t WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id)
              AND (t.done_at IS NULL OR t.done_at > :before))
          AND NOT EXISTS (
            SELECT FROM {SERVICE}.appointment a
            WHERE (a.municipality, a.appointment_id) = (n.municipality, n.appointment_id) AND a.ends_at > :before)
        ORDER BY created_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED),
    tasks AS (DELETE FROM {SERVICE}.staff_task t USING old
              WHERE (t.municipality, t.notice_id) = (old.municipality, old.notice_id)),
    attempts AS (DELETE FROM {SERVICE}.attempt a USING old
                 WHERE (a.municipality, a.notice_id) = (old.municipality, old.notice_id))
    DELETE FROM {SERVICE}.notice n USING old
    WHERE (n.municipality, n.notice_id) = (old.municipality, old.notice_id)
    RETURNING 1
"""
# What overtook an earlier word stays as long as that one.
_OLD_TOLD = f"""
    DELETE FROM {SERVICE}.told WHERE (municipality, told_id) IN (
        SELECT municipality, told_id FROM {SERVICE}.told t
        WHERE municipality = :municipality AND occurred_at <= :before
          AND NOT EXISTS (
            SELECT FROM {SERVICE}.notice n WHERE (n.municipality, n.told_id) = (t.municipality, t.told_id))
          AND NOT EXISTS (
            SELECT FROM {SERVICE}.told e WHERE (e.municipality, e.about) = (t.municipality, t.about)
              AND e.occurred_at < t.occurred_at)
        LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
_OLD_APPOINTMENTS = f"""
    DELETE FROM {SERVICE}.appointment WHERE (municipality, appointment_id) IN (
        SELECT municipality, appointment_id FROM {SERVICE}.appointment a
        WHERE municipality = :municipality AND ends_at <= :before AND NOT EXISTS (
            SELECT FROM {SERVICE}.notice n
            WHERE (n.municipality, n.appointment_id) = (a.municipality, a.appointment_id))
        LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
# Of nobody that we know: no case and no person takes it along.
_OLD_APPLICATIONS = f"""
    DELETE FROM {SERVICE}.application WHERE (municipality, application_id) IN (
        SELECT municipality, application_id FROM {SERVICE}.application a
        WHERE municipality = :municipality AND num_nonnulls(subject_ref, contact_ref, case_id) = 0
          AND coalesce(until, ends_at, :before) <= :before AND NOT EXISTS (
            SELECT FROM {SERVICE}.notice n
            WHERE (n.municipality, n.application_id) = (a.municipality, a.application_id))
        LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
    RETURNING 1
"""
# In this order: what was told, and appointments, go once nothing refers to them.
_OLD = tuple(
    (Prepared(statement), kept)
    for statement, kept in (
        (_OLD_CODES, CODES_KEPT),
        (_OLD_LINE_CODES, CODES_KEPT),
        (_OLD_LINE_TRIES, CODES_KEPT),
        (_OLD_REFS, REFS_KEPT),
        (_OLD_NOTICES, NOTICES_KEPT),
        (_OLD_TOLD, NOTICES_KEPT),
        (_OLD_APPOINTMENTS, NOTICES_KEPT),
        (_OLD_APPLICATIONS, NOTICES_KEPT),
    )
)


class Tidying:
    """The worker's loop. Several may run: they skip what another has in hand."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def run(self) -> None:
        """Tidy up until cancelled, and at the start."""
        while True:
            try:
                await self.run_once()
                await asyncio.sleep(EVERY_S)
            except Exception as error:  # noqa: BLE001 - the database is away: what is old does not get younger
                log.warning("tidying_failed", **describe(error))
                await asyncio.sleep(FAILED_PAUSE_S)

    async def run_once(self) -> int:
        """Remove all that is old enough in all towns; how many rows that were. Nothing for a day after the clock was
        set."""
        if was_set_within(self._clock, UNTOUCHED_AFTER_STEP_S):
            return 0
        async with self._db.begin_across_towns() as session:
            towns = await list_towns(session)
        return sum([await tidy_up(self._db, town, now=self._clock()) for town in towns])


async def tidy_up(db: Database, municipality: str, *, now: datetime) -> int:
    """Remove all that is old enough in a town; how many rows that were."""
    removed = 0
    for statement, kept in _OLD:
        while (done := await _remove_batch(db, municipality, statement, now - kept)) == BATCH:
            removed += done
            await asyncio.sleep(BATCH_PAUSE_S)
        removed += done
    return removed


async def _remove_batch(db: Database, municipality: str, statement: Prepared, before: datetime) -> int:
    async with db.begin(municipality) as session:
        return len(await statement.rows(session, {"municipality": municipality, "before": before}))
