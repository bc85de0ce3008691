"""The first migration makes exactly the tables of `tables.py`, and takes them away again."""

from sqlalchemy import text

from services.notifications.commands.bulk_spreading import BULK_HANDLERS
from services.notifications.tables import metadata
from shared import migrations
from shared.messaging.tables import TABLES_ACROSS_TOWNS
from tests.conftest import TestDatabase
from tests.notifications.harness import TOWN, Notifications
from tests.structure.test_towns_are_apart import OF_NO_TOWN


async def test_migrations_match_the_tables_and_go_down_and_up(database: TestDatabase) -> None:
    owner_url = database.environ["CHOUDO_NOTIFICATIONS_OWNER_DATABASE_URL"]
    migrations.check("notifications", owner_url)
    migrations.downgrade("notifications", owner_url)
    migrations.upgrade("notifications", owner_url)
    migrations.check("notifications", owner_url)


async def test_a_version_that_knows_no_bulk_notices_has_none_due(
    service: Notifications, database: TestDatabase
) -> None:
    """Seen to fail: its workers would have looked at rows for ever that they know nothing of."""
    owner_url = database.environ["CHOUDO_NOTIFICATIONS_OWNER_DATABASE_URL"]
    await service.rows("""
        INSERT INTO due (municipality, kind, ref, due_at)
        SELECT :town, kind, gen_random_uuid()::text, now() FROM unnest(CAST(:kinds AS text[])) AS kind RETURNING 1""",
        town=TOWN, kinds=[*BULK_HANDLERS, "send"])  # fmt: skip
    migrations.downgrade("notifications", owner_url, "0032")
    async with database.owner_engine("notifications").connect() as connection:
        kinds = list((await connection.execute(text("SELECT kind FROM notifications.due"))).scalars())
    migrations.upgrade("notifications", owner_url)
    assert kinds == ["send"]


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
