"""Once a day each ledger's root is kept and published; every entry before it can be proved to be in it."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.db import Database
from shared.errors import Refusal
from shared.events.ledger import CheckpointMade
from shared.ledger import tiles
from shared.ledger.checkpoints import Checkpointer, Checkpoints, day_to_close
from shared.ledger.entry import canonical
from shared.ledger.merkle import EMPTY_ROOT, Growing, is_consistent, leaf_hash
from shared.ledger.proofs import Prover, does_prove
from shared.ledger.sealer import Sealer, lock_number
from shared.ledger.tiles import Tiles, TilesBehind
from shared.ledger.verify import verify
from tests.conftest import TestDatabase
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.ledgers import as_superuser, chain_of, write
from tests.shared.makers import NOW, TOWN, make_entry, make_outbox, rows_of

pytestmark = pytest.mark.usefixtures("towns")
# Ten past midnight in Japan.
MORNING = datetime(2026, 11, 24, 15, 10, tzinfo=UTC)
CLOSED = date(2026, 11, 24)
CHECKPOINTS = "SELECT municipality FROM booking.ledger_checkpoint"


def make_checkpointer(db: Database) -> Checkpointer:
    return Checkpointer(db, make_outbox("booking"))


async def fill(db: Database, count: int, *, at: datetime = NOW) -> None:
    """Entries, written and chained."""
    await write(db, *(make_entry(at=at + timedelta(milliseconds=n)) for n in range(count)))
    await Sealer(db).seal_all()


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-11-24T15:04:59.999999+00:00", "2026-11-23"),
        ("2026-11-24T15:05:00+00:00", "2026-11-24"),
        ("2026-11-25T15:04:59+00:00", "2026-11-24"),
        ("2026-11-24T00:05:00+09:00", "2026-11-23"),
    ],
)
def test_a_day_is_closed_five_minutes_after_its_end_in_japan(now: str, day: str) -> None:
    assert day_to_close(datetime.fromisoformat(now)) == date.fromisoformat(day)


async def test_a_checkpoint_is_kept_published_and_made_once(make_db: MakeDb) -> None:
    db = make_db("booking")
    await fill(db, 3)
    assert await make_checkpointer(db).make_all(now=MORNING) == 2, "of both towns, the empty one too"
    assert await make_checkpointer(db).make_all(now=MORNING + timedelta(hours=9)) == 0
    assert await make_checkpointer(db).make_all(now=MORNING + timedelta(days=1)) == 2
    growing = Growing()
    for link in await chain_of(db):
        growing.add(leaf_hash(bytes.fromhex(link.entry_hash)))
    async with db.begin(TOWN) as session:
        first, second = await Checkpoints("booking").every(session, TOWN)
    assert (first.day, first.tree_size, first.root, first.made_at) == (CLOSED, 3, growing.root().hex(), MORNING)
    assert (second.day, second.root) == (CLOSED + timedelta(days=1), first.root), "a day without entries says so"
    told = await rows_of(
        db,
        "SELECT o.municipality, payload, consumer FROM booking.outbox o JOIN booking.delivery d USING (event_id)"
        " WHERE type = 'ledger.checkpoint_made.v1' ORDER BY o.occurred_at, o.municipality",
    )
    assert [(row.municipality, row.consumer) for row in told] == [(TOWN, "routing"), ("999999", "routing")] * 2
    published = msgspec.json.decode(told[0].payload, type=CheckpointMade)
    assert (published.service, published.day, published.tree_size) == ("booking", CLOSED, 3)
    assert (published.root, published.made_at) == (first.root, MORNING)
    empty = msgspec.json.decode(told[1].payload, type=CheckpointMade)
    assert (empty.tree_size, empty.root) == (0, EMPTY_ROOT.hex())


async def test_two_checkpointers_at_once_make_one(make_db: MakeDb) -> None:
    """Seen to fail without the lock: the database then refuses the second, with an error for the log."""
    dbs = [make_db("booking") for _ in range(4)]
    await fill(dbs[0], 700)
    made = await asyncio.gather(*(make_checkpointer(db).make_all(now=MORNING) for db in dbs))
    assert sum(made) == 2
    assert len(await rows_of(dbs[0], "SELECT 1 FROM booking.outbox WHERE type = 'ledger.checkpoint_made.v1'")) == 2


async def test_after_days_without_a_worker_one_checkpoint_says_when_it_was_made(make_db: MakeDb) -> None:
    db = make_db("booking")
    await fill(db, 2)
    await make_checkpointer(db).make(TOWN, now=MORNING)
    await fill(db, 2, at=NOW + timedelta(days=2))
    late = MORNING + timedelta(days=4, hours=14)
    made = await make_checkpointer(db).make(TOWN, now=late)
    assert made is not None
    assert (made.day, made.tree_size, made.made_at) == (CLOSED + timedelta(days=4), 4, late)
    async with db.begin(TOWN) as session:
        assert len(await Checkpoints("booking").every(session, TOWN)) == 2


async def test_a_clock_that_was_a_year_ahead_keeps_no_day_from_its_checkpoint(make_db: MakeDb) -> None:
    """Days in between are not made up for, so the real ones are still free (docs/decisions/0019)."""
    db = make_db("booking")
    await fill(db, 2)
    assert await make_checkpointer(db).make(TOWN, now=MORNING + timedelta(days=365)) is not None
    await fill(db, 1, at=NOW + timedelta(hours=1))
    made = await make_checkpointer(db).make(TOWN, now=MORNING)
    assert made is not None
    assert (made.day, made.tree_size) == (CLOSED, 3)
    assert (await verify(db, TOWN)).intact


async def test_a_worker_closes_the_day_when_it_starts_and_then_every_night(
    make_db: MakeDb, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ledger.checkpoints.LOOK_INTERVAL_S", 0.02)
    db = make_db("booking")
    clock.now = MORNING
    running = asyncio.create_task(Checkpointer(db, make_outbox("booking"), clock).run())
    try:
        for count in (1, 2):
            async with asyncio.timeout(20):
                while len(await rows_in_town(db, CHECKPOINTS)) < count:
                    await asyncio.sleep(0.05)
            clock.pass_time(days=1)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_no_checkpoint_is_made_over_a_changed_past(make_db: MakeDb, database: TestDatabase) -> None:
    """Seen to fail without the comparison: the new root makes the rewritten ledger look right."""
    db = make_db("booking")
    await fill(db, 5)
    assert await make_checkpointer(db).make(TOWN, now=MORNING) is not None
    for change in (
        "UPDATE booking.ledger_chain SET entry_hash = repeat('a', 64) WHERE seq = 2",
        "DELETE FROM booking.ledger_chain WHERE seq = 3",
        "DELETE FROM booking.ledger_chain WHERE seq = 5",
    ):
        await as_superuser(database, change)
        assert await make_checkpointer(db).make(TOWN, now=MORNING + timedelta(days=1)) is None


async def test_a_town_in_trouble_keeps_no_other_from_its_checkpoint(make_db: MakeDb, database: TestDatabase) -> None:
    """Seen to fail when the first error ends the round."""
    db = make_db("booking")
    async with database.admin_engine().begin() as connection:
        # Longer than anybody waits for it.
        await connection.execute(
            text(f"SELECT pg_advisory_xact_lock({lock_number('booking')})"), {"municipality": TOWN}
        )
        with pytest.raises(DBAPIError, match="lock timeout"):
            await make_checkpointer(db).make_all(now=MORNING)
    assert [row.municipality for row in await rows_in_town(db, CHECKPOINTS, town="999999")] == ["999999"]
    assert await rows_in_town(db, CHECKPOINTS) == []
    assert await make_checkpointer(db).make_all(now=MORNING) == 1


async def test_every_entry_is_proved_by_the_first_checkpoint_that_has_it(make_db: MakeDb) -> None:
    db, prover = make_db("booking"), Prover("booking")
    entries = [make_entry(at=NOW + timedelta(seconds=n)) for n in range(7)]
    await write(db, *entries[:5])
    await Sealer(db).seal_all()

    async def refusal(entry_id: UUID) -> tuple[str, int]:
        async with db.begin(TOWN) as session:
            with pytest.raises(Refusal) as refused:
                await prover.prove(session, TOWN, entry_id)
        return refused.value.code, refused.value.status

    assert await refusal(entries[0].entry_id) == ("entry_not_proved_yet", 409)
    await make_checkpointer(db).make(TOWN, now=MORNING)
    await write(db, entries[5], internal := make_entry(at=NOW + timedelta(seconds=6), visibility="internal"))
    assert await refusal(entries[5].entry_id) == ("entry_not_proved_yet", 409), "not even chained"
    await Sealer(db).seal_all()
    assert await refusal(entries[5].entry_id) == ("entry_not_proved_yet", 409)
    await make_checkpointer(db).make(TOWN, now=MORNING + timedelta(days=1))
    assert await refusal(uuid4()) == ("entry_unknown", 404)
    async with db.begin("999999") as session:
        with pytest.raises(Refusal, match="entry_unknown"):
            await prover.prove(session, "999999", entries[0].entry_id)
    for number, entry in enumerate([*entries[:6], internal], start=1):
        async with db.begin(TOWN) as session:
            proof = await prover.prove(session, TOWN, entry.entry_id)
        assert (proof.seq, proof.tree_size) == (number, 5 if number <= 5 else 7)
        assert does_prove(proof, canonical(entry))
        assert not does_prove(proof, canonical(make_entry()))


async def test_one_days_tree_is_the_beginning_of_the_next(make_db: MakeDb) -> None:
    db = make_db("booking")
    await make_checkpointer(db).make(TOWN, now=MORNING - timedelta(days=1))
    await fill(db, 5)
    await make_checkpointer(db).make(TOWN, now=MORNING)
    await fill(db, 600, at=NOW + timedelta(days=1))
    await make_checkpointer(db).make(TOWN, now=MORNING + timedelta(days=1))
    async with db.begin(TOWN) as session:
        days = (CLOSED, CLOSED + timedelta(days=1))
        shown = await Prover("booking").prove_consistency(session, TOWN, *days)
        empty = await Prover("booking").prove_consistency(session, TOWN, CLOSED - timedelta(days=1), CLOSED)
        with pytest.raises(Refusal, match="checkpoint_unknown"):
            await Prover("booking").prove_consistency(session, TOWN, CLOSED, date(2020, 1, 1))
    path = [bytes.fromhex(each) for each in shown.path]
    old, new = (bytes.fromhex(each.root) for each in (shown.old, shown.new))
    assert (shown.old.tree_size, shown.new.tree_size) == (5, 605)
    assert is_consistent(5, 605, old, new, path)
    assert (empty.old.tree_size, empty.path) == (0, ())


async def test_the_tree_of_a_ledger_from_before_there_were_tiles_is_built_bit_by_bit(
    make_db: MakeDb, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "TILES_AT_ONCE", 2)
    db = make_db("booking")
    await fill(db, 256 * 5 + 9)
    await as_superuser(database, "DELETE FROM booking.ledger_tile")
    made = await make_checkpointer(db).make(TOWN, now=MORNING)
    assert made is not None
    assert len(await rows_in_town(db, "SELECT 1 FROM booking.ledger_tile")) == 5
    assert (await verify(db, TOWN)).intact


async def test_a_tree_that_is_behind_proves_nothing(make_db: MakeDb, database: TestDatabase) -> None:
    db = make_db("booking")
    await fill(db, 600)
    await as_superuser(database, "DELETE FROM booking.ledger_tile WHERE place = 1")
    async with db.begin(TOWN) as session:
        with pytest.raises(TilesBehind):
            await Tiles("booking").root(session, TOWN, 600)


async def test_a_tree_of_three_levels_of_tiles_has_the_right_roots(
    make_db: MakeDb, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tiles of four hashes, so that a few hundred entries are as many levels as millions are with 256."""
    monkeypatch.setattr(tiles, "TILE_HEIGHT", 2)
    monkeypatch.setattr(tiles, "TILE_WIDTH", 4)
    async with database.admin_engine().begin() as connection:
        await connection.execute(text("ALTER TABLE booking.ledger_tile DROP CONSTRAINT ledger_tile_hashes_check"))
    db = make_db("booking")
    await fill(db, 100)
    small = Tiles("booking")
    async with db.begin(TOWN) as session:
        # The sealer took its width when it was imported, and built none.
        while not await small.build(session, TOWN, 100):
            pass
    levels = await rows_in_town(db, "SELECT level, count(*) AS tiles FROM booking.ledger_tile GROUP BY 1 ORDER BY 1")
    assert [(row.level, row.tiles) for row in levels] == [(0, 25), (1, 6), (2, 1)]
    growing, leaves = Growing(), [leaf_hash(bytes.fromhex(link.entry_hash)) for link in await chain_of(db)]
    async with db.begin(TOWN) as session:
        for size, leaf in enumerate(leaves, start=1):
            growing.add(leaf)
            assert await small.root(session, TOWN, size) == growing.root(), size


@pytest.mark.parametrize("service", ["routing", "booking", "notifications"])
async def test_a_checkpoint_is_a_whole_hash_and_one_a_day(make_db: MakeDb, service: str) -> None:
    db = make_db(service)
    insert = f"INSERT INTO {service}.ledger_checkpoint VALUES ('{TOWN}', '2026-11-24', :size, :root, now())"
    for size, root in ((1, "ab"), (-1, "ab" * 32), (1, "AB" * 32)):
        with pytest.raises(DBAPIError, match="ledger_checkpoint_root_check"):
            async with db.begin(TOWN) as session:
                await session.execute(text(insert), {"size": size, "root": root})
    async with db.begin(TOWN) as session:
        await session.execute(text(insert), {"size": 1, "root": "ab" * 32})
    with pytest.raises(DBAPIError, match="ledger_checkpoint_pkey"):
        async with db.begin(TOWN) as session:
            await session.execute(text(insert), {"size": 2, "root": "cd" * 32})


async def rows_in_town(db: Database, query: str, *, town: str = TOWN) -> list[Any]:
    async with db.begin(town) as session:
        return list((await session.execute(text(query))).all())
