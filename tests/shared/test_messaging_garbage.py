"""Whatever somebody puts on a queue: it harms nobody who waits beside it, and nothing of it is kept or quoted."""

import json
from collections.abc import Iterator
from uuid import uuid4

import dramatiq
import pytest

from shared.clock import utc_now
from shared.messaging.broker import MESSAGE_MAX_BYTES, ChoudoBroker, events_queue
from shared.messaging.relay import _message
from shared.telemetry import MESSAGES_REFUSED
from tests.conftest import TestDatabase
from tests.logs import Logged
from tests.shared.conftest import MakeDb
from tests.shared.makers import make_availability, make_envelope, rows_of
from tests.shared.test_messaging_crashes import EFFECTS, Workers, wait_until, workers
from tests.shared.test_messaging_stamps import real_stamps

__all__ = ["workers"]

QUEUE = events_queue("routing")
SOMEBODY = "hanako@example.jp"


def message(number: int, queue: str = QUEUE) -> "dramatiq.Message[None]":
    return dramatiq.Message(queue, queue, (), {"number": number}, {})


def odd(**fields: object) -> bytes:
    """A message of dramatiq's, with something that it should not have."""
    kwargs = {"envelope": SOMEBODY}
    given = {"queue_name": QUEUE, "actor_name": QUEUE, "args": [], "kwargs": kwargs, "options": {}, "message_id": "m"}
    return json.dumps(given | {"message_timestamp": 1} | fields).encode()


UNREADABLE = {
    "bytes": b"\xff\xfe" + SOMEBODY.encode(),
    "no message": json.dumps([SOMEBODY]).encode(),
    "a message without anything": json.dumps({"name": SOMEBODY}).encode(),
    "kwargs that are none": odd(kwargs=[SOMEBODY]),
    "nested too deeply": b'{"kwargs":' + b"[" * 200_000,
    "huge": odd(kwargs={"envelope": SOMEBODY, "more": "x" * MESSAGE_MAX_BYTES}),
}
# They can be read, and come as far as the stamp that they lack.
UNSTAMPED = {
    "no id in it": odd(),
    "somebody else's id in it": odd(options={"redis_message_id": "first"}),
    "an id that is no text": odd(options={"redis_message_id": [SOMEBODY]}),
    "an actor that nobody has": odd(actor_name=f"{SOMEBODY}.consume"),
    "another queue": odd(queue_name=SOMEBODY),
    "another time": odd(options={"eta": 9e15}),
    "callbacks": odd(options={"on_success": QUEUE, "pipe_target": {"actor_name": SOMEBODY}}),
    "args of the wrong shape": odd(args={"name": SOMEBODY}),
    "no fields but one": odd(args=None, options=None, message_id=7, message_timestamp="then"),
}


def put_raw(broker: ChoudoBroker, data: bytes, redis_id: str | None = None) -> None:
    """What somebody with access to Redis can do, past all that is ours."""
    redis_id = redis_id or str(uuid4())
    broker.client.hset(f"{broker.namespace}:{QUEUE}.msgs", redis_id, data)
    broker.client.rpush(f"{broker.namespace}:{QUEUE}", redis_id)


def keys_of(broker: ChoudoBroker, pattern: str = "*") -> list[str]:
    """The names of what Redis has."""
    return [key.decode() for key in broker.client.keys(pattern) if isinstance(key, bytes)]


def left_in_redis(broker: ChoudoBroker) -> list[str]:
    """All keys but the workers' heartbeats."""
    return sorted(key for key in keys_of(broker) if not key.endswith("__heartbeats__"))


def take_until_empty(consumer: dramatiq.Consumer) -> Iterator[dramatiq.MessageProxy]:
    while (taken := next(consumer)) is not None:
        yield taken


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_counted_and_forgotten_and_its_neighbours_come_at_once(
    broker: ChoudoBroker, logged: Logged, name: str
) -> None:
    """Seen to fail with dramatiq's own consumer: it raises, and its other messages wait for a republishing.

    Those in the same take come without another look at Redis.
    """
    refused = MESSAGES_REFUSED.labels("routing", "unreadable")
    before = refused._value.get()
    broker.enqueue_many([message(1)])
    put_raw(broker, UNREADABLE[name])
    broker.enqueue_many([message(2)])
    consumer = broker.consume(QUEUE, prefetch=8, timeout=20)
    first = next(consumer)
    assert broker.queue_length(QUEUE) == 0, "one take"
    second = next(consumer)
    assert [one.kwargs["number"] for one in (first, second) if one] == [1, 2]
    assert refused._value.get() == before + 1
    for one in (first, second):
        assert one is not None
        consumer.ack(one)
    assert next(consumer) is None
    assert left_in_redis(broker) == []
    assert SOMEBODY not in logged.text
    assert "messages_unreadable" in logged.text


def test_an_id_without_a_message_is_nothing(broker: ChoudoBroker) -> None:
    broker.client.rpush(f"{broker.namespace}:{QUEUE}", SOMEBODY)
    broker.enqueue_many([message(1)])
    consumer = broker.consume(QUEUE, prefetch=8, timeout=20)
    (only,) = take_until_empty(consumer)
    consumer.ack(only)
    assert left_in_redis(broker) == []


def test_only_the_queue_says_which_message_is_acknowledged(broker: ChoudoBroker) -> None:
    """Seen to fail with dramatiq's own consumer, which believes the message: it ends a neighbour and stays."""
    broker.enqueue_many([message(1)])
    broker.client.rename(f"{broker.namespace}:{QUEUE}", "aside")
    (neighbour,) = broker.client.lrange("aside", 0, -1)
    assert isinstance(neighbour, bytes)
    put_raw(broker, odd(options={"redis_message_id": neighbour.decode()}))
    broker.client.rpush(f"{broker.namespace}:{QUEUE}", neighbour)
    broker.client.delete("aside")
    consumer = broker.consume(QUEUE, prefetch=8, timeout=20)
    liar, honest = take_until_empty(consumer)
    consumer.ack(liar)
    assert broker.client.hkeys(f"{broker.namespace}:{QUEUE}.msgs") == [neighbour]
    consumer.nack(honest)
    assert left_in_redis(broker) == [], "nor are there dead letters"


async def test_a_worker_handles_the_neighbours_of_garbage_without_another_publishing(
    workers: Workers, make_db: MakeDb, database: TestDatabase, broker: ChoudoBroker
) -> None:
    """Nobody publishes again here: what would have waited for that would never have come.

    Seen to fail (nobody comes) with what cannot be read raised, as dramatiq's own consumer does.
    """
    stamps = real_stamps(database, "booking")
    garbage = [*UNREADABLE.values(), *UNSTAMPED.values()]
    for each in garbage:
        broker.enqueue_many([_message(make_envelope(make_availability(at=utc_now())), stamps)])
        put_raw(broker, each)
    routing = make_db("routing")
    workers.start("routing")

    async def all_are_handled() -> bool:
        return int((await rows_of(routing, EFFECTS))[0].events) == len(garbage) and broker.queue_length(QUEUE) == 0

    await wait_until(all_are_handled)
    assert await workers.stop("routing") == 0, workers.log("routing")
    assert await rows_of(routing, "SELECT 1 FROM routing.inbox WHERE attempts > 1") == []
    log = workers.log("routing")
    assert SOMEBODY not in log
    assert log.count('"event":"event_not_genuine"') == len(UNSTAMPED)
    assert "Restarting consumer" not in log
    # What waits now are receipts.
    assert SOMEBODY not in str([broker.client.hvals(key) for key in keys_of(broker, "*.msgs")])
    assert keys_of(broker, f"*{QUEUE}*") == []
