"""Commit → consumer starts, at a steady rate; and the bare queue beside it, with the same settings."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import dramatiq

from services.booking.tables import outbox
from shared.db import Database
from shared.events.booking import AvailabilityChanged
from shared.messaging.broker import make_broker
from shared.messaging.worker import WORKER_IDLE_MS, WORKER_THREADS
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House

PER_SECOND = 50
SECONDS = 20
WARM_UP_SECONDS = 2
BARE_SECONDS = 10
TARGET_MS = 150
ARRIVAL_TIMEOUT_S = 30.0
# Of counters that no town has, so that the projections they land in disturb nobody; many, as in life: events of one
# aggregate wait for each other at its row.
COUNTERS = tuple(f"bench-{number}" for number in range(50))

_PICKED_UP = """
    SELECT extract(epoch FROM i.seen_at - o.occurred_at) * 1000 AS ms
    FROM booking.outbox o JOIN routing.inbox i USING (municipality, event_id) WHERE o.event_id = ANY ($1)
"""


async def measure(house: House) -> list[Figure]:
    """The p95 of the product's events, and of the bare queue's messages."""
    await house.settle()
    await _publish(house, WARM_UP_SECONDS)
    pickup = await _await_pickup(house, await _publish(house, SECONDS))
    bare = await asyncio.to_thread(_measure_bare_queue, house.redis_url)
    p95, reference = percentile(pickup, 0.95), percentile(bare, 0.95)
    name = f"commit → consumer starts, at {PER_SECOND} events/s"
    queue = "dramatiq with our settings, without outbox and relay"
    return [
        make_figure("pickup", f"{name}: p95", p95, "ms", f"≤ {TARGET_MS} ms", reference=reference,
                    reference_name=queue, met=p95 <= TARGET_MS,
                    note="Counted from the event's creation, just before its transaction commits, to the consumer's "
                         "first step."),
        make_figure("pickup", f"{name}: p50", percentile(pickup, 0.5), "ms", "", reference=percentile(bare, 0.5),
                    reference_name=queue),
    ]  # fmt: skip


async def _publish(house: House, seconds: int) -> list[UUID]:
    """Publish at the rate, each event in a transaction of its own."""
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    ids = []
    first_version = int(time.time())
    next_at = time.perf_counter()
    for number in range(PER_SECOND * seconds):
        async with db.begin(TOWN) as session:
            now = datetime.now(UTC)
            event = AvailabilityChanged(
                event_id=uuid4(),
                municipality=TOWN,
                aggregate_id=COUNTERS[number % len(COUNTERS)],
                aggregate_version=first_version + number,
                occurred_at=now,
                counter=COUNTERS[number % len(COUNTERS)],
                earliest_at=now,
                as_of=now,
            )
            await outbox.publish(session, event)
        ids.append(event.event_id)
        next_at += 1 / PER_SECOND
        await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
    await db.dispose()
    return ids


async def _await_pickup(house: House, ids: list[UUID]) -> list[float]:
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
    while len(rows := await house.rows(_PICKED_UP, ids)) < len(ids):
        assert time.monotonic() < deadline, f"{len(rows)} of {len(ids)} events arrived"
        await asyncio.sleep(0.5)
    return [float(row["ms"]) for row in rows]


def _measure_bare_queue(redis_url: str) -> list[float]:
    """Milliseconds from enqueueing to an actor's start, at the same rate, with neither database nor relay."""
    broker = make_broker(redis_url)
    taken: list[float] = []

    async def note(*, sent: float) -> None:
        taken.append((time.time() - sent) * 1_000)

    actor = dramatiq.actor(broker=broker, actor_name="bench", queue_name="bench")(note)
    worker = dramatiq.Worker(broker, worker_timeout=WORKER_IDLE_MS, worker_threads=WORKER_THREADS)
    worker.start()
    next_at = time.perf_counter()
    for _ in range(PER_SECOND * BARE_SECONDS):
        actor.send(sent=time.time())
        next_at += 1 / PER_SECOND
        time.sleep(max(0.0, next_at - time.perf_counter()))
    time.sleep(1)
    worker.stop()
    broker.close()
    return taken
