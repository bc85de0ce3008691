"""What must happen at a time: rows of `due`, claimed with a lease across towns, done in that town's transaction.

Whoever wants something done later calls `schedule` in their own transaction; `DueLoop` calls the handler of its kind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import Clock
from shared.db import Database, Prepared, again_after_deadlock
from shared.faults import pass_step
from shared.log import describe, get_logger

log = get_logger(__name__)

POLL_INTERVAL_S = 0.25
LEASE = timedelta(seconds=30)
# What fails again and again is tried after 30 s, 1 min, 2 min … about an hour, and never forgotten.
LEASE_DOUBLINGS = 7
BATCH = 100
FAILED_PAUSE_S = 1.0
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

DueHandler = Callable[[AsyncSession, str, str, datetime], Awaitable[None]]
"""`async def handler(session, municipality, ref, now)`: in the town's transaction, which also removes the due row."""


async def schedule(
    session: AsyncSession, service: str, *, municipality: str, kind: str, ref: str, due_at: datetime, keep: bool = False
) -> None:
    """Ask for `kind` to happen to `ref` at `due_at`, instead of any time asked for before.

    With `keep`, an earlier time asked for before stays (for coalescing: "soon" ten times is once).
    """
    due = {"municipality": municipality, "kind": kind, "ref": ref, "due_at": due_at}
    await _schedule(service, keep=keep).row(session, due)


class Due(NamedTuple):
    """What is to happen, to what, and when."""

    kind: str
    ref: str
    at: datetime


async def schedule_all(session: AsyncSession, service: str, municipality: str, plans: Sequence[Due]) -> None:
    """`schedule` for several plans, each of another kind or ref, in one statement."""
    if plans:
        kinds, refs, times = zip(*plans, strict=True)
        due = {"municipality": municipality, "kinds": kinds, "refs": refs, "times": times}
        await _schedule_all(service).row(session, due)


async def unschedule(session: AsyncSession, service: str, *, municipality: str, kind: str, ref: str) -> None:
    """Nothing needs to happen any more."""
    await _unschedule(service).row(session, {"municipality": municipality, "kind": kind, "ref": ref})


@cache
def _schedule(service: str, *, keep: bool) -> Prepared:
    moved = "least(due.due_at, excluded.due_at)" if keep else "excluded.due_at"
    return Prepared(f"""
        INSERT INTO {service}.due (municipality, kind, ref, due_at) VALUES (:municipality, :kind, :ref, :due_at)
        ON CONFLICT (municipality, kind, ref) DO UPDATE SET due_at = {moved}, leased_until = NULL, attempts = 0
    """)


@cache
def _schedule_all(service: str) -> Prepared:
    return Prepared(f"""
        INSERT INTO {service}.due (municipality, kind, ref, due_at)
        SELECT :municipality, plan.* FROM unnest(
            CAST(:kinds AS text[]), CAST(:refs AS text[]), CAST(:times AS timestamptz[])) AS plan
        ON CONFLICT (municipality, kind, ref) DO UPDATE
        SET due_at = excluded.due_at, leased_until = NULL, attempts = 0
    """)


@cache
def _unschedule(service: str) -> Prepared:
    return Prepared(f"DELETE FROM {service}.due WHERE (municipality, kind, ref) = (:municipality, :kind, :ref)")


