"""On the real tables: an application's role owns nothing, and no role can look into another service's schema."""

from itertools import permutations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from shared.migrations import SERVICES
from tests.conftest import TestDatabase

OWNED = text("""
    SELECT count(*) FROM (
        SELECT relowner AS owner FROM pg_class UNION ALL SELECT nspowner FROM pg_namespace
        UNION ALL SELECT proowner FROM pg_proc UNION ALL SELECT typowner FROM pg_type
        UNION ALL SELECT datdba FROM pg_database
    ) AS owned JOIN pg_roles r ON r.oid = owned.owner WHERE r.rolname = current_user
""")
POWERS = text("""
    SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication
           OR EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid)
    FROM pg_roles r WHERE rolname = current_user
""")
TABLES = text("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
              " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') ORDER BY 1")  # fmt: skip
RIGHTS = text("""
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'v', 'm')
      AND has_table_privilege(current_user, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
""")
INSERT_ONLY = ("ledger_entry", "ledger_chain")


@pytest.mark.parametrize("service", SERVICES)
async def test_an_applications_role_owns_nothing_and_has_no_power(database: TestDatabase, service: str) -> None:
    async with database.engine(service).connect() as connection:
        assert (await connection.execute(OWNED)).scalar_one() == 0
        assert (await connection.execute(POWERS)).scalar_one() is False


@pytest.mark.parametrize(("service", "other"), list(permutations(SERVICES, 2)))
async def test_no_role_reads_another_services_schema(database: TestDatabase, service: str, other: str) -> None:
    async with database.admin_engine().connect() as connection:
        tables = list((await connection.execute(TABLES, {"schema": other})).scalars())
    assert tables
    for engine in (database.engine(service), database.owner_engine(service)):
        async with engine.connect() as connection:
            usage = text("SELECT has_schema_privilege(current_user, :schema, 'USAGE, CREATE')")
            assert (await connection.execute(usage, {"schema": other})).scalar_one() is False
            assert (await connection.execute(RIGHTS, {"schema": other})).scalars().all() == []
        async with engine.connect() as connection:
            for table in tables:
                with pytest.raises(ProgrammingError, match=f"permission denied for schema {other}"):
                    await connection.execute(text(f"SELECT 1 FROM {other}.{table}"))
                await connection.rollback()


@pytest.mark.parametrize("service", SERVICES)
async def test_no_application_empties_a_table_or_changes_what_is_written_once(
    database: TestDatabase, service: str
) -> None:
    async with database.engine(service).connect() as connection:
        tables = list((await connection.execute(TABLES, {"schema": service})).scalars())
        for table in tables:
            can = text("SELECT has_table_privilege(current_user, :table, :right)")
            for right in ("TRUNCATE", "REFERENCES", "TRIGGER"):
                found = await connection.execute(can, {"table": f"{service}.{table}", "right": right})
                assert found.scalar_one() is False, f"{right} on {table}"
            for right in ("UPDATE", "DELETE"):
                if table in INSERT_ONLY:
                    found = await connection.execute(can, {"table": f"{service}.{table}", "right": right})
                    assert found.scalar_one() is False, f"{right} on {table}"
