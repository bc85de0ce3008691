"""The sealer chains new entries by hash, one sealer a town at a time, within about a second of their commit.

It finds unchained entries by anti-join: an id or time cursor would miss what commits late. It looks where the relay saw
something published, since every entry is; and everywhere now and then, for what no relay told.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import Clock, utc_now
from shared.db import Database
from shared.faults import pass_step
from shared.ledger.entry import GENESIS, entry_hash
from shared.ledger.ledger import read_row
from shared.ledger.tiles import TILE_WIDTH, Tiles
from shared.log import describe, get_logger
from shared.timekeeping import NOTICED_WITHIN_S, was_set_within
from shared.towns import list_towns

log = get_logger(__name__)

# Between two rounds, so that a busy town's entries are chained by the dozen.
PAUSE_S = 0.5
LOOK_EVERYWHERE_INTERVAL_S = 30.0
FAILED_PAUSE_S = 2.0
BATCH = 500
# Entries commit seconds after their time at the latest, so looking back this far finds them: from the newest, or from
# now where a clock was ahead. All of the ledger is looked through only now and then, for clocks that were behind, and
# after a step of the clock.
LOOK_BACK = timedelta(minutes=10)
# Where something was told it is seconds old, and a busy town has thousands of chained entries a second to look past.
LOOK_BACK_WHERE_TOLD = timedelta(seconds=10)
SWEEP_INTERVAL_S = 600.0
SWEEP_AFTER_STEP_S = LOOK_EVERYWHERE_INTERVAL_S + NOTICED_WITHIN_S
SWEEP_TIMEOUT_MS = 60_000

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_SWEEP_TIMEOUT = text(f"SET LOCAL statement_timeout = {SWEEP_TIMEOUT_MS}")


def lock_number(schema: str) -> str:
    """Of the advisory lock with which one process at a time works on a town's chain, tree and checkpoints."""
    return f"hashtextextended('{schema}.ledger/' || :municipality, 0)"


class Sealer:
    """One service's sealer. Several may run: an advisory lock lets one work on a town's chain."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock
        self._told: set[str] = set()
        self._woken = asyncio.Event()
        schema = db.service
        self._tiles = Tiles(schema)
        self._lock = text(f"SELECT pg_try_advisory_xact_lock({lock_number(schema)})")
        self._unchained = text(f"""
            SELECT e.* FROM {schema}.ledger_entry e
            WHERE e.municipality = :municipality
              AND e.occurred_at >= coalesce(CAST(:since AS timestamptz), least(CAST(:now AS timestamptz), (
                    SELECT max(newest.occurred_at) FROM {schema}.ledger_entry newest
                    WHERE newest.municipality = :municipality)) - CAST(:look_back AS interval))
              AND NOT EXISTS (SELECT 1 FROM {schema}.ledger_chain c
                              WHERE (c.municipality, c.entry_id) = (e.municipality, e.entry_id))
            ORDER BY e.occurred_at, e.entry_id LIMIT :batch
        """)
        self._last = text(f"""
            SELECT seq, entry_hash FROM {schema}.ledger_chain
            WHERE municipality = :municipality ORDER BY seq DESC LIMIT 1
        """)
        self._append = text(f"""
            INSERT INTO {schema}.ledger_chain (municipality, seq, entry_id, prev_hash, entry_hash)
            VALUES (:municipality, :seq, :entry_id, :prev_hash, :entry_hash)
        """)

    def look_in(self, towns: Iterable[str]) -> None:
        """There may be something to chain in these towns."""
        self._told.update(towns)
        self._woken.set()

    async def run(self) -> None:
        """Seal until cancelled."""
        loop = asyncio.get_running_loop()
        next_look = next_sweep = 0.0
        while True:
            try:
                if loop.time() >= next_look:
                    sweep = loop.time() >= next_sweep or was_set_within(self._clock, SWEEP_AFTER_STEP_S)
                    await self.seal_all(sweep=sweep)
                    next_look = loop.time() + LOOK_EVERYWHERE_INTERVAL_S
                    if sweep:
                        next_sweep = loop.time() + SWEEP_INTERVAL_S
                await self.seal_told()
                await asyncio.sleep(PAUSE_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), max(0.0, next_look - loop.time()))
            except Exception as error:  # noqa: BLE001 - the database is away: entries wait unchained
                log.warning("sealer_failed", **describe(error))
                await asyncio.sleep(FAILED_PAUSE_S)

    async def seal_all(self, *, sweep: bool = True) -> int:
        """Chain the unchained entries of every town; return how many. Without `sweep`, only entries of late."""
        async with self._db.begin_across_towns() as session:
            towns = await list_towns(session)
        return sum([await self._seal_town(municipality, sweep=sweep) for municipality in towns])

    async def seal_told(self) -> int:
        """Chain the entries of late of the towns that `look_in` was called with; return how many."""
        self._woken.clear()
        sealed = 0
        for municipality in sorted(self._told):
            # Taken out first: whatever is told from here on has another look.
            self._told.discard(municipality)
            try:
                sealed += await self._seal_town(municipality, sweep=False, look_back=LOOK_BACK_WHERE_TOLD)
            except BaseException:
                self.look_in([municipality])
                raise
        return sealed

    async def _seal_town(self, municipality: str, *, sweep: bool, look_back: timedelta = LOOK_BACK) -> int:
        sealed = 0
        while True:
            async with self._db.begin(municipality) as session:
                count = await self._seal_batch(session, municipality, sweep=sweep, look_back=look_back)
            if count is None:
                # Whoever is at it may have begun too early to see all.
                self.look_in([municipality])
                return sealed
            sealed += count
            if count < BATCH:
                return sealed

    async def _seal_batch(
        self, session: AsyncSession, municipality: str, *, sweep: bool, look_back: timedelta = LOOK_BACK
    ) -> int | None:
        """How many were chained, or None while another sealer is at work on this town."""
        town = {"municipality": municipality}
        if sweep:
            await session.execute(_SWEEP_TIMEOUT)
        if not (await session.execute(self._lock, town)).scalar_one():
            return None
        look = {"batch": BATCH, "look_back": look_back, "now": self._clock(), "since": BEGINNING if sweep else None}
        rows = (await session.execute(self._unchained, town | look)).all()
        if not rows:
            return 0
        last = (await session.execute(self._last, town)).one_or_none()
        seq, prev_hash = (last.seq, last.entry_hash) if last else (0, GENESIS)
        links = []
        for row in rows:
            seq += 1
            digest = entry_hash(read_row(row), prev_hash)
            links.append(town | {"seq": seq, "entry_id": row.entry_id, "prev_hash": prev_hash, "entry_hash": digest})
            prev_hash = digest
        await session.execute(self._append, links)
        if seq // TILE_WIDTH > (seq - len(links)) // TILE_WIDTH:
            await self._tiles.build(session, municipality, seq)
        pass_step("sealer.linked")
        return len(links)
