"""Receipts: they end republishing, blank what was sealed, and may come twice, late, in batches and all at once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec
import pytest

from shared.events.base import Event
from shared.messaging.broker import ChoudoBroker, Receipt, make_broker, receipts_queue
from shared.messaging.receipts import BATCH, ReceiptSender, settle
from tests.conftest import NOWHERE
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.makers import make_availability, make_booked, make_stamps, publish, rows_of

SEALED = "SELECT sealed, sealed_for FROM booking.outbox"


def make_receipt(event: Event, consumer: str, outcome: str = "applied") -> Receipt:
    return Receipt(municipality=event.municipality, event_id=str(event.event_id), consumer=consumer, outcome=outcome)


def take_receipts(broker: ChoudoBroker, publisher: str) -> list[list[Receipt]]:
    consumer = broker.consume(receipts_queue(publisher), prefetch=1_000, timeout=20)
    batches = []
    for message in iter(lambda: next(consumer), None):
        batches.append(msgspec.convert(message.kwargs["receipts"], list[Receipt]))
        consumer.ack(message)
    consumer.close()
    return batches


@pytest.mark.parametrize("outcome", ["applied", "refused"])
async def test_the_readers_receipt_blanks_what_was_sealed_for_it(
    make_db: MakeDb, clock: TestClock, outcome: str
) -> None:
    db = make_db("booking")
    event = make_booked(sealed="for-notifications")
    await publish(db, event)
    await settle(db, [make_receipt(event, "routing")], clock)
    assert [row.sealed for row in await rows_of(db, SEALED)] == ["for-notifications"], "not routing's to end"
    await settle(db, [make_receipt(event, "notifications", outcome)], clock)
    assert [row.sealed for row in await rows_of(db, SEALED)] == [None]
    deliveries = await rows_of(db, "SELECT consumer, acked_at, outcome FROM booking.delivery ORDER BY consumer")
    assert [(row.consumer, row.acked_at, row.outcome) for row in deliveries] == [
        ("notifications", clock.now, outcome),
        ("routing", clock.now, "applied"),
    ]


async def test_a_receipt_that_comes_again_changes_nothing(make_db: MakeDb, clock: TestClock) -> None:
    db = make_db("booking")
    event = make_availability()
    await publish(db, event)
    await settle(db, [make_receipt(event, "routing")], clock)
    first = await rows_of(db, "SELECT * FROM booking.delivery")
    clock.pass_time(minutes=1)
    await settle(db, [make_receipt(event, "routing", "refused")] * 2, clock)
    assert await rows_of(db, "SELECT * FROM booking.delivery") == first


async def test_a_receipt_for_nothing_that_we_know_is_ignored(make_db: MakeDb, clock: TestClock) -> None:
    db = make_db("booking")
    event = make_availability()
    await publish(db, event)
    strangers = [make_receipt(make_availability(), "routing"), make_receipt(event, "booking")]
    elsewhere = msgspec.structs.replace(make_receipt(event, "routing"), municipality="999999")
    await settle(db, [*strangers, elsewhere], clock)
    await settle(db, [], clock)
    assert [row.acked_at for row in await rows_of(db, "SELECT acked_at FROM booking.delivery")] == [None]


async def test_batches_that_overlap_do_not_wait_for_each_other_in_a_circle(make_db: MakeDb, clock: TestClock) -> None:
    db = make_db("booking")
    events = [make_booked() for _ in range(150)]
    await publish(db, *events)
    receipts = [make_receipt(event, consumer) for event in events for consumer in ("routing", "notifications")]
    orders: list[Sequence[Receipt]] = [receipts, receipts[::-1], receipts[100:] + receipts[:100]]
    await asyncio.gather(*(settle(db, list(orders[n % 3]), clock) for n in range(12)))
    ((waiting,),) = await rows_of(db, "SELECT count(*) FROM booking.delivery WHERE acked_at IS NULL")
    assert waiting == 0
    ((sealed,),) = await rows_of(db, "SELECT count(sealed) FROM booking.outbox")
    assert sealed == 0


async def test_receipts_travel_in_batches_to_each_publisher(broker: ChoudoBroker) -> None:
    sender = ReceiptSender(broker)
    for_booking = [make_receipt(make_availability(), "routing") for _ in range(BATCH + 5)]
    for receipt in for_booking:
        await sender.send("booking", receipt)
    await sender.send("notifications", make_receipt(make_availability(), "routing"))
    running = asyncio.create_task(sender.run())
    batches: list[list[Receipt]] = []
    async with asyncio.timeout(60):
        while sum(map(len, batches)) < len(for_booking):
            await asyncio.sleep(0.02)
            batches += take_receipts(broker, "booking")
    assert [receipt for batch in batches for receipt in batch] == for_booking
    assert len(batches) <= 3
    assert sum(map(len, take_receipts(broker, "notifications"))) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("waiting", [1, 3, 2 * BATCH + 1])
async def test_a_worker_that_stops_sends_every_receipt_first(broker: ChoudoBroker, waiting: int) -> None:
    sender = ReceiptSender(broker)
    running = asyncio.create_task(sender.run())
    for _ in range(waiting):
        await sender.send("booking", make_receipt(make_availability(), "routing"))
    await asyncio.sleep(0.005)  # one is in hand, the batch is still being collected
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    assert sum(map(len, take_receipts(broker, "booking"))) == waiting


async def test_receipts_that_cannot_be_sent_wait_for_the_broker(
    broker: ChoudoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail with what could not be sent taken off the list. Beyond a limit they go: their events come again."""
    monkeypatch.setattr("shared.messaging.receipts.WAITING_MAX", 3)
    monkeypatch.setattr("shared.messaging.receipts.BROKER_AWAY_PAUSE_S", 0.02)
    sender = ReceiptSender(make_broker(f"redis://{NOWHERE}/0", make_stamps("booking")))
    running = asyncio.create_task(sender.run())
    receipts = [make_receipt(make_availability(), "routing") for _ in range(5)]
    for receipt in receipts:
        await sender.send("booking", receipt)
        await asyncio.sleep(0.05)
    assert not running.done()
    sender._broker = broker
    batches: list[list[Receipt]] = []
    async with asyncio.timeout(60):
        while not batches:
            await asyncio.sleep(0.02)
            batches = take_receipts(broker, "booking")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert batches == [receipts[:3]]


def test_a_receipt_says_nothing_of_the_event() -> None:
    receipt = make_receipt(make_booked(), "routing")
    assert set(msgspec.to_builtins(receipt)) == {"municipality", "event_id", "consumer", "outcome"}
    assert isinstance(make_booked().occurred_at, datetime)