class DueRows:
    """The due rows of some kinds, leased to whoever claims them: several loops may want the same."""

    def __init__(
        self, db: Database, kinds: Collection[str], clock: Clock, *, lease: timedelta, batch: int, doublings: int = 0
    ) -> None:
        self._db = db
        self._clock = clock
        self._kinds = list(kinds)
        self._values = {"kinds": self._kinds, "lease": lease, "batch": batch, "doublings": doublings}
        # The first row of each kind, by the index: however many reminders wait for their day, none is read in vain.
        self.question = f"""
            SELECT EXISTS (
                SELECT FROM unnest($1::text[]) AS known(kind) CROSS JOIN LATERAL (
                    SELECT d.due_at FROM {db.service}.due d
                    WHERE d.kind = known.kind AND (d.leased_until IS NULL OR d.leased_until <= $2)
                    ORDER BY d.due_at LIMIT 1) AS first
                WHERE first.due_at <= $2)
        """
        self._claim = Prepared(f"""
            UPDATE {db.service}.due
            SET leased_until = CAST(:now AS timestamptz)
                    + CAST(:lease AS interval) * power(2, least(due.attempts, CAST(:doublings AS int))),
                attempts = due.attempts + 1
            WHERE (municipality, kind, ref) IN (
                SELECT first.* FROM unnest(CAST(:kinds AS text[])) AS known(kind) CROSS JOIN LATERAL (
                    SELECT d.municipality, d.kind, d.ref FROM {db.service}.due d
                    WHERE d.kind = known.kind AND d.due_at <= :now
                      AND (d.leased_until IS NULL OR d.leased_until <= :lapsed)
                    ORDER BY d.due_at LIMIT :batch FOR UPDATE SKIP LOCKED) AS first)
            RETURNING municipality, kind, ref, due_at, leased_until
        """)

    async def are_there(self) -> bool:
        """Whether there is anything to claim."""
        return await self._db.look(self.question, self._kinds, self._clock())

    async def claim(self, now: datetime, *, takes_over: bool = True) -> Sequence[Any]:
        """Lease a batch of each kind; the rows, the first due first. Those whose lease has run out only if it
        `takes_over`."""
        lapsed = now if takes_over else NEVER
        async with self._db.begin_across_towns() as session:
            rows = await self._claim.rows(session, self._values | {"now": now, "lapsed": lapsed})
        # RETURNING keeps no order.
        return sorted(rows, key=lambda row: (row.due_at, row.kind, row.ref))


class DueLoop:
    """Runs the due handlers of one service. Several loops may run: a row is leased to one of them."""

    def __init__(self, db: Database, handlers: Mapping[str, DueHandler], clock: Clock) -> None:
        self._db = db
        self._handlers = handlers
        self._clock = clock
        self._rows = DueRows(db, handlers, clock, lease=LEASE, batch=BATCH, doublings=LEASE_DOUBLINGS)
        self._finish = Prepared(f"""
            DELETE FROM {db.service}.due
            WHERE (municipality, kind, ref) = (:municipality, :kind, :ref) AND leased_until = :lease
            RETURNING ref
        """)

    async def run(self) -> None:
        """Run due handlers until cancelled."""
        while True:
            try:
                done = await self.run_once() if await self._rows.are_there() else 0
            except Exception as error:  # noqa: BLE001 - the database is away: the rows stay due
                log.warning("due_loop_failed", **describe(error))
                await asyncio.sleep(FAILED_PAUSE_S)
                continue
            if done < BATCH:
                await asyncio.sleep(POLL_INTERVAL_S)

    async def is_anything_due(self) -> bool:
        """Whether there is anything that this loop would claim."""
        return await self._rows.are_there()

    async def run_once(self) -> int:
        """Claim one batch and handle it; return how many were claimed."""
        rows = await self._rows.claim(self._clock())
        pass_step("due.claimed")
        for row in rows:
            handle = partial(self._handle, row.municipality, row.kind, row.ref, row.leased_until)
            try:
                await again_after_deadlock(handle)
            except Exception as error:  # noqa: BLE001 - its lease runs out and it is tried again
                log.error("due_failed", kind=row.kind, ref=row.ref, **describe(error))
        return len(rows)

    async def _handle(self, municipality: str, kind: str, ref: str, lease: datetime) -> None:
        async with self._db.begin(municipality) as session:
            mine = {"municipality": municipality, "kind": kind, "ref": ref, "lease": lease}
            # Gone: cancelled meanwhile. Another lease: taken over. In both cases not ours to do.
            if await self._finish.row(session, mine) is not None:
                await self._handlers[kind](session, municipality, ref, self._clock())
