"""Booking's ledger for the tests: entries written, chained, and tampered with as only the database's master can."""

from typing import Any

from sqlalchemy import text

from shared.db import Database, service_metadata
from shared.ledger.entry import Entry
from shared.ledger.ledger import Ledger
from shared.messaging.outbox import Outbox
from tests.conftest import TestDatabase
from tests.shared.makers import TOWN

CHAIN = "SELECT * FROM booking.ledger_chain ORDER BY municipality, seq"


def make_ledger() -> Ledger:
    """Booking's, over the tables that its migrations made."""
    metadata = service_metadata("booking")
    return Ledger(metadata, Outbox("booking", metadata))


async def write(db: Database, *entries: Entry) -> None:
    """Write entries in one transaction of their town."""
    async with db.begin(entries[0].municipality) as session:
        await make_ledger().write(session, *entries)


async def chain_of(db: Database, municipality: str = TOWN) -> list[Any]:
    """Every link of a town's chain."""
    async with db.begin(municipality) as session:
        return list((await session.execute(text(CHAIN))).all())


async def as_superuser(database: TestDatabase, statement: str, **values: Any) -> None:
    """Change what nobody may change: past foreign keys and triggers."""
    async with database.admin_engine().begin() as connection:
        await connection.execute(text("SET session_replication_role = replica"))
        assert (await connection.execute(text(statement), values)).rowcount > 0
