"""A town on a real database, with its catalogue, opening hours and reminders."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from services.booking.commands.opening import load_opening_rules
from services.notifications.commands.rules import load_notice_rules
from services.routing.commands.catalogue import publish_catalogue
from shared.events.subscriptions import SERVICES
from tests.conftest import TestDatabase
from tests.erasure.town import Town, open_towns
from tests.routing.makers import HOST, make_pack
from tests.simulation.machines import Service


@pytest_asyncio.fixture
async def town(database: TestDatabase) -> AsyncIterator[Town]:
    admin = await asyncpg.connect(database.admin_url)
    await open_towns(admin)
    services = {name: Service(name, database.environ) for name in SERVICES}
    made = Town(services, admin, database.environ)
    pack = make_pack()
    async with made.at("booking") as session:
        await load_opening_rules(session, pack, now=made.now)
    async with made.at("notifications") as session:
        await load_notice_rules(session, pack, now=made.now)
    async with made.at("routing") as session:
        await publish_catalogue(session, pack, public_url=f"http://{HOST}", now=made.now)
    await made.deliver()
    yield made
    for service in made.services.values():
        await service.db.dispose()
    await made.admin.close()
