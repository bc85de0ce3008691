"""Every table that names a subject takes no erased one; what may all the same is said here, with its reason."""

import pytest
from sqlalchemy import Table, text

from services.booking import tables as booking
from services.notifications import tables as notifications
from services.routing import tables as routing
from shared.events.subscriptions import SERVICES
from tests.conftest import TestDatabase

TABLES = {"routing": routing, "booking": booking, "notifications": notifications}
# Entries stay, of people of whom nothing else is left; an erasure names whom it is about until all have answered.
MAY_NAME = {"ledger_entry", "erasure"}

GUARDED = text("""
    SELECT c.relname FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND t.tgname = 'guard_erased' AND t.tgenabled = 'O'
""")


@pytest.mark.parametrize("service", SERVICES)
async def test_what_names_a_subject_is_guarded(database: TestDatabase, service: str) -> None:
    """A new table with a `subject_ref` needs the trigger (`shared/erasure.py`), and its place in `erase_subject`."""
    known: list[Table] = list(TABLES[service].metadata.tables.values())
    naming = {table.name for table in known if "subject_ref" in table.c} - MAY_NAME
    async with database.admin_engine().connect() as connection:
        guarded = set((await connection.execute(GUARDED, {"schema": service})).scalars())
    assert naming == guarded
    assert set(TABLES[service].NAME_SUBJECTS) == naming
