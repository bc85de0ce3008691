"""Checkpoints: once a day, the root over a service's whole ledger of a town, kept, and told to routing for all to read.

Whoever wrote a root down can tell later whether anything before it was changed, taken out or put in.
"""

import asyncio
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import JST, Clock, jst_day, utc_now
from shared.db import Database, Prepared
from shared.events.ledger import CheckpointMade
from shared.ledger.sealer import lock_number
from shared.ledger.tiles import Tiles, TilesBehind
from shared.log import describe, get_logger
from shared.messaging.outbox import Outbox
from shared.telemetry import LEDGER_CONTRADICTIONS
from shared.towns import list_towns

log = get_logger(__name__)

# After midnight in Japan: what was done before is committed and chained by then.
MAKE_AT: Final = time(0, 5)
LOOK_INTERVAL_S = 30.0
FAILED_PAUSE_S = 30.0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a service's whole ledger of a town came to, when a day had ended: the first `tree_size` entries' root."""

    service: str
    day: date
    tree_size: int
    root: str
    made_at: datetime


class Checkpoints:
    """A service's checkpoints, as they stand in its own schema."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._all = Prepared(f"""
            SELECT day, tree_size, root, made_at FROM {schema}.ledger_checkpoint
            WHERE municipality = :municipality ORDER BY tree_size, day LIMIT 100000
        """)
        self._of_day = Prepared(f"""
            SELECT day, tree_size, root, made_at FROM {schema}.ledger_checkpoint
            WHERE (municipality, day) = (:municipality, :day)
        """)
        self._largest = Prepared(f"""
            SELECT day, tree_size, root, made_at FROM {schema}.ledger_checkpoint
            WHERE municipality = :municipality ORDER BY tree_size DESC, day DESC LIMIT 1
        """)
        self._keep = Prepared(f"""
            INSERT INTO {schema}.ledger_checkpoint (municipality, day, tree_size, root, made_at)
            VALUES (:municipality, :day, :tree_size, :root, :made_at)
        """)

    async def every(self, session: AsyncSession, municipality: str) -> list[Checkpoint]:
        """All of a town, the smallest tree first."""
        return [self._read(row) for row in await self._all.rows(session, {"municipality": municipality})]

    async def of_day(self, session: AsyncSession, municipality: str, day: date) -> Checkpoint | None:
        """That of a day."""
        return self._read_or_none(await self._of_day.row(session, {"municipality": municipality, "day": day}))

    async def largest(self, session: AsyncSession, municipality: str) -> Checkpoint | None:
        """That of the largest tree: the last, as far as clocks went right."""
        return self._read_or_none(await self._largest.row(session, {"municipality": municipality}))

    async def keep(self, session: AsyncSession, municipality: str, made: Checkpoint) -> None:
        """Write one."""
        await self._keep.row(session, msgspec.structs.asdict(made) | {"municipality": municipality})

    def _read_or_none(self, row: Any) -> Checkpoint | None:
        return None if row is None else self._read(row)

    def _read(self, row: Any) -> Checkpoint:
        return Checkpoint(
            service=self._schema, day=row.day, tree_size=row.tree_size, root=row.root, made_at=row.made_at
        )


class Checkpointer:
    """Makes a service's checkpoints. Several may run: each town has one a day."""

    def __init__(self, db: Database, outbox: Outbox, clock: Clock = utc_now) -> None:
        self._db = db
        self._outbox = outbox
        self._clock = clock
        self._tiles = Tiles(db.service)
        self._checkpoints = Checkpoints(db.service)
        # Not only tried for, as the sealer does: whoever holds it is done in no time.
        self._lock = Prepared(f"SELECT pg_advisory_xact_lock({lock_number(db.service)})")
        self._done: date | None = None
        # From zero: of a counter that begins at one, no alert sees the first.
        LEDGER_CONTRADICTIONS.labels(db.service)

    async def run(self) -> None:
        """Make what is to be made, until cancelled."""
        while True:
            try:
                day = day_to_close(self._clock())
                if day != self._done:
                    await self.make_all(now=self._clock())
                    self._done = day
            except Exception as error:  # noqa: BLE001 - the database is away, or one town fails: all are looked at again
                log.warning("checkpointer_failed", **describe(error))
                await asyncio.sleep(FAILED_PAUSE_S)
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def make_all(self, *, now: datetime) -> int:
        """Every town's checkpoint of the day that has ended; return how many were made.

        Raises what went wrong with a town, when all have had their turn.
        """
        async with self._db.begin_across_towns() as session:
            towns = await list_towns(session)
        made, failed = 0, None
        for municipality in towns:
            try:
                made += await self.make(municipality, now=now) is not None
            except Exception as error:  # noqa: BLE001 - one town's trouble is not the others'
                failed = error
        if failed is not None:
            raise failed
        return made

    async def make(self, municipality: str, *, now: datetime) -> Checkpoint | None:
        """The checkpoint of the last day that has ended, over all that is chained by now; None if there is one already.

        A day on which no worker ran has none: the next one has its entries, and says when it was made.
        """
        while True:
            async with self._db.begin(municipality) as session:
                await self._lock.row(session, {"municipality": municipality})
                day = day_to_close(now)
                if await self._checkpoints.of_day(session, municipality, day) is not None:
                    return None
                size = await self._tiles.size(session, municipality)
                try:
                    if await self._tiles.build(session, municipality, size):
                        return await self._make(session, municipality, day, size, now=now)
                except TilesBehind:
                    # Of a chain with all its links, every tile can be built.
                    self._refuse(municipality, day)
                    return None

    async def _make(
        self, session: AsyncSession, municipality: str, day: date, size: int, *, now: datetime
    ) -> Checkpoint | None:
        before = await self._checkpoints.largest(session, municipality)
        if before is not None and not await self._still_says(session, municipality, before, size):
            self._refuse(municipality, before.day)
            return None
        root = (await self._tiles.root(session, municipality, size)).hex()
        made = Checkpoint(service=self._db.service, day=day, tree_size=size, root=root, made_at=now)
        await self._checkpoints.keep(session, municipality, made)
        await self._outbox.publish(session, _event(municipality, made))
        return made

    async def _still_says(self, session: AsyncSession, municipality: str, before: Checkpoint, size: int) -> bool:
        if before.tree_size > size:
            return False
        return (await self._tiles.root(session, municipality, before.tree_size)).hex() == before.root

    def _refuse(self, municipality: str, day: date) -> None:
        """A new root over a changed past would make it look right."""
        log.error("ledger_contradicts_itself", municipality=municipality, day=day.isoformat())
        LEDGER_CONTRADICTIONS.labels(self._db.service).inc()


def day_to_close(now: datetime) -> date:
    """The last day in Japan that has ended, some minutes ago."""
    today = jst_day(now)
    is_early = now.astimezone(JST).time() < MAKE_AT
    return today - timedelta(days=2 if is_early else 1)


def _event(municipality: str, made: Checkpoint) -> CheckpointMade:
    aggregate = f"{made.service}/{made.day}"
    return CheckpointMade(
        event_id=uuid5(NAMESPACE_URL, f"ledger:{municipality}/{aggregate}"),
        municipality=municipality,
        aggregate_id=aggregate,
        aggregate_version=1,
        occurred_at=made.made_at,
        **msgspec.structs.asdict(made),
    )
