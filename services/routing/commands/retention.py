"""Retention (保存期間): what was given in a case goes when its procedure's days are over; with the last, the person.

A loop of the worker does it once a day; `choudo retention` says what would go, and does it at once.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.erasure import erase_subject, forget_cases, lock_subject
from services.routing.queries.inquiries import is_waiting_for_answer
from services.routing.queries.retention import DueCase, list_due_cases, list_due_subjects
from services.routing.tables import SERVICE, ledger, outbox
from shared.clock import Clock
from shared.db import Database, again_after_deadlock
from shared.erasure import erased_entry
from shared.errors import Refusal
from shared.events.routing import CaseErased
from shared.log import describe, get_logger
from shared.timekeeping import was_set_within
from shared.towns import list_towns

log = get_logger(__name__)

EVERY_S = 86_400.0
FAILED_PAUSE_S = 600.0
# A year that somebody mistyped destroys nothing.
UNTOUCHED_AFTER_STEP_S = 86_400.0

# Of what was typed in a case that is gone, a version stays that an application which is still here was sent with or
# that was confirmed at a counter in a case which is still here, and the newest one where such a case may use it.
_FORGET_ITEMS = text("""
    DELETE FROM item i
    WHERE i.municipality = :municipality AND i.subject_ref = :subject_ref AND i.case_id = ANY (CAST(:cases AS uuid[]))
      AND NOT EXISTS (
        SELECT FROM application a WHERE a.municipality = i.municipality AND a.subject_ref = i.subject_ref
          AND (a.items ->> i.key)::integer = i.version)
      AND NOT EXISTS (
        SELECT FROM desk_confirmation d JOIN case_file c USING (municipality, case_id)
        WHERE c.municipality = i.municipality AND c.subject_ref = i.subject_ref
          AND (d.items ->> i.key)::integer = i.version)
      AND NOT (
        EXISTS (SELECT FROM case_file c WHERE c.municipality = i.municipality AND c.subject_ref = i.subject_ref
                  AND i.key = ANY (c.items))
        AND NOT EXISTS (SELECT FROM item n WHERE (n.municipality, n.subject_ref, n.key)
                          = (i.municipality, i.subject_ref, i.key) AND n.version > i.version))
    RETURNING i.key, i.case_id
""")
_CONTACTS_IN_USE = text("""
    SELECT DISTINCT contact_ref FROM case_file
    WHERE municipality = :municipality AND subject_ref = :subject_ref AND contact_ref IS NOT NULL
""")


class Retention:
    """The worker's loop. Several may run: who comes second finds nothing left."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def run(self) -> None:
        """Once a day until cancelled, and at the start."""
        while True:
            try:
                if not was_set_within(self._clock, UNTOUCHED_AFTER_STEP_S):
                    await self.erase_due()
                await asyncio.sleep(EVERY_S)
            except Exception as error:  # noqa: BLE001 - the database is away: what is due stays so
                log.warning("retention_failed", **describe(error))
                await asyncio.sleep(FAILED_PAUSE_S)

    async def erase_due(self) -> int:
        """Erase what is due in all towns; how many cases that were."""
        async with self._db.begin_across_towns() as session:
            towns = await list_towns(session)
        return sum([await erase_due(self._db, town, now=self._clock()) for town in towns])


async def erase_due(db: Database, municipality: str, *, now: datetime) -> int:
    """Erase what is due in a town, a person after the other, each in a transaction; how many cases that were."""
    erased = 0
    while True:
        async with db.begin(municipality) as session:
            subjects = await list_due_subjects(session, municipality, now=now)
        done = 0
        for subject_ref in (*subjects, None):

            async def erase(subject_ref: UUID | None = subject_ref) -> int:
                async with db.begin(municipality) as session:
                    return await erase_cases_of(session, municipality, subject_ref, now=now)

            done += await again_after_deadlock(erase)
        erased += done
        if not done:
            return erased


async def erase_cases_of(session: AsyncSession, municipality: str, subject_ref: UUID | None, *, now: datetime) -> int:
    """Erase a subject's cases that are due, and with the last one the subject; how many cases that were.

    None: those in which nobody has said anything.
    """
    if subject_ref is None:
        due = await list_due_cases(session, municipality, None, now=now)
        await forget_cases(session, municipality, [case.case_id for case in due], now=now)
        return len(due)
    mine, _ = await lock_subject(session, municipality, subject_ref)
    due = await list_due_cases(session, municipality, subject_ref, now=now)
    if not due:
        return 0
    gone = [case.case_id for case in due]
    if not set(mine) - set(gone):
        if await is_waiting_for_answer(session, municipality, subject_ref):
            return 0
        try:
            await erase_subject(session, municipality, subject_ref, "retention", now=now)
        except Refusal:
            # What lies ahead of them has no case; another day.
            return 0
        return len(due)
    await _erase_cases(session, municipality, subject_ref, due, now=now)
    return len(due)


async def _erase_cases(
    session: AsyncSession, municipality: str, subject_ref: UUID, due: Sequence[DueCase], *, now: datetime
) -> None:
    who = {"municipality": municipality, "subject_ref": subject_ref}
    await forget_cases(session, municipality, [case.case_id for case in due], now=now)
    rows = await session.execute(_FORGET_ITEMS, who | {"cases": [case.case_id for case in due]})
    items: dict[UUID, set[str]] = {}
    for row in rows:
        items.setdefault(row.case_id, set()).add(row.key)
    in_use = set((await session.execute(_CONTACTS_IN_USE, who)).scalars())
    for case in due:
        event = CaseErased(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(case.case_id),
            aggregate_version=case.version + 1,
            occurred_at=now,
            case_id=case.case_id,
            subject_ref=subject_ref,
            procedure=case.procedure,
            contact_ref=case.contact_ref if case.contact_ref not in in_use else None,
        )
        names = items.get(case.case_id)
        if names is None:
            await outbox.publish(session, event)
            continue
        entry = erased_entry(
            SERVICE,
            municipality,
            subject_ref,
            names,
            "retention",
            case_id=case.case_id,
            procedure=case.procedure,
            now=now,
        )
        await ledger.write(session, entry, events=[event])
