"""The first migration makes exactly the tables of `tables.py`, and takes them away again."""

from sqlalchemy import text

from services.notifications.tables import metadata
from shared import migrations
from shared.messaging.tables import TABLES_ACROSS_TOWNS
from tests.conftest import TestDatabase
from tests.structure.test_towns_are_apart import OF_NO_TOWN


async def test_migrations_match_the_tables_and_go_down_and_up(database: TestDatabase) -> None:
    owner_url = database.environ["CHOUDO_NOTIFICATIONS_OWNER_DATABASE_URL"]
    migrations.check("notifications", owner_url)
    migrations.downgrade("notifications", owner_url)
    migrations.upgrade("notifications", owner_url)
    migrations.check("notifications", owner_url)


async def test_every_table_of_one_town_is_under_row_level_security(database: TestDatabase) -> None:
    query = text("""SELECT relname FROM pg_class WHERE relnamespace = 'notifications'::regnamespace
                    AND relkind = 'r' AND relrowsecurity LIMIT 100""")
    async with database.owner_engine("notifications").connect() as connection:
        secured = set((await connection.execute(query)).scalars())
    assert secured == {table.name for table in metadata.tables.values()} - {*TABLES_ACROSS_TOWNS, *OF_NO_TOWN}


async def test_every_key_begins_with_the_municipality() -> None:
    for table in metadata.tables.values():
        if table.name in OF_NO_TOWN:
            continue
        assert next(iter(table.primary_key.columns)).name == "municipality", table.name
