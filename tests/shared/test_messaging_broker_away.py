"""A broker that is stalled, restarted, wiped or killed under a live flow: the workers recover by themselves."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from shared.clock import utc_now
from shared.messaging.broker import ChoudoBroker, events_queue, make_broker
from tests.conftest import TestDatabase
from tests.shared.conftest import MakeDb
from tests.shared.makers import make_availability, make_stamps, publish, rows_of
from tests.shared.own_broker import OwnBroker
from tests.shared.test_messaging_crashes import EFFECTS, UNACKNOWLEDGED, Workers, wait_until
from tests.shared.test_messaging_garbage import keys_of, message, take_until_empty

pytestmark = pytest.mark.alone

FROZEN_S = 12.0
RECOVERY_S = 20.0
EVENTS = 5
QUEUE = events_queue("routing")


@pytest.fixture
def make_own_broker(tmp_path: Path) -> Iterator[Callable[..., OwnBroker]]:
    made: list[OwnBroker] = []

    def make(*, keeps: bool) -> OwnBroker:
        made.append(OwnBroker(tmp_path, keeps=keeps))
        return made[-1]

    yield make
    for one in made:
        one.close()


MakeOwnBroker = Callable[..., OwnBroker]


async def freeze(own: OwnBroker) -> None:
    own.freeze()
    await asyncio.sleep(FROZEN_S)
    own.thaw()


async def restart(own: OwnBroker) -> None:
    own.restart()


async def kill(own: OwnBroker) -> None:
    own.kill()
    await asyncio.sleep(2)
    own.restart()


async def wipe(own: OwnBroker) -> None:
    with redis.Redis.from_url(own.url) as client:
        client.flushall()


@pytest.mark.parametrize(("fault", "keeps"), [(freeze, False), (restart, True), (kill, False), (wipe, False)])
async def test_the_flow_goes_on_by_itself_when_the_broker_is_back(
    make_own_broker: MakeOwnBroker,
    database: TestDatabase,
    make_db: MakeDb,
    root_dir: Path,
    tmp_path: Path,
    fault: Callable[[OwnBroker], object],
    keeps: bool,
) -> None:
    """Seen to fail (frozen) with the strays left where they are, and with Redis's errors raised by the consumer."""
    own = make_own_broker(keeps=keeps)
    booking, routing = make_db("booking"), make_db("routing")
    workers = Workers(database.environ | {"CHOUDO_REDIS_URL": own.url}, root_dir, tmp_path)
    flowing = True

    async def flow() -> int:
        told = 0
        while flowing:
            await publish(booking, *(make_availability(at=utc_now()) for _ in range(EVENTS)))
            told += EVENTS
            await asyncio.sleep(0.1)
        return told

    async def some_are_applied() -> bool:
        return int((await rows_of(routing, EFFECTS))[0].events) > EVENTS

    async def all_are_acknowledged() -> bool:
        return bool((await rows_of(booking, UNACKNOWLEDGED))[0].count == 0)

    try:
        for service in ("booking", "routing"):
            workers.start(service)
        telling = asyncio.create_task(flow())
        await wait_until(some_are_applied)
        outcome = fault(own)
        assert asyncio.iscoroutine(outcome)
        await outcome
        over = time.monotonic()
        flowing = False
        told = await telling
        await wait_until(all_are_acknowledged)
        assert time.monotonic() - over <= RECOVERY_S
        (seen,) = await rows_of(routing, EFFECTS)
        assert (seen.events, seen.most) == (told, 1)
        await asyncio.sleep(0.5)  # the last acknowledgements are on their way to the broker
        assert [key for key in keys_of(make_broker(own.url)) if "__acks__" in key or key.endswith(".msgs")] == []
        for service in ("booking", "routing"):
            assert "Restarting consumer" not in workers.log(service)
            assert await workers.stop(service) == 0, workers.log(service)
    finally:
        for process in workers.running.values():
            process.kill()
            process.wait()


def test_what_was_taken_and_never_arrived_is_put_back(
    broker: ChoudoBroker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stalled server does it when it goes on, and nobody hears its answer. Fails without the look at strays."""
    monkeypatch.setattr("shared.messaging.broker.STRAYS_INTERVAL_S", 0.0)
    broker.enqueue_many(message(number) for number in range(5))
    consumer = broker.consume(QUEUE, prefetch=2, timeout=20)
    one, two = next(consumer), next(consumer)
    lost = broker.do_take(QUEUE, 3, 1_000)
    assert len(lost) == 1 + 2 * 3
    assert one is not None
    assert two is not None
    consumer.ack(one)
    taken = list(take_until_empty(consumer))
    assert len(taken) == 1, "as many as there is room for"
    assert taken[0].kwargs["number"] not in {0, 1}, "and none that is in hand"
    for each in (two, *taken):
        consumer.ack(each)
    for each in take_until_empty(consumer):
        consumer.ack(each)
    assert keys_of(broker, "*acks*") == []
    assert broker.queue_length(QUEUE) == 0


def test_an_acknowledgement_that_fails_holds_up_nobody_and_does_not_leak(
    make_own_broker: MakeOwnBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail with the error raised: dramatiq sleeps in the thread, or leaves the message for ever."""
    monkeypatch.setattr("shared.messaging.broker.STRAYS_INTERVAL_S", 0.0)
    monkeypatch.setattr("shared.messaging.broker.AWAY_PAUSE_S", 0.02)
    own = make_own_broker(keeps=True)
    broker = make_broker(own.url, make_stamps("booking"))
    broker.enqueue_many([message(1)])
    consumer = broker.consume(QUEUE, prefetch=2, timeout=20)
    first = next(consumer)
    assert first is not None
    own.kill()
    consumer.ack(first)
    assert next(consumer) is None
    own.restart()
    again = None
    while again is None:
        again = next(consumer)
    assert again.kwargs == {"number": 1}
    consumer.ack(again)
    assert keys_of(broker, "*acks*") == []
