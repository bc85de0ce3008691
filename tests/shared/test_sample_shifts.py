"""The times that `make run` gives its sample helper are times of the sample town."""

import asyncio

import msgspec
import pytest
from sqlalchemy import text

from deploy.cli import INTACT, main
from deploy.local import sample_shifts
from deploy.local.run import SAMPLE_HELPER, SAMPLE_MUNICIPALITY, SAMPLE_PROFILE, SAMPLE_TOWN
from deploy.local.sample_shifts import SAMPLE_SHIFTS, add_sample_shifts
from services.booking.consumers import make_handlers
from services.booking.keys import Keys
from services.booking.settings import load_settings
from shared.clock import utc_now
from shared.db import Database
from shared.events.routing import AccountOpened
from tests.conftest import TestDatabase


async def test_the_sample_helper_is_at_the_sample_towns_venues_once(
    database: TestDatabase, root_dir: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (database.environ | {"DATABASE_URL": database.admin_url}).items():
        monkeypatch.setenv(name, value)
    helper = ["account", "open", SAMPLE_HELPER, "--town", SAMPLE_MUNICIPALITY, *SAMPLE_PROFILE]
    for arguments in (["town", "load", f"{root_dir}/{SAMPLE_TOWN}"], helper):
        assert await asyncio.to_thread(main, arguments) == INTACT
    monkeypatch.setattr(sample_shifts, "ARRIVAL_TIMEOUT_S", 0.2)
    with pytest.raises(TimeoutError):
        await add_sample_shifts(SAMPLE_MUNICIPALITY, SAMPLE_HELPER, database.environ)
    await hear_of_the_account(database)
    added = [await add_sample_shifts(SAMPLE_MUNICIPALITY, SAMPLE_HELPER, database.environ) for _ in range(2)]
    assert added == [len(SAMPLE_SHIFTS), 0]
    async with database.owner_engine("booking").connect() as connection:
        venues = text("SELECT DISTINCT counter FROM booking.slot JOIN booking.helper_shift ON venue = counter")
        assert set((await connection.execute(venues)).scalars()) == {"KOMINKAN", "SHOGAI", "SHUKAIJO"}


async def hear_of_the_account(database: TestDatabase) -> None:
    """As booking's worker does."""
    async with database.owner_engine("routing").connect() as connection:
        told = text("SELECT payload, sealed FROM routing.outbox WHERE type = 'routing.account_opened.v1'")
        row = (await connection.execute(told)).one()
    event = msgspec.structs.replace(msgspec.json.decode(bytes(row.payload), type=AccountOpened), sealed=row.sealed)
    settings = load_settings(database.environ)
    db = Database(settings.database_url, service="booking")
    async with db.begin(SAMPLE_MUNICIPALITY) as session:
        await make_handlers(Keys.from_settings(settings))[AccountOpened](session, event, now=utc_now())
    await db.dispose()
