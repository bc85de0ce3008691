"""Booking's due loop in a process of its own, for the test that kills it: `CHOUDO_FAULT` says where, `NOW` when."""

import asyncio
import os
from datetime import datetime

from services.booking.settings import load_settings
from services.booking.worker import DUE_HANDLERS
from shared.db import Database
from shared.messaging.due import DueLoop


async def main() -> None:
    """Work until nothing is due."""
    db = Database(load_settings(os.environ).database_url, service="booking")
    now = datetime.fromisoformat(os.environ["NOW"])
    loop = DueLoop(db, DUE_HANDLERS, lambda: now)
    while await loop.run_once():
        pass
    await db.dispose()


if __name__ == "__main__":
    asyncio.run(main())
