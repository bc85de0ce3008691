"""Commit → consumer starts, at a steady rate; and the bare queue beside it."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import dramatiq

from services.booking.tables import outbox
from shared.db import Database
from shared.events.booking import AvailabilityChanged
from shared.messaging.broker import make_broker
from shared.messaging.worker import WORKER_IDLE_MS, WORKER_THREADS

EVENTS_PER_SECOND = 50
SECONDS = 20
SETTLE_S = 3.0
# Of a counter that no town has, so that the projection it lands in disturbs nobody.
COUNTER = "bench"


async def measure_pickup(environ: Mapping[str, str], admin_url: str, *, seconds: int = SECONDS) -> list[float]:
    """Milliseconds from an event's creation, just before its commit, to the start of its consumer, for each event."""
    db = Database(environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    ids = []
    base = time.time_ns()
    next_at = time.perf_counter()
    for number in range(EVENTS_PER_SECOND * seconds):
        event_id = uuid4()
        ids.append(event_id)
        async with db.begin("143421") as session:
            now = datetime.now(UTC)
            event = AvailabilityChanged(
                event_id=event_id,
                municipality="143421",
                aggregate_id=COUNTER,
                aggregate_version=base // 1_000_000_000 + number,
                occurred_at=now,
                counter=COUNTER,
                earliest_at=now,
                as_of=now,
            )
            await outbox.publish(session, event)
        next_at += 1 / EVENTS_PER_SECOND
        await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
    await asyncio.sleep(SETTLE_S)
    await db.dispose()
    connection = await asyncpg.connect(admin_url)
    rows = await connection.fetch(
        """SELECT extract(epoch FROM i.seen_at - o.occurred_at) * 1000 AS ms
           FROM booking.outbox o JOIN routing.inbox i USING (municipality, event_id) WHERE o.event_id = ANY ($1)""",
        ids,
    )
    await connection.close()
    assert len(rows) == len(ids), f"{len(rows)} of {len(ids)} events arrived"
    return [float(row["ms"]) for row in rows]


def measure_bare_queue(redis_url: str, *, seconds: int = 5) -> list[float]:
    """Milliseconds from enqueueing to an actor's start, at the same rate, with neither database nor relay."""
    broker = make_broker(redis_url)
    taken: list[float] = []

    async def note(sent: float) -> None:
        taken.append((time.time() - sent) * 1_000)

    actor = dramatiq.actor(broker=broker, actor_name="bench", queue_name="bench")(note)
    worker = dramatiq.Worker(broker, worker_timeout=WORKER_IDLE_MS, worker_threads=WORKER_THREADS)
    worker.start()
    for _ in range(EVENTS_PER_SECOND * seconds):
        actor.send(time.time())
        time.sleep(1 / EVENTS_PER_SECOND)
    time.sleep(1)
    worker.stop()
    broker.close()
    return taken
