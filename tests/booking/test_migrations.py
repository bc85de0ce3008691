"""The migrations go up and down, and say the same as the tables."""

import asyncio

from sqlalchemy import text

from services.booking.tables import metadata
from shared.messaging.tables import TABLES_ACROSS_TOWNS
from shared.migrations import check, downgrade, upgrade
from tests.conftest import TestDatabase


async def test_migrations_go_down_and_up_and_match_the_tables(database: TestDatabase) -> None:
    url = database.environ["CHOUDO_BOOKING_OWNER_DATABASE_URL"]
    for step in (check, downgrade, upgrade, check):
        await asyncio.to_thread(step, "booking", url)


async def test_every_table_leads_with_the_municipality_and_shows_one_town_only(database: TestDatabase) -> None:
    async with database.owner_engine("booking").connect() as connection:
        secured = await connection.execute(
            text("SELECT relname FROM pg_class WHERE relrowsecurity AND relnamespace = 'booking'::regnamespace")
        )
        names = set(secured.scalars())
    for table in metadata.tables.values():
        assert next(iter(table.primary_key.columns)).name == "municipality"
        assert (table.name in names) == (table.name not in TABLES_ACROSS_TOWNS), table.name
