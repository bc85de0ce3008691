"""A real worker process for the test of crashes: `python -m tests.shared.crash_worker booking|routing`.

Routing hears `AvailabilityChanged` and counts how often it had an effect; a second one would be seen.
"""

import asyncio
import os
import sys
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.crypto import ServiceBox
from shared.events.booking import AvailabilityChanged
from shared.log import configure_logging
from shared.messaging.worker import Worker

WORK_S = 0.02
# After so many effects it stays in the middle of each further one, until it is killed: 0 is never.
HELD_S = 3_600
HOLD_AFTER = int(os.environ.get("CRASH_WORKER_HOLDS_AFTER", "0"))
_done = 0
EFFECT = text("""
    INSERT INTO routing.due (municipality, kind, ref, due_at, attempts) VALUES (:town, 'effect', :ref, :now, 1)
    ON CONFLICT (municipality, kind, ref) DO UPDATE SET attempts = due.attempts + 1
""")


async def count_effect(session: AsyncSession, event: AvailabilityChanged, *, now: datetime) -> None:
    """Take a while, or stay in the middle: that is where a kill comes."""
    global _done
    await session.execute(EFFECT, {"town": event.municipality, "ref": str(event.event_id), "now": now})
    _done += 1
    await asyncio.sleep(HELD_S if HOLD_AFTER and _done > HOLD_AFTER else WORK_S)


def main(service: str) -> None:
    """Work until signalled, or killed."""
    configure_logging(service)
    Worker(
        database_url=os.environ[f"CHOUDO_{service.upper()}_DATABASE_URL"],
        service=service,
        redis_url=os.environ["CHOUDO_REDIS_URL"],
        box=ServiceBox.from_settings(
            os.environ[f"CHOUDO_{service.upper()}_BOX_KEY"], os.environ["CHOUDO_BOX_PUBLIC_KEYS"]
        ),
        make_handlers=lambda _: {AvailabilityChanged: count_effect} if service == "routing" else {},
        due_handlers={},
        make_loops=lambda *_: [],
    ).run_until_signalled()


if __name__ == "__main__":
    main(sys.argv[1])
