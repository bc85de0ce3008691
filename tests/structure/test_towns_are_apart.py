"""The municipality leads every table, key and exclusion; row-level security covers every table of a town."""

from typing import Any

import pytest
from sqlalchemy import text

from shared.messaging.tables import TABLES_ACROSS_TOWNS
from shared.migrations import SERVICES
from shared.migrations_env import VERSION_TABLE
from tests.conftest import TestDatabase

# Read by loops before any town is known, and without readable personal data. A service adds its own with the reason.
ACROSS_TOWNS = {service: set(TABLES_ACROSS_TOWNS) for service in SERVICES}
# Of the installation, with nothing of any town in it: of these nobody's rows could be seen by another.
OF_NO_TOWN = {"provider_health"}

TABLES = text("""
    SELECT c.relname AS table, c.relrowsecurity AS is_secured,
           (SELECT a.attname FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum LIMIT 1) AS first_column,
           (SELECT a.attnotnull FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname = 'municipality') AS is_required,
           EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p') AS has_key,
           (SELECT coalesce(array_agg(p.polpermissive::text || coalesce(pg_get_expr(p.polqual, p.polrelid), '-')
                            || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-')), '{}')
            FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND c.relname <> :version_table ORDER BY 1
""")
# In an exclusion it stands beside what overlaps, wherever the index is quickest with it.
UNIQUE = text("""
    SELECT i.indexrelid::regclass::text AS name,
           (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[0]) AS leading,
           i.indisexclusion AND EXISTS (
               SELECT 1 FROM pg_constraint k, unnest(k.conkey, k.conexclop) AS part(number, operator)
               JOIN pg_operator o ON o.oid = part.operator
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.number
               WHERE k.conindid = i.indexrelid AND a.attname = 'municipality' AND o.oprname = '=') AS is_beside
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname <> :version_table AND (i.indisunique OR i.indisexclusion) ORDER BY 1
""")
FOREIGN = text("""
    SELECT k.conname AS name, k.conrelid::regclass::text AS table,
           (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1]) AS leading,
           (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = k.confrelid AND a.attnum = k.confkey[1]) AS target
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND k.contype = 'f' ORDER BY 1
""")


async def ask(database: TestDatabase, query: Any, schema: str) -> list[Any]:
    async with database.admin_engine().connect() as connection:
        values = {"schema": schema} | ({"version_table": VERSION_TABLE} if ":version_table" in query.text else {})
        return list((await connection.execute(query, values)).all())


@pytest.mark.parametrize("service", SERVICES)
async def test_the_municipality_leads_every_table_and_key(database: TestDatabase, service: str) -> None:
    tables = [table for table in await ask(database, TABLES, service) if table.table not in OF_NO_TOWN]
    assert len(tables) > len(TABLES_ACROSS_TOWNS)
    assert [table.table for table in tables if table.first_column != "municipality"] == []
    assert [table.table for table in tables if not table.is_required] == []
    assert [table.table for table in tables if not table.has_key] == []
    of_no_town = tuple(f"{service}.{table}_pkey" for table in OF_NO_TOWN)
    keys = [key for key in await ask(database, UNIQUE, service) if key.name not in of_no_town]
    assert [key.name for key in keys if key.leading != "municipality" and not key.is_beside] == []
    across = [
        f"{key.table}.{key.name}"
        for key in await ask(database, FOREIGN, service)
        if (key.leading, key.target) != ("municipality", "municipality")
    ]
    assert across == [], "a reference that could point into another town"


@pytest.mark.parametrize("service", SERVICES)
async def test_row_level_security_covers_every_table_but_those_that_loops_read(
    database: TestDatabase, service: str
) -> None:
    tables = [table for table in await ask(database, TABLES, service) if table.table not in OF_NO_TOWN]
    assert {table.table for table in tables if not table.is_secured} == ACROSS_TOWNS[service]
    town = "(municipality = current_setting('choudo.municipality'::text, true))"
    for table in tables:
        expected = [f"true{town}{town}"] if table.is_secured else []
        assert table.policies == expected, table.table
