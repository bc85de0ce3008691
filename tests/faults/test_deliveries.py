"""Deliveries come twice and three times, in any order, and once more when all is long over."""

import random

from shared.messaging.broker import events_queue, receipts_queue
from tests.faults.queues import Queue
from tests.faults.trial import Trial

COPIES = 2
BOOKINGS = 12


def test_repeated_and_mixed(trial: Trial) -> None:
    """Events, then their receipts; and all events again after their receipts.

    Seen to fail with a projection of notifications that takes any version.
    """
    chance = random.Random(7)
    url = trial.stack.environ["CHOUDO_REDIS_URL"]
    consumers = ("routing", "notifications")
    events = [Queue(url, events_queue(consumer)) for consumer in consumers]
    receipts = Queue(url, receipts_queue("booking"))
    with trial.fault("deliveries: three times each, mixed, and again at the end") as flow:
        for consumer in consumers:
            trial.stack.stop(f"{consumer}-worker")
        flow.wait_for_more(BOOKINGS)
        trial.wait_for(lambda: all(len(queue) >= BOOKINGS for queue in events), "nothing is published")
        trial.stack.stop("booking-worker")
        kept = [queue.copies() for queue in events]
        for queue, bodies in zip(events, kept, strict=True):
            queue.add(bodies * COPIES)
            queue.mix(chance)
        for consumer in consumers:
            trial.stack.start(f"{consumer}-worker")
        trial.wait_for(lambda: not any(map(len, events)), "events wait")
        trial.wait_for(lambda: len(receipts) > 0, "no receipts")
        receipts.add(receipts.copies() * COPIES)
        receipts.mix(chance)
        trial.stack.start("booking-worker")
        trial.wait_for(lambda: len(receipts) == 0, "receipts wait")
        for queue, bodies in zip(events, kept, strict=True):
            queue.add(chance.sample(bodies, len(bodies)))
