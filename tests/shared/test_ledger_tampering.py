"""Whatever is changed in a ledger is found, by its name: by the chain, or where it cannot, by a checkpoint."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from shared.db import Database
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.entry import canonical
from shared.ledger.sealer import Sealer
from shared.ledger.verify import verify
from tests.conftest import TestDatabase
from tests.shared.conftest import MakeDb
from tests.shared.ledgers import as_superuser, write
from tests.shared.makers import NOW, TOWN, make_entry, make_outbox

pytestmark = pytest.mark.usefixtures("towns")
MORNING = datetime(2026, 11, 24, 15, 10, tzinfo=UTC)


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


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        # The end cut off, entries and all.
        (("DELETE FROM booking.ledger_chain WHERE seq > 3", "DELETE FROM booking.ledger_entry"), (4, "tail_missing")),
        # All of it written anew, each hash as it must be.
        (("UPDATE booking.ledger_entry SET purpose = 'else'", "DELETE FROM booking.ledger_chain"), (1, "rewritten")),
        # Only what was made of it.
        (("UPDATE booking.ledger_checkpoint SET root = repeat('a', 64)",), (1, "rewritten")),
    ],
)
async def test_what_the_chain_cannot_tell_a_checkpoint_does(
    make_db: MakeDb, database: TestDatabase, statements: tuple[str, ...], broken: tuple[int, str]
) -> None:
    """Seen to fail without the checkpoints: the first two leave a chain that holds."""
    db = make_db("booking")
    entries = [make_entry(at=NOW + timedelta(seconds=n)) for n in range(5)]
    await write(db, *entries)
    await Sealer(db).seal_all()
    assert await Checkpointer(db, make_outbox("booking")).make(TOWN, now=MORNING) is not None
    for statement in statements:
        # Of the entries only those whose links are gone.
        where = " WHERE entry_id NOT IN (SELECT entry_id FROM booking.ledger_chain)"
        await as_superuser(database, statement + (where if statement == "DELETE FROM booking.ledger_entry" else ""))
    await Sealer(db).seal_all()
    verdict = await verify(db, TOWN)
    assert (verdict.broken_seq, verdict.broken_reason) == broken
    assert verdict.broken_day == "2026-11-24"


async def test_a_checkpoint_says_from_which_entry_on_it_is_contradicted(
    make_db: MakeDb, database: TestDatabase
) -> None:
    db = make_db("booking")
    for day in range(3):
        await write(db, *(make_entry(at=NOW + timedelta(days=day, seconds=n)) for n in range(4)))
        await Sealer(db).seal_all()
        await Checkpointer(db, make_outbox("booking")).make(TOWN, now=MORNING + timedelta(days=day))
    await as_superuser(database, "UPDATE booking.ledger_checkpoint SET root = repeat('a', 64) WHERE tree_size = 8")
    verdict = await verify(db, TOWN)
    assert (verdict.broken_seq, verdict.broken_reason, verdict.broken_day) == (5, "rewritten", "2026-11-25")


@pytest.mark.parametrize("column", ["hashes", "root"])
async def test_a_changed_tile_is_found(make_db: MakeDb, database: TestDatabase, column: str) -> None:
    """Seen to fail without looking at tiles: proofs of an intact ledger then prove nothing, and nobody is told."""
    db = make_db("booking")
    await write(db, *(make_entry(at=NOW + timedelta(milliseconds=n)) for n in range(600)))
    await Sealer(db).seal_all()
    assert (await verify(db, TOWN)).intact
    await as_superuser(
        database,
        f"UPDATE booking.ledger_tile SET {column} = set_byte({column}, 7, 255 - get_byte({column}, 7)) WHERE place = 1",
    )
    verdict = await verify(db, TOWN)
    assert (verdict.broken_seq, verdict.broken_reason) == (257, "tree")


async def test_entries_of_the_first_form_hold_beside_those_that_hide_who_acted(
    make_db: MakeDb, database: TestDatabase
) -> None:
    db = make_db("booking")
    former = msgspec.structs.replace(make_entry(), blind=None)
    assert b'"actor_ref":"g1"' in canonical(former)
    await write(db, former)
    await Sealer(db).seal_all()
    await write(db, make_entry(at=NOW + timedelta(seconds=1)))
    await Sealer(db).seal_all()
    assert (await verify(db, TOWN)).checked == 2
    await as_superuser(database, "UPDATE booking.ledger_entry SET blind = repeat('a', 32) WHERE blind IS NULL")
    assert (await verify(db, TOWN)).broken_reason == "entry_altered"


def test_who_acted_is_bound_and_not_told() -> None:
    entry = make_entry(actor_kind="staff", actor_ref="chief")
    told = canonical(entry)
    assert b"chief" not in told
    assert b"actor_ref" not in told
    for other in ({"actor_ref": "clerk"}, {"commitments": {"name": "cd" * 32}}, {"blind": "ab" * 16}):
        assert canonical(msgspec.structs.replace(entry, **other)) != told, other
    assert canonical(msgspec.structs.replace(make_entry(), blind=entry.blind)) != told
    again = canonical(msgspec.structs.replace(entry, blind=make_entry().blind))
    assert again != told, "the same act twice does not show that it is the same person"


@example({"\ue000": "", "\U00010000": ""}, "", "")
@given(st.dictionaries(st.text(min_size=1), st.text()), st.text(), st.text())
def test_the_canonical_form_is_rfc_8785s(commitments: dict[str, str], purpose: str, actor: str) -> None:
    """Seen to fail with the faster encoder for rare keys, which it sorts otherwise."""
    former = make_entry(commitments=commitments, purpose=purpose, actor_ref=actor, blind=None)
    expected = msgspec.to_builtins(former)
    del expected["blind"]
    assert canonical(former) == rfc8785.dumps(expected)
    told = canonical(msgspec.structs.replace(former, blind="ab" * 16))
    assert told == rfc8785.dumps(json.loads(told))


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
@pytest.mark.parametrize("table", ["ledger_entry", "ledger_chain", "ledger_tile", "ledger_checkpoint"])
@pytest.mark.parametrize("order", ["UPDATE {} SET municipality = municipality", "DELETE FROM {}", "TRUNCATE {}"])
async def test_no_service_can_change_or_remove_what_its_ledger_says(
    make_db: MakeDb, service: str, table: str, order: str
) -> None:
    db = make_db(service)
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with db.begin(TOWN) as session:
            await session.execute(text(order.format(f"{service}.{table}")))
