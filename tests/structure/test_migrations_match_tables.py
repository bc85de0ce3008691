"""Each service's migrations go up, down and up again, and make the tables that the code believes in."""

import pytest
from sqlalchemy import text

from shared.migrations import SERVICES, check, downgrade, upgrade
from shared.migrations_env import VERSION_TABLE
from tests.conftest import TestDatabase

LEFT = text("""
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'S', 'v', 'm', 'p', 'f')
    UNION ALL SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = :schema
    UNION ALL SELECT t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = :schema AND t.typtype IN ('e', 'd')
    ORDER BY 1
""")


@pytest.mark.parametrize("service", SERVICES)
async def test_migrations_go_up_down_and_up_and_match_the_tables(database: TestDatabase, service: str) -> None:
    url = database.environ[f"CHOUDO_{service.upper()}_OWNER_DATABASE_URL"]

    async def made() -> list[str]:
        async with database.owner_engine(service).connect() as connection:
            return list((await connection.execute(LEFT, {"schema": service})).scalars())

    before = await made()
    check(service, url)
    downgrade(service, url)
    assert await made() == [VERSION_TABLE]
    upgrade(service, url)
    assert await made() == before
    check(service, url)
