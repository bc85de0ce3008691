"""The relay alone, and events handled a second with one worker process and with two.

The relay publishes booking's deliveries in this process, while no worker takes anything off the queue. Then workers of
routing find the full queue and handle it, each event in a transaction with its inbox row.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import dramatiq

from services.booking.keys import Keys
from services.booking.settings import load_settings
from services.booking.tables import outbox
from shared.clock import utc_now
from shared.db import Database
from shared.events.booking import AvailabilityChanged
from shared.messaging import relay
from shared.messaging.broker import ChoudoBroker, events_queue, make_broker
from shared.messaging.relay import Relay
from shared.messaging.stamps import Stamps
from shared.messaging.worker import WORKER_THREADS
from tests.benchmarks.figures import Figure, make_figure
from tests.benchmarks.house import TOWN, House
from tests.benchmarks.pgbench import run_pgbench
from tests.stack import PROCESSES

RELAYED = 40_000
RELAY_TARGET = 20_000
# What a town with a hundred thousand bookings a year has in its tables before any of it is trimmed.
SETTLED = 500_000
HANDLED = 8_000
CHUNK = 1_000
# Events of one counter wait for each other at its row: as many counters as a large town has.
COUNTERS = tuple(f"bench-{number}" for number in range(500))
HANDLED_WITHIN_S = 120.0
SECOND_WORKER = "routing-worker-2"

_SETTLED = f"""
    INSERT INTO booking.outbox (municipality, event_id, aggregate_id, aggregate_version, type, payload, occurred_at)
    SELECT 'bench', gen_random_uuid(), 'settled', number, 'booking.availability_changed.v1', repeat('x', 300)::bytea,
           now() - number * interval '60 seconds'
    FROM generate_series(1, {SETTLED}) AS number;
    INSERT INTO booking.delivery (municipality, event_id, consumer, occurred_at, next_publish_at, attempts, acked_at,
                                  outcome)
    SELECT municipality, event_id, 'routing', occurred_at, occurred_at, 1, occurred_at, 'applied'
    FROM booking.outbox WHERE municipality = 'bench';
    INSERT INTO routing.inbox (municipality, event_id, seen_at, applied_at, outcome)
    SELECT municipality, event_id, occurred_at, occurred_at, 'applied' FROM booking.outbox WHERE municipality = 'bench';
    ANALYZE;
