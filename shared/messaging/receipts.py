"""Receipts: consumers answer in batches, publishers stop republishing and blank what was sealed."""

import asyncio
import contextlib
from collections import defaultdict, deque
from itertools import islice

import dramatiq
import msgspec
from redis.exceptions import RedisError
from sqlalchemy import text

from shared.clock import Clock
from shared.db import Database
from shared.faults import pass_step
from shared.log import describe, get_logger
from shared.messaging.broker import ChoudoBroker, Receipt, receipts_queue
from shared.messaging.stamps import Stamps
from shared.telemetry import MESSAGES_REFUSED

log = get_logger(__name__)

FLUSH_INTERVAL_S = 0.02
BATCH = 200
BROKER_AWAY_PAUSE_S = 0.5
# So many wait for a broker that is away. Those beyond are answered when their events come again.
WAITING_MAX = 20_000

# A delivery is settled once. Only what was refused may still end: its dead letter is applied after all, or discarded.
_SETTLE = """
    UPDATE {schema}.delivery d SET acked_at = :now, outcome = receipt.outcome
    FROM unnest(CAST(:towns AS text[]), CAST(:events AS uuid[]), CAST(:consumers AS text[]), CAST(:outcomes AS text[]))
         AS receipt(municipality, event_id, consumer, outcome)
    WHERE (d.municipality, d.event_id, d.consumer) = (receipt.municipality, receipt.event_id, receipt.consumer)
      AND (d.acked_at IS NULL OR (d.outcome = 'refused' AND receipt.outcome IN ('applied', 'discarded')))
"""
_BLANK = """
    UPDATE {schema}.outbox o SET sealed = NULL
    FROM unnest(CAST(:towns AS text[]), CAST(:events AS uuid[]), CAST(:consumers AS text[]))
         AS receipt(municipality, event_id, consumer)
    WHERE (o.municipality, o.event_id) = (receipt.municipality, receipt.event_id)
      AND o.sealed IS NOT NULL AND o.sealed_for = receipt.consumer
"""


class ReceiptSender:
    """Collects a consumer's receipts and sends them in batches. Losing some is harmless: duplicates answer again."""

    def __init__(self, broker: ChoudoBroker) -> None:
        self._broker = broker
        self._waiting: deque[tuple[str, Receipt]] = deque()
        self._woken = asyncio.Event()

    async def send(self, publisher: str, receipt: Receipt) -> None:
        """Queue one receipt for the next batch."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append((publisher, receipt))
            self._woken.set()

    async def send_now(self, publisher: str, receipt: Receipt) -> None:
        """Send one receipt that nobody would ask for again.

        Raises:
            RedisError: the broker is away.
        """
        await asyncio.to_thread(self._broker.enqueue_many, [_message(publisher, [receipt], self._broker.stamps)])

    async def run(self) -> None:
        """Send batches until cancelled, then what is left; keep what cannot be sent until the broker is back."""
        try:
            while True:
                await self._woken.wait()
                await asyncio.sleep(FLUSH_INTERVAL_S)
                try:
                    await self._flush()
                except RedisError as error:
                    log.warning("receipts_not_sent", **describe(error), count=len(self._waiting))
                    await asyncio.sleep(BROKER_AWAY_PAUSE_S)
        finally:
            # What was in hand may go twice: that is harmless, and losing it costs a republishing.
            with contextlib.suppress(RedisError):
                await self._flush()

    async def _flush(self) -> None:
        while batch := list(islice(self._waiting, BATCH)):
            grouped: dict[str, list[Receipt]] = defaultdict(list)
            for publisher, receipt in batch:
                grouped[publisher].append(receipt)
            messages = [_message(publisher, receipts, self._broker.stamps) for publisher, receipts in grouped.items()]
            pass_step("receipts.collected")
            await asyncio.to_thread(self._broker.enqueue_many, messages)
            pass_step("receipts.sent")
            for _ in batch:
                self._waiting.popleft()
        self._woken.clear()


async def settle(db: Database, receipts: list[Receipt], clock: Clock) -> None:
    """Mark the deliveries as done or refused, and blank the sealed fields that reached their reader."""
    pass_step("receipts.received")
    # One order for all, so that two batches never wait for each other in a circle.
    receipts = sorted(receipts, key=lambda receipt: (receipt.municipality, receipt.event_id, receipt.consumer))
    names = {
        "towns": [receipt.municipality for receipt in receipts],
        "events": [receipt.event_id for receipt in receipts],
        "consumers": [receipt.consumer for receipt in receipts],
    }
    outcomes = {"outcomes": [receipt.outcome for receipt in receipts], "now": clock()}
    async with db.begin_across_towns() as session:
        await session.execute(text(_SETTLE.format(schema=db.service)), names | outcomes)
        await session.execute(text(_BLANK.format(schema=db.service)), names)
    pass_step("receipts.settled")


def genuine_receipts(service: str, receipts: object, stamp: object, stamps: Stamps) -> list[Receipt]:
    """What was on the queue, if one consumer stamped it all for us, of what it heard itself; else nothing."""
    try:
        known = msgspec.convert(receipts, list[Receipt])
    except msgspec.ValidationError:
        known = []
    senders = {receipt.consumer for receipt in known}
    # Of what was sent: its consumer's version may say more than ours understands.
    if len(senders) == 1 and stamps.hold(senders.pop(), stamped(service, receipts), stamp):
        return known
    MESSAGES_REFUSED.labels(service, "receipts").inc()
    log.error("receipts_not_genuine")
    return []


def stamped(publisher: str, receipts: object) -> object:
    """What the stamp of a batch of receipts is of, as structures or as they travel."""
    return ("receipts", publisher, receipts)


def _message(publisher: str, receipts: list[Receipt], stamps: Stamps) -> dramatiq.Message[None]:
    stamp = stamps.make(publisher, stamped(publisher, receipts))
    return dramatiq.Message(
        queue_name=receipts_queue(publisher),
        actor_name=receipts_queue(publisher),
        args=(),
        kwargs={"receipts": msgspec.to_builtins(receipts), "stamp": stamp},
        options={},
    )
