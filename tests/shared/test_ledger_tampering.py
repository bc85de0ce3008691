"""Whatever is changed in a ledger is found, by its name: by the chain, or where it cannot, by a checkpoint."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from shared.db import Database
from shared.ledger.sealer import Sealer
from shared.ledger.verify import verify
from tests.conftest import TestDatabase
from tests.shared.conftest import MakeDb
from tests.shared.ledgers import as_superuser, write
from tests.shared.makers import NOW, TOWN, make_entry

pytestmark = pytest.mark.usefixtures("towns")


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