"""
_FORGET_SETTLED = "DELETE FROM booking.outbox WHERE municipality = 'bench'"
_FORGET_SEEN = "DELETE FROM routing.inbox WHERE municipality = 'bench'"
_TAKEN = "SELECT count(*) AS n, min(seen_at) AS first, max(seen_at) AS last FROM routing.inbox WHERE seen_at >= $1"
_BARE_INBOX = """
BEGIN;
INSERT INTO routing.inbox (municipality, event_id, seen_at, applied_at, outcome)
VALUES ('bench', gen_random_uuid(), now(), now(), 'applied') ON CONFLICT (municipality, event_id) DO NOTHING;
COMMIT;
"""


async def measure(house: House) -> list[Figure]:
    """The relay with young tables and with old ones; one worker process and two."""
    await house.settle()
    for worker in ("booking-worker", "routing-worker"):
        house.stack.stop(worker)
    keys = Keys.from_settings(load_settings(house.environ))
    broker = make_broker(house.environ["CHOUDO_REDIS_URL"], Stamps(keys.box))
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    try:
        young = await _relay(db, broker, RELAYED)
        bare = await asyncio.to_thread(_enqueue_bare, broker, RELAYED)
        await house.execute(_SETTLED)
        old = await _relay(db, broker, RELAYED)
        await house.execute(_FORGET_SEEN)
        handled = {count: await _handle(house, db, broker, workers=count) for count in (1, 2)}
        bare_inbox = await asyncio.to_thread(_run_pgbench, house)
        await house.execute(_FORGET_SEEN)
        await house.execute(_FORGET_SETTLED)
    finally:
        await db.dispose()
        broker.close()
    for worker in ("booking-worker", "routing-worker"):
        house.stack.start(worker)
    await house.settle()
    queue = f"the same messages, bare, {relay.BATCH} in a pipeline"
    inbox = f"a bare inbox transaction by pgbench, {WORKER_THREADS} clients"
    target = f"≥ {RELAY_TARGET}/s"
    return [
        make_figure("relay", "relay, publish only", young, "rows/s", target, reference=bare, reference_name=queue,
                    met=young >= RELAY_TARGET),
        make_figure("relay", f"relay, beside {SETTLED} rows that are settled", old, "rows/s", target, reference=young,
                    reference_name="relay, as above", met=old >= RELAY_TARGET),
        *(
            make_figure("relay", f"events handled, {count} worker process{'es' if count > 1 else ''}", rate, "/s", "",
                        reference=bare_inbox, reference_name=inbox,
                        note="Handled by routing's consumer of `AvailabilityChanged`: claim, apply, commit, receipt.")
            for count, rate in handled.items()
        ),
    ]  # fmt: skip


async def _relay(db: Database, broker: ChoudoBroker, count: int) -> float:
    """Publish so many new deliveries; rows a second. The queue is emptied afterwards, and nothing comes again."""
    await _write_events(db, count)
    publisher = Relay(db, broker, utc_now)
    began, published = time.perf_counter(), 0
    while done := await publisher.publish_batches(relay.BATCHES_AT_ONCE):
        published += done
    took = time.perf_counter() - began
    assert published == count, f"{published} of {count} published"
    broker.flush(events_queue("routing"))
    await _settle_all(db)
    return count / took


async def _handle(house: House, db: Database, broker: ChoudoBroker, *, workers: int) -> float:
    """Events a second that so many processes take off a full queue, from the first to the last."""
    await _write_events(db, HANDLED)
    publisher = Relay(db, broker, utc_now)
    while await publisher.publish_due():
        pass
    began = datetime.now(UTC)
    PROCESSES[SECOND_WORKER] = PROCESSES["routing-worker"]
    names = ["routing-worker", SECOND_WORKER][:workers]
    for name in names:
        house.stack.start(name)
    deadline = time.monotonic() + HANDLED_WITHIN_S
    while (taken := (await house.rows(_TAKEN, began))[0])["n"] < HANDLED:
        assert time.monotonic() < deadline, f"{taken['n']} of {HANDLED} handled\n{house.stack.log_tails()}"
        await asyncio.sleep(0.2)
    for name in names:
        house.stack.stop(name)
    await _settle_all(db)
    return HANDLED / float((taken["last"] - taken["first"]).total_seconds())


async def _write_events(db: Database, count: int) -> None:
    version = int(time.time() * 1_000)
    for first in range(0, count, CHUNK):
        async with db.begin(TOWN) as session:
            await outbox.publish(session, *_make_events(version + first, min(CHUNK, count - first)))


def _make_events(version: int, count: int) -> Iterator[AvailabilityChanged]:
    now = datetime.now(UTC)
    for number in range(count):
        counter = COUNTERS[number % len(COUNTERS)]
        yield AvailabilityChanged(
            event_id=uuid4(), municipality=TOWN, aggregate_id=counter, aggregate_version=(version + number) % 2**31,
            occurred_at=now, counter=counter, earliest_at=now, as_of=now,
        )  # fmt: skip


async def _settle_all(db: Database) -> None:
    async with db.begin_across_towns() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE booking.delivery SET acked_at = now(), outcome = 'applied' WHERE acked_at IS NULL"
        )


def _enqueue_bare(broker: ChoudoBroker, count: int) -> float:
    """Messages of the same size, made beforehand, in the same pipelines."""
    (event,) = _make_events(0, 1)
    body = {"event_id": str(event.event_id), "payload": "x" * 330, "stamp": "0" * 64}
    messages: list[dramatiq.Message[None]] = [
        dramatiq.Message("bench", "bench", (), {"envelope": body}, {}) for _ in range(count)
    ]
    began = time.perf_counter()
    for first in range(0, count, relay.BATCH):
        broker.enqueue_many(messages[first : first + relay.BATCH])
    took = time.perf_counter() - began
    broker.flush("bench")
    return count / took


def _run_pgbench(house: House) -> float:
    script = house.stack.logs / "inbox.pgbench"
    script.write_text(_BARE_INBOX, "utf-8")
    url, each = house.environ["CHOUDO_ROUTING_DATABASE_URL"], HANDLED // WORKER_THREADS
    rate, _ = run_pgbench(url, script, clients=WORKER_THREADS, transactions=each, service="routing")
    return rate
