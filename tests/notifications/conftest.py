"""The service of a test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conftest import TestDatabase
from tests.notifications.harness import LoopTime, Notifications, running_notifications


@pytest_asyncio.fixture
async def service(database: TestDatabase) -> AsyncIterator[Notifications]:
    """Notifications with its catalogue in place."""
    async with running_notifications(database) as running:
        await running.hear(running.catalogue())
        yield running


@pytest_asyncio.fixture
async def loop_time() -> LoopTime:
    """The time of the test's event loop, in the test's hands."""
    return LoopTime()
