"""The ledger: entries join the business transaction, are chained by whoever seals, and betray every change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from shared.db import Database, service_metadata
from shared.events.ledger import ReuseRecorded
from shared.ledger.entry import GENESIS, Entry, entry_hash
from shared.ledger.ledger import Ledger
from shared.ledger.sealer import BATCH, Sealer
from shared.ledger.verify import Link, verify, verify_links
from shared.messaging.outbox import Outbox
from tests.conftest import TestDatabase
from tests.shared.conftest import MakeDb
from tests.shared.makers import NOW, TOWN, make_entry, rows_of

CHAIN = "SELECT * FROM booking.ledger_chain ORDER BY municipality, seq"
pytestmark = pytest.mark.usefixtures("towns")


def make_ledger() -> Ledger:
    metadata = service_metadata("booking")
    return Ledger(metadata, Outbox("booking", metadata))


async def write(db: Database, *entries: Entry) -> None:
    async with db.begin(entries[0].municipality) as session:
        await make_ledger().write(session, *entries)


async def chain_of(db: Database, municipality: str = TOWN) -> list[Any]:
    async with db.begin(municipality) as session:
        return list((await session.execute(text(CHAIN))).all())


async def as_superuser(database: TestDatabase, statement: str, **values: Any) -> None:
    async with database.admin_engine().begin() as connection:
        await connection.execute(text("SET session_replication_role = replica"))  # past foreign keys and triggers
        assert (await connection.execute(text(statement), values)).rowcount > 0


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
    assert b"abab" not in bytes(published.payload), "commitments stay at home"


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


@pytest.mark.parametrize(
    ("statement", "broken_seq", "reason"),
    [
        ("UPDATE booking.ledger_entry SET purpose = 'else' WHERE entry_id = :entry_id", 3, "entry_altered"),
        ("UPDATE booking.ledger_entry SET items = '{name}' WHERE entry_id = :entry_id", 3, "entry_altered"),
        (
            "UPDATE booking.ledger_entry SET occurred_at = occurred_at + interval '1 us' WHERE entry_id = :entry_id",
            3,
            "entry_altered",
        ),
        ("DELETE FROM booking.ledger_entry WHERE entry_id = :entry_id", 3, "entry_missing"),
        ("DELETE FROM booking.ledger_chain WHERE seq = 3", 3, "gap"),
        ("UPDATE booking.ledger_chain SET entry_hash = repeat('a', 64) WHERE seq = 3", 3, "entry_altered"),
        ("UPDATE booking.ledger_chain SET prev_hash = repeat('a', 64) WHERE seq = 3", 3, "chain"),
        (
            # Entries 3 and 4 change places, each with its own hashes.
            (
                "UPDATE booking.ledger_chain SET seq = CASE seq WHEN 3 THEN -4 ELSE -3 END WHERE seq IN (3, 4);"
                "UPDATE booking.ledger_chain SET seq = -seq WHERE seq < 0"
            ),
            3,
            "chain",
        ),
        (
            # The entries change places, the chain's hashes stay.
            (
                "UPDATE booking.ledger_chain c SET entry_id = o.entry_id FROM booking.ledger_chain o"
                " WHERE c.seq IN (3, 4) AND o.seq = 7 - c.seq"
            ),
            3,
            "entry_altered",
        ),
        ("DELETE FROM booking.ledger_chain WHERE seq = 1", 1, "gap"),
    ],
)
async def test_whatever_is_changed_is_found_and_the_first_broken_entry_named(
    make_db: MakeDb, database: TestDatabase, statement: str, broken_seq: int, reason: str
) -> None:
    db = make_db("booking")
    entries = [make_entry(at=NOW + timedelta(seconds=n)) for n in range(5)]
    await write(db, *entries)
    await Sealer(db).seal_all()
    assert (await verify(db, TOWN)).intact
    async with database.admin_engine().begin() as connection:
        # Not to wait for uniqueness in the middle of a swap.
        await connection.execute(
            text("ALTER TABLE booking.ledger_chain DROP CONSTRAINT ledger_chain_municipality_entry_id_key")
        )
    for part in statement.split(";"):
        values = {"entry_id": entries[2].entry_id} if ":entry_id" in part else {}
        await as_superuser(database, part, **values)
    verdict = await verify(db, TOWN)
    assert (verdict.intact, verdict.broken_seq, verdict.broken_reason) == (False, broken_seq, reason)
    assert verdict.checked == broken_seq - 1


async def test_an_export_is_verified_without_a_database() -> None:
    entries = [make_entry() for _ in range(3)]
    links, prev = [], GENESIS
    for seq, entry in enumerate(entries, start=1):
        digest = entry_hash(entry, prev)
        links.append(Link(seq=seq, prev_hash=prev, entry_hash=digest, entry=entry))
        prev = digest

    async def replay(chosen: list[Link]) -> AsyncIterator[Link]:
        for link in chosen:
            yield link

    assert (await verify_links(replay(links))).checked == 3
    assert (await verify_links(replay([]))).intact
    verdict = await verify_links(replay([links[0], links[2]]))
    assert (verdict.broken_seq, verdict.broken_reason) == (2, "gap")


async def test_verifying_as_the_owner_counts_one_town_only(database: TestDatabase, make_db: MakeDb) -> None:
    """Row-level security does not bind the owner, so the query itself must name the town."""
    db = make_db("booking")
    await write(db, make_entry())
    await write(db, make_entry(municipality="999999"))
    await Sealer(db).seal_all()
    await write(db, make_entry(municipality="999999"))
    owner = Database(database.environ["CHOUDO_BOOKING_OWNER_DATABASE_URL"], service="booking")
    try:
        verdict = await verify(owner, TOWN)
    finally:
        await owner.dispose()
    assert (verdict.intact, verdict.checked, verdict.unchained) == (True, 1, 0)


@pytest.mark.parametrize("service", ["routing", "booking", "notifications"])
@pytest.mark.parametrize("table", ["ledger_entry", "ledger_chain"])
@pytest.mark.parametrize("order", ["UPDATE {} SET municipality = municipality", "DELETE FROM {}", "TRUNCATE {}"])
async def test_no_service_can_change_or_remove_what_its_ledger_says(
    make_db: MakeDb, service: str, table: str, order: str
) -> None:
    db = make_db(service)
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with db.begin(TOWN) as session:
            await session.execute(text(order.format(f"{service}.{table}")))
