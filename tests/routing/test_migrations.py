"""The schema: migrations go up and down, match the tables, and every row belongs to a town."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from services.routing.tables import metadata
from services.routing.tables import procedure as procedure_table
from shared import migrations
from shared.db import Database
from shared.messaging.tables import TABLES_ACROSS_TOWNS
from tests.conftest import TestDatabase
from tests.routing.makers import OTHER_TOWN, TOWN


async def test_the_migrations_match_the_tables_and_go_down_and_up_again(bare_database: TestDatabase) -> None:
    owner_url = bare_database.environ["CHOUDO_ROUTING_OWNER_DATABASE_URL"]
    migrations.check("routing", owner_url)
    migrations.downgrade("routing", owner_url)
    async with bare_database.owner_engine("routing").connect() as connection:
        left = await connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'routing' LIMIT 50"))
        assert set(left.scalars()) == {"alembic_version"}
    migrations.upgrade("routing", owner_url)
    migrations.check("routing", owner_url)


async def test_every_table_shows_one_town_only(bare_database: TestDatabase) -> None:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'routing' AND NOT rowsecurity LIMIT 50"
    async with bare_database.owner_engine("routing").connect() as connection:
        open_tables = set((await connection.execute(text(query))).scalars())
    assert open_tables == {*TABLES_ACROSS_TOWNS, "alembic_version"}


def test_the_municipality_leads_every_key_and_index() -> None:
    for table in metadata.sorted_tables:
        assert next(iter(table.primary_key.columns)).name == "municipality", table
        if table.name in TABLES_ACROSS_TOWNS:
            continue
        for index in table.indexes:
            assert next(iter(index.columns)).name == "municipality", index.name


async def test_a_transaction_of_one_town_sees_nothing_of_another(db: Database) -> None:
    async with db.begin(TOWN) as session:
        towns = set((await session.execute(select(procedure_table.c.municipality))).scalars())
    assert towns == {TOWN}
    async with db.begin_across_towns() as session:
        assert (await session.execute(select(procedure_table.c.code))).first() is None
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with db.begin(TOWN) as session:
            await session.execute(
                text("INSERT INTO routing.counter VALUES (:town, 'x', 'x', 'x', 'x', 'x')"), {"town": OTHER_TOWN}
            )


@pytest.mark.parametrize("table", ["ledger_entry", "ledger_chain", "audit", "checkpoint"])
async def test_what_was_recorded_cannot_be_changed_by_the_service(db: Database, table: str) -> None:
    for statement in (f"DELETE FROM routing.{table}", f"UPDATE routing.{table} SET municipality = 'x'"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with db.begin(TOWN) as session:
                await session.execute(text(statement))
