"""Two lanes: what somebody waits for passes whatever nobody waits for, from the claim to the worker."""

import asyncio
import time

import pytest

from shared.clock import utc_now
from shared.db import service_metadata
from shared.ledger.ledger import Ledger
from shared.messaging.broker import BULK_PREFETCH, ChoudoBroker, events_queue
from shared.messaging.outbox import PAYLOAD_MAX_BYTES, work_in_bulk
from shared.messaging.relay import BATCH, TOGETHER, Relay
from shared.messaging.worker import WORKER_THREADS
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.makers import (
    TOWN,
    make_availability,
    make_booked,
    make_entry,
    make_outbox,
    publish,
    rows_of,
    take_all,
)
from tests.shared.test_messaging_crashes import Workers, wait_until, workers
from tests.shared.test_messaging_garbage import message, take_until_empty

__all__ = ["workers"]

MANY = 10_000
URGENT, BULK = events_queue("routing"), events_queue("routing", bulk=True)
APPLIED = "SELECT 1 FROM routing.inbox WHERE event_id = :event_id AND outcome = 'applied'"
LANES = "SELECT o.type, d.consumer, d.bulk FROM {0}.delivery d JOIN {0}.outbox o USING (municipality, event_id)"


async def test_the_first_claim_has_what_somebody_waits_for_however_much_waits_in_bulk(
    make_db: MakeDb, broker: ChoudoBroker, clock: TestClock
) -> None:
    """Seen to fail with one lane in the claim: the oldest come first, and this one is the youngest."""
    db = make_db("booking")
    await publish(db, *(make_availability() for _ in range(2 * BATCH)), bulk=True)
    clock.pass_time(minutes=1)
    await publish(db, urgent := make_availability(at=clock.now))
    relay = Relay(db, broker, clock)
    assert await relay.publish_due() == BATCH + 1
    assert [envelope.event_id for envelope in take_all(broker, URGENT)] == [str(urgent.event_id)]
    assert broker.queue_length(BULK) == BATCH / TOGETHER


async def test_each_queue_drains_for_itself(make_db: MakeDb, broker: ChoudoBroker, clock: TestClock) -> None:
    """Seen to fail with one look at a consumer's queues together: what is lost waits for the bulk to be done."""
    db = make_db("booking")
    relay = Relay(db, broker, clock)
    await relay.look_at_broker(was_away=False)
    await publish(db, make_availability(), bulk=True)
    await publish(db, make_availability())
    await relay.publish_due()
    take_all(broker, URGENT)
    clock.pass_time(hours=1)
    await relay.look_at_broker(was_away=False)
    assert await relay.is_anything_due()
    assert await relay.publish_due() == 1
    assert (broker.queue_length(URGENT), broker.queue_length(BULK)) == (1, 1)


async def test_an_event_passes_ten_thousand_that_wait_in_bulk(workers: Workers, make_db: MakeDb) -> None:
    """Seen to fail with one queue for both lanes."""
    booking, routing = make_db("booking"), make_db("routing")
    for _ in range(MANY // BATCH):
        await publish(booking, *(make_availability(at=utc_now()) for _ in range(BATCH)), bulk=True)
    workers.start("booking")

    async def bulk_waits() -> bool:
        return not await rows_of(booking, "SELECT 1 FROM booking.delivery WHERE attempts = 0 LIMIT 1")

    async def bulk_is_under_way() -> bool:
        return bool(await rows_of(routing, "SELECT 1 FROM routing.inbox LIMIT 1"))

    await wait_until(bulk_waits)
    workers.start("routing")
    await wait_until(bulk_is_under_way)
    began = time.monotonic()
    await publish(booking, urgent := make_availability(at=utc_now()))

    async def urgent_is_applied() -> bool:
        return bool(await rows_of(routing, APPLIED, event_id=urgent.event_id))

    await wait_until(urgent_is_applied)
    assert time.monotonic() - began < 10
    waiting = (await rows_of(booking, "SELECT count(*) FROM booking.delivery WHERE bulk AND acked_at IS NULL"))[0].count
    assert waiting > MANY / 2, "long before the others"
    for service in ("booking", "routing"):
        assert await workers.stop(service) == 0, workers.log(service)


def test_bulk_takes_up_less_than_half_of_a_worker(broker: ChoudoBroker) -> None:
    broker.enqueue_many(message(number, BULK) for number in range(WORKER_THREADS))
    consumer = broker.consume(BULK, prefetch=2 * WORKER_THREADS, timeout=20)
    assert len(list(take_until_empty(consumer))) == BULK_PREFETCH < WORKER_THREADS / 2


async def test_what_follows_from_bulk_is_bulk_and_a_ledgers_entries_always_are(make_db: MakeDb) -> None:
    db, outbox = make_db("booking"), make_outbox("booking")
    async with db.begin(TOWN) as session:
        work_in_bulk(session)
        await outbox.publish(session, make_availability())
    assert [row.bulk for row in await rows_of(db, LANES.format("booking"))] == [True]
    async with db.begin(TOWN) as session:
        await Ledger(service_metadata("booking"), outbox).write(session, make_entry(), events=[make_booked()])
    lanes = {(row.type, row.bulk) for row in await rows_of(db, LANES.format("booking"))}
    assert ("ledger.reuse_recorded.v1", True) in lanes
    assert ("booking.appointment_booked.v1", False) in lanes


async def test_an_event_that_no_consumer_would_read_is_not_written(make_db: MakeDb) -> None:
    db = make_db("booking")
    with pytest.raises(ValueError, match="too large"):
        await publish(db, make_booked(sealed="x" * PAYLOAD_MAX_BYTES))
    assert await rows_of(db, "SELECT 1 FROM booking.outbox") == []


async def test_who_publishes_in_the_relays_own_process_wakes_it(
    make_db: MakeDb, broker: ChoudoBroker, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail without the call after the commit: the next look is an hour away."""
    monkeypatch.setattr("shared.messaging.relay.POLL_INTERVAL_S", 3_600)
    db = make_db("booking")
    relay = Relay(db, broker, clock)
    db.when_told(relay.wake)
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0.3)
    await publish(db, make_availability())
    async with asyncio.timeout(30):
        while not broker.queue_length(URGENT):
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_only_what_is_published_and_committed_wakes_the_relay(make_db: MakeDb) -> None:
    db = make_db("booking")
    woken: list[str] = []
    db.when_told(lambda: woken.append("woken"))
    await rows_of(db, "SELECT 1")

    async def fail_after_publishing() -> None:
        async with db.begin(TOWN) as session:
            await make_outbox("booking").publish(session, make_availability())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_publishing()
    assert woken == []
    await publish(db, make_availability())
    assert woken == ["woken"]
