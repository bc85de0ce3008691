"""The ledger: entries join the business transaction, and are chained by whoever seals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.db import Database
from shared.events.ledger import ReuseRecorded
from shared.ledger.entry import GENESIS, entry_hash
from shared.ledger.sealer import BATCH, Sealer
from shared.ledger.verify import verify
from tests.conftest import TestDatabase
from tests.shared.conftest import MakeDb
from tests.shared.ledgers import chain_of, make_ledger, write
from tests.shared.makers import NOW, TOWN, make_entry, rows_of

pytestmark = pytest.mark.usefixtures("towns")


async def test_an_entry_joins_the_callers_transaction_with_its_publication(make_db: MakeDb) -> None:
    db = make_db("booking")

    async def fail_after_writing() -> None:
        async with db.begin(TOWN) as session:
            await make_ledger().write(session, make_entry())
            raise RuntimeError("the business rule said no")

    with pytest.raises(RuntimeError):
        await fail_after_writing()
    entry = make_entry()
    await write(db, entry)
    async with db.begin(TOWN) as session:
        rows = (await session.execute(text("SELECT entry_id, items, commitments FROM booking.ledger_entry"))).all()
    assert [(row.entry_id, row.items, row.commitments) for row in rows] == [
        (entry.entry_id, ["name", "kana"], entry.commitments)
    ]
    (published,) = await rows_of(db, "SELECT payload FROM booking.outbox")
    event = msgspec.json.decode(bytes(published.payload), type=ReuseRecorded)
    assert (event.entry_id, event.service, event.items) == (entry.entry_id, "booking", ("name", "kana"))
    assert b"ab" * 32 not in bytes(published.payload), "commitments stay at home"


async def test_entries_are_chained_from_the_beginning(make_db: MakeDb) -> None:
    db = make_db("booking")
    first, second = make_entry(), make_entry(at=NOW + timedelta(seconds=1))
    await write(db, first)
    assert await Sealer(db).seal_all() == 1
    await write(db, second)
    assert await Sealer(db).seal_all() == 1
    assert await Sealer(db).seal_all() == 0
    one, two = await chain_of(db)
    assert (one.seq, one.entry_id, one.prev_hash) == (1, first.entry_id, GENESIS)
    assert one.entry_hash == entry_hash(first, GENESIS), "as it was written, so it is read"
    assert (two.seq, two.entry_id, two.prev_hash) == (2, second.entry_id, one.entry_hash)
    assert two.entry_hash == entry_hash(second, one.entry_hash)
    verdict = await verify(db, TOWN)
    assert (verdict.intact, verdict.checked, verdict.unchained) == (True, 2, 0)


async def test_an_entry_with_every_field_survives_the_way_through_the_table(make_db: MakeDb) -> None:
    db = make_db("booking")
    entry = make_entry(
        at=NOW.replace(microsecond=123_456),
        acting_for=make_entry().subject_ref,
        office=None,
        target_procedure="CHI02",
        target_case=make_entry().entry_id,
        requested_at=NOW,
        provided_at=NOW + timedelta(microseconds=1),
        commitments={"名前": "ff", "a": "00", "\U00020bb7": "1"},
        explicit_request=True,
        visibility="internal",
        correlation=make_entry().entry_id,
        legal_basis="appi_69_2_1",
        items=(),
    )
    await write(db, entry)
    await Sealer(db).seal_all()
    (link,) = await chain_of(db)
    assert link.entry_hash == entry_hash(entry, GENESIS)


async def test_each_town_has_a_chain_of_its_own(make_db: MakeDb, towns: tuple[str, ...]) -> None:
    db = make_db("booking")
    for town in towns:
        await write(db, make_entry(municipality=town), make_entry(municipality=town))
    assert await Sealer(db).seal_all() == 4
    for town in towns:
        assert [(link.municipality, link.seq) for link in await chain_of(db, town)] == [(town, 1), (town, 2)]
        verdict = await verify(db, town)
        assert (verdict.intact, verdict.checked, verdict.unchained) == (True, 2, 0)


async def test_several_sealers_make_one_chain(make_db: MakeDb) -> None:
    """Seen to fail with the advisory lock removed: sealers then collide on the same numbers."""
    db = make_db("booking")
    await write(db, *(make_entry(at=NOW + timedelta(seconds=n)) for n in range(60)))
    sealers = [Sealer(make_db("booking")) for _ in range(4)]

    async def write_more() -> None:
        for n in range(20):
            await write(db, make_entry(at=NOW + timedelta(minutes=1 + n)))

    async def seal_often(sealer: Sealer) -> int:
        return sum([await sealer.seal_all() for _ in range(8)])

    results = await asyncio.gather(write_more(), *map(seal_often, sealers))
    total = sum(count for count in results if count is not None) + await sealers[0].seal_all()
    assert total == 80
    assert [link.seq for link in await chain_of(db)] == list(range(1, 81))
    verdict = await verify(db, TOWN)
    assert (verdict.intact, verdict.checked, verdict.unchained) == (True, 80, 0)


async def test_more_entries_than_a_batch_are_chained_in_one_go(make_db: MakeDb) -> None:
    db = make_db("booking")
    await write(db, *(make_entry() for _ in range(BATCH + 7)))
    assert await Sealer(db).seal_all() == BATCH + 7
    assert (await verify(db, TOWN)).checked == BATCH + 7


async def test_what_commits_late_with_an_earlier_time_is_still_chained(make_db: MakeDb) -> None:
    """A cursor over times or ids would never come back for it."""
    db, late_db = make_db("booking"), make_db("booking")
    late = make_entry(at=NOW - timedelta(minutes=5))
    async with late_db.begin(TOWN) as session:
        await make_ledger().write(session, late)
        await write(db, make_entry())
        assert await Sealer(db).seal_all() == 1
    assert (await verify(db, TOWN)).unchained == 1
    assert await Sealer(db).seal_all() == 1
    assert (await chain_of(db))[-1].entry_id == late.entry_id
    assert (await verify(db, TOWN)).intact


async def test_an_entry_of_a_clock_that_was_ahead_hides_no_other(make_db: MakeDb) -> None:
    """Seen to fail looking back from the newest entry alone: the others waited for the next sweep."""
    db = make_db("booking")
    sealer = Sealer(db, lambda: NOW)
    await write(db, make_entry(at=NOW + timedelta(hours=1)))
    assert await sealer.seal_all(sweep=False) == 1
    await write(db, make_entry(at=NOW))
    assert await sealer.seal_all(sweep=False) == 1
    assert (await verify(db, TOWN)).intact


async def test_a_writer_does_not_wait_for_the_sealer(make_db: MakeDb) -> None:
    db, sealing_db = make_db("booking"), make_db("booking")
    await write(db, make_entry())
    sealer = Sealer(sealing_db)
    async with sealing_db.begin(TOWN) as session:
        assert await sealer._seal_batch(session, TOWN, sweep=True) == 1
        # A writer that waited would wait for ever, and the lock timeout would end it with an error.
        await write(db, make_entry())
        assert await Sealer(db).seal_all() == 0, "one sealer at a time"
    assert await Sealer(db).seal_all() == 1


@asynccontextmanager
async def running(sealer: Sealer) -> AsyncIterator[None]:
    """The sealer at work, its first look at everything behind it."""
    task = asyncio.create_task(sealer.run())
    await asyncio.sleep(0.3)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def links_come_to(db: Database, count: int) -> None:
    async with asyncio.timeout(10):
        while len(await chain_of(db)) < count:
            await asyncio.sleep(0.02)


async def test_the_sealer_looks_at_once_where_it_is_told(make_db: MakeDb) -> None:
    """Seen to fail without being told: the next look at everything is half a minute away."""
    db = make_db("booking")
    sealer = Sealer(db)
    async with running(sealer):
        for count in (1, 2):
            await write(db, make_entry())
            sealer.look_in([TOWN])
            await links_come_to(db, count)


async def test_the_sealer_finds_by_itself_what_nobody_told(make_db: MakeDb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.ledger.sealer.LOOK_EVERYWHERE_INTERVAL_S", 1.0)
    db = make_db("booking")
    async with running(Sealer(db)):
        for count in (1, 2):
            await write(db, make_entry())
            await links_come_to(db, count)


async def test_a_town_that_another_sealer_is_at_has_another_look(make_db: MakeDb) -> None:
    """Seen to fail when it counts as looked at: the other may have begun before the entry was there."""
    db, other_db = make_db("booking"), make_db("booking")
    sealer = Sealer(db)
    async with other_db.begin(TOWN) as session:
        assert await Sealer(other_db)._seal_batch(session, TOWN, sweep=False) == 0
        await write(db, make_entry())
        sealer.look_in([TOWN])
        assert await sealer.seal_told() == 0
    assert await sealer.seal_told() == 1
    assert await sealer.seal_told() == 0


async def test_a_town_where_the_database_failed_has_another_look(make_db: MakeDb, database: TestDatabase) -> None:
    """Seen to fail when it counts as looked at."""
    db = make_db("booking")
    await write(db, make_entry())
    sealer = Sealer(db)
    sealer.look_in([TOWN])
    async with database.admin_engine().begin() as connection:
        await connection.execute(text("LOCK TABLE booking.ledger_chain IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DBAPIError):
            await sealer.seal_told()
    assert await sealer.seal_told() == 1
