"""The queue: who waits at it costs little, is woken by the first message, and takes nothing before its turn."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import dramatiq
import pytest

from shared.messaging.broker import HEARTBEAT_TIMEOUT_MS, ChoudoBroker, make_broker
from shared.messaging.worker import WORKER_IDLE_MS

QUEUE = "routing.events"
LONG_MS = 10_000
SOON_S = 5.0


def make_message(number: int) -> dramatiq.Message[None]:
    return dramatiq.Message(QUEUE, QUEUE, (), {"number": number}, {})


def enqueue_later(broker: ChoudoBroker, *numbers: int) -> threading.Timer:
    timer = threading.Timer(0.3, broker.enqueue_many, [[make_message(number) for number in numbers]])
    timer.start()
    return timer


def take(consumer: dramatiq.Consumer) -> int | None:
    message = next(consumer)
    return None if message is None else message.kwargs["number"]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def test_whoever_waits_is_woken_by_a_message(broker: ChoudoBroker) -> None:
    """Seen to fail without the waiting in Redis: there is nothing at once, and the next look is a pause away."""
    consumer = broker.consume(QUEUE, timeout=LONG_MS)
    timer = enqueue_later(broker, 1)
    began = time.monotonic()
    assert take(consumer) == 1
    assert time.monotonic() - began < SOON_S
    timer.join()


def test_a_queue_at_rest_costs_two_commands_for_each_idle_timeout(broker: ChoudoBroker) -> None:
    consumer = broker.consume(QUEUE, timeout=500)
    take(consumer)  # what is asked once: the size of Lua's stack, the script itself
    broker.client.config_resetstat()
    began = time.monotonic()
    assert take(consumer) is None
    assert time.monotonic() - began > 0.4
    asked = broker.client.info("commandstats")
    assert (asked["cmdstat_blmove"]["calls"], asked["cmdstat_evalsha"]["calls"]) == (1, 1)


def test_one_message_wakes_all_who_wait(broker: ChoudoBroker, redis_url: str, pool: ThreadPoolExecutor) -> None:
    """Else a message that was given to a worker with its hands full would wait for an idle timeout of the others."""
    consumers = [make_broker(redis_url).consume(QUEUE, prefetch=1, timeout=LONG_MS) for _ in range(3)]
    waiting = [pool.submit(take, consumer) for consumer in consumers]
    time.sleep(0.3)
    began = time.monotonic()
    broker.enqueue_many([make_message(1)])
    assert sorted(one.result() or 0 for one in waiting) == [0, 0, 1]
    assert time.monotonic() - began < SOON_S


def test_waiting_changes_neither_what_is_on_the_queue_nor_its_order(broker: ChoudoBroker, redis_url: str) -> None:
    broker.enqueue_many(make_message(number) for number in range(5))
    key = f"{broker.namespace}:{QUEUE}"
    before = broker.client.lrange(key, 0, -1)
    consumers = [make_broker(redis_url).consume(QUEUE, prefetch=1, timeout=LONG_MS) for _ in range(2)]
    assert [take(consumer) for consumer in consumers] == [0, 1]
    assert broker.client.lrange(key, 0, -1) == before[2:]


def test_with_its_hands_full_a_consumer_takes_no_more_until_it_is_done_with_one(broker: ChoudoBroker) -> None:
    """Nor does it ask Redis at all: what waits there would wake it again and again."""
    broker.enqueue_many([make_message(1), make_message(2)])
    consumer = broker.consume(QUEUE, prefetch=1, timeout=LONG_MS)
    first = next(consumer)
    assert first is not None
    broker.client.config_resetstat()
    assert [take(consumer) for _ in range(3)] == [None, None, None]
    assert "cmdstat_blmove" not in broker.client.info("commandstats")
    consumer.ack(first)
    assert take(consumer) == 2


def test_what_a_dead_worker_had_in_hand_comes_to_another_that_waits(broker: ChoudoBroker, redis_url: str) -> None:
    """Seen to fail with dramatiq's chance of maintenance, one in a thousand commands, now that there are few."""
    broker.enqueue_many([make_message(1)])
    assert take(make_broker(redis_url).consume(QUEUE, timeout=LONG_MS)) == 1  # and is never heard of again
    consumer = broker.consume(QUEUE, timeout=WORKER_IDLE_MS)
    began = time.monotonic()
    while take(consumer) is None:
        assert time.monotonic() - began < HEARTBEAT_TIMEOUT_MS / 1_000 + SOON_S
    assert time.monotonic() - began > HEARTBEAT_TIMEOUT_MS / 1_000 - SOON_S, "nor is it taken from who still works"


def test_there_are_no_queues_of_delayed_messages(broker: ChoudoBroker) -> None:
    broker.declare_queue(QUEUE)
    assert broker.get_declared_queues() == {QUEUE}
    assert broker.get_declared_delay_queues() == set()


def test_an_idle_worker_is_not_taken_for_dead() -> None:
    assert WORKER_IDLE_MS * 3 <= HEARTBEAT_TIMEOUT_MS
