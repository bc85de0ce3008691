"""On the real tables: an application's role owns nothing, and no role can look into another service's schema."""

import secrets
from itertools import permutations, product
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from deploy.local.servers import Servers
from deploy.provision import drop_database, provision
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
INSERT_ONLY = ("ledger_entry", "ledger_chain", "ledger_tile", "ledger_checkpoint", "audit")


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


async def test_the_rights_are_taken_from_whatever_role_the_operator_named(servers: Servers) -> None:
    """The roles' names are those of the URLs that the operator brings, and say nothing about one another."""
    suffix = secrets.token_hex(4)
    name = f"choudo_test_named_{suffix}"
    places = {service: f"@{urlsplit(servers.database_url).netloc.rpartition('@')[2]}/{name}" for service in SERVICES}
    environ: dict[str, str] = {}
    roles: list[str] = []
    for service, place in places.items():
        for variable, role in (
            ("DATABASE_URL", f"web-{service}-{suffix}"),
            ("OWNER_DATABASE_URL", f"ddl-{service}-{suffix}"),
        ):
            environ[f"CHOUDO_{service.upper()}_{variable}"] = f"postgresql://{role}:secret{place}"
            roles.append(role)
    admin = create_async_engine(
        servers.database_url.replace("postgresql://", "postgresql+asyncpg://", 1),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    try:
        await provision(servers.database_url, environ)
        for service in SERVICES:
            url = environ[f"CHOUDO_{service.upper()}_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1)
            engine = create_async_engine(url, poolclass=NullPool)
            async with engine.connect() as connection:
                for table, right in product(INSERT_ONLY, ("UPDATE", "DELETE", "TRUNCATE")):
                    can = text("SELECT has_table_privilege(current_user, :table, :right)")
                    found = await connection.execute(can, {"table": f"{service}.{table}", "right": right})
                    assert found.scalar_one() is False, f"{right} on {service}.{table}"
                assert (
                    await connection.execute(text(f"SELECT count(*) FROM {service}.ledger_entry"))
                ).scalar_one() == 0
            await engine.dispose()
    finally:
        await drop_database(servers.database_url, name)
        async with admin.connect() as connection:
            for role in roles:
                await connection.execute(text(f'DROP ROLE IF EXISTS "{role}"'))
        await admin.dispose()
