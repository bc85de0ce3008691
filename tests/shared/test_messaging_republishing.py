"""Republishing is bounded: an outage leaves one copy of each delivery on its queue, at a pace, found by an index."""

import contextlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import dramatiq
import msgspec
import pytest
import redis
from sqlalchemy import text

from shared.db import Database, Prepared
from shared.messaging.broker import ChoudoBroker, events_queue, make_broker
from shared.messaging.relay import _CLAIM, PACE_PER_SECOND, Relay
from tests.shared.conftest import MakeDb, TestClock
from tests.shared.makers import TOWN, make_availability, make_stamps, publish, rows_of, take_all

QUEUE = events_queue("routing")
WAITING = 20_000
FEW, MANY = 1_000, 100_000


def copies(broker: ChoudoBroker) -> Counter[str]:
    """How often each event waits on the queue."""
    ids = broker.client.lrange(f"{broker.namespace}:{QUEUE}", 0, -1)
    return Counter(each.decode().split("/")[1] for each in ids if isinstance(each, bytes))


async def publish_all(relay: Relay) -> int:
    total = 0
    while published := await relay.publish_due():
        total += published
    return total


async def fill(db: Database, count: int, *, attempts: int = 0) -> None:
    """Unacknowledged deliveries for routing, without going through thousands of objects."""
    event = make_availability()
    values = {"town": TOWN, "count": count, "now": event.occurred_at, "attempts": attempts}
    values["payload"] = msgspec.json.encode(event)
    async with db.begin_across_towns() as session:
        statement = """
            WITH told AS (
                INSERT INTO booking.outbox (municipality, event_id, aggregate_id, aggregate_version, type, payload,
                                            occurred_at)
                SELECT :town, gen_random_uuid(), 'x', 1, 'booking.availability_changed.v1', :payload, :now
                FROM generate_series(1, :count) RETURNING municipality, event_id, occurred_at)
            INSERT INTO booking.delivery (municipality, event_id, consumer, occurred_at, next_publish_at, attempts)
            SELECT municipality, event_id, 'routing', occurred_at, occurred_at, :attempts FROM told
        """
        await session.execute(text("SET LOCAL statement_timeout = 60000"))
        await session.execute(text(statement), values)


async def test_a_consumer_that_is_away_for_an_hour_finds_each_delivery_once(
    make_db: MakeDb, broker: ChoudoBroker, clock: TestClock
) -> None:
    """Seen to fail with every queue taken for drained: each delivery is published again and again."""
    db = make_db("booking")
    await fill(db, WAITING)
    relay = Relay(db, broker, clock)
    published = await publish_all(relay)
    for step in range(12):
        clock.pass_time(minutes=5)
        # And the broker goes away now and then.
        await relay.look_at_broker(was_away=step % 2 == 0)
        published += await publish_all(relay)
    assert published == WAITING
    found = copies(broker)
    assert (len(found), max(found.values())) == (WAITING, 1)


async def test_a_wiped_broker_is_filled_at_the_pace_that_consumers_keep(
    make_db: MakeDb, broker: ChoudoBroker, clock: TestClock
) -> None:
    """Seen to fail with all of them due at once."""
    db = make_db("booking")
    await fill(db, 4 * PACE_PER_SECOND)
    relay = Relay(db, broker, clock)
    await publish_all(relay)
    broker.client.flushdb()
    await relay.look_at_broker(was_away=False)
    seen: Counter[str] = Counter()
    for _ in range(4):
        clock.pass_time(seconds=1)
        await relay.look_at_broker(was_away=False)
        assert await publish_all(relay) == PACE_PER_SECOND
        assert copies(broker).total() == PACE_PER_SECOND
        seen.update(envelope.event_id for envelope in take_all(broker, QUEUE))
    assert (len(seen), max(seen.values())) == (4 * PACE_PER_SECOND, 1)


class Unheard(ChoudoBroker):
    """Does what it is told, and its answer never comes: as a stalled server, once it goes on."""

    def enqueue_many(self, messages: Iterable["dramatiq.Message[None]"]) -> None:
        super().enqueue_many(messages)
        raise redis.TimeoutError


async def test_what_is_given_again_because_no_answer_came_is_there_once(
    make_db: MakeDb, redis_url: str, clock: TestClock
) -> None:
    """Seen to fail with an id of its own for each message: ten copies."""
    db = make_db("booking")
    await publish(db, *(make_availability() for _ in range(50)))
    broker = make_broker(redis_url, make_stamps("booking"))
    unheard = Unheard(url=redis_url, middleware=[])
    unheard._stamps = broker.stamps
    for _ in range(9):
        with pytest.raises(redis.TimeoutError):
            await Relay(db, unheard, clock).publish_due()
    assert await Relay(db, broker, clock).publish_due() == 50
    assert set(copies(broker).values()) == {1}
    assert [row.attempts for row in await rows_of(db, "SELECT DISTINCT attempts FROM booking.delivery")] == [1]


@pytest.mark.parametrize("attempts", [0, 1])
async def test_a_look_and_a_claim_read_no_more_when_a_hundred_thousand_wait(
    make_db: MakeDb, broker: ChoudoBroker, clock: TestClock, attempts: int
) -> None:
    """Pages read, by PostgreSQL's own count. Seen to fail with the claim's indexes dropped."""
    db = make_db("booking")
    relay = Relay(db, broker, clock)
    await fill(db, FEW, attempts=attempts)
    few = await pages_read(db, relay, clock)
    await fill(db, MANY, attempts=attempts)
    many = await pages_read(db, relay, clock)
    # An index is one level deeper, and its entries lie on more pages than those of a small one.
    assert many["look"] <= few["look"] + 10
    assert many["claim"] <= 2 * few["claim"]


class _Undone(Exception):
    pass


async def pages_read(db: Database, relay: Relay, clock: TestClock) -> dict[str, int]:
    values = relay._claim_values()
    look = relay._due.replace("$1", ":now").replace("$2::text[]", "CAST(:consumers AS text[])")
    look = look.replace("$3::boolean[]", "CAST(:bulks AS boolean[])")
    read = {}
    with contextlib.suppress(_Undone):
        async with db.begin_across_towns() as session:
            for name, statement in (("look", look), ("claim", _CLAIM.format(schema="booking"))):
                explain = Prepared(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
                plan: dict[str, Any] = (await explain.row(session, values))[0][0]["Plan"]
                read[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            raise _Undone
    return read
