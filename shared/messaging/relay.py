"""The relay: claims due deliveries and puts them on their consumers' queues, until a receipt arrives."""

import asyncio
import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import dramatiq
import msgspec
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.clock import Clock
from shared.db import Database, Prepared
from shared.events.subscriptions import SERVICES
from shared.faults import pass_step
from shared.log import describe, get_logger
from shared.messaging.broker import GENERATION_KEY, ChoudoBroker, Envelope, events_queue
from shared.messaging.stamps import Stamps
from shared.telemetry import DELIVERIES_PUBLISHED, OLDEST_UNACKNOWLEDGED_SECONDS
from shared.timekeeping import may_differ

log = get_logger(__name__)

POLL_INTERVAL_S = 0.05
# However often it is woken, a rush goes out in batches.
GATHER_S = 0.02
BATCH = 500
# Of a backlog.
BATCHES_AT_ONCE = 2
# What nobody waits for travels, and is applied, so many at a time, and in messages that stay far from the longest
# that is read (`broker.MESSAGE_MAX_BYTES`).
TOGETHER = 25
TOGETHER_CHARACTERS = 262_144
FIRST_RETRY = timedelta(seconds=15)
LONGEST_RETRY = timedelta(minutes=10)
LOOK_INTERVAL_S = 1.0
MEASURE_INTERVAL_S = 15.0
BROKER_AWAY_PAUSE_S = 0.5
# Nothing is published a second time while more than this many messages wait: slowness is no loss.
DRAINED_BELOW = 1
# After an outage everything unacknowledged is due at once, spread out so that consumers are not flooded.
PACE_PER_SECOND = 500
# At most so many of a queue are hurried after an outage, in transactions of so many; beyond that each comes at its
# own time.
HURRIED_MAX = 20_000
HURRIED_CHUNK = 2_000

# No pause is longer, with some room for clocks that differ: beyond it, a clock was ahead that is right again.
FURTHEST_AHEAD = LONGEST_RETRY + timedelta(minutes=1)

# What is new goes out whatever its time says: the clock of who wrote it may be ahead of ours.
# For each look at whether anything is due, one probe of an index: nothing that waits is passed over on the way. In
# order, because without one PostgreSQL would rather look through the table until it finds something.
_DUE = """
    SELECT EXISTS (
        SELECT FROM (VALUES (false), (true)) AS lane(bulk) CROSS JOIN LATERAL (
            SELECT FROM {schema}.delivery d
            WHERE d.bulk = lane.bulk AND d.acked_at IS NULL AND d.attempts = 0 ORDER BY d.next_publish_at LIMIT 1
        ) AS new)
        OR (SELECT min(again.next_publish_at)
            FROM unnest($2::text[], $3::boolean[]) AS drained(consumer, bulk) CROSS JOIN LATERAL (
                SELECT d.next_publish_at FROM {schema}.delivery d
                WHERE (d.consumer, d.bulk) = (drained.consumer, drained.bulk) AND d.acked_at IS NULL AND d.attempts > 0
                ORDER BY d.next_publish_at LIMIT 1) AS again) <= $1
"""
_CLAIM = """
    WITH new AS (
        SELECT fresh.* FROM (VALUES (false), (true)) AS lane(bulk) CROSS JOIN LATERAL (
            SELECT d.municipality, d.event_id, d.consumer FROM {schema}.delivery d
            WHERE d.bulk = lane.bulk AND d.acked_at IS NULL AND d.attempts = 0
            ORDER BY d.next_publish_at LIMIT :batch FOR UPDATE SKIP LOCKED) AS fresh),
    again AS (
        SELECT late.* FROM unnest(CAST(:consumers AS text[]), CAST(:bulks AS boolean[])) AS drained(consumer, bulk)
        CROSS JOIN LATERAL (
            SELECT d.municipality, d.event_id, d.consumer FROM {schema}.delivery d
            WHERE (d.consumer, d.bulk) = (drained.consumer, drained.bulk) AND d.acked_at IS NULL AND d.attempts > 0
              AND d.next_publish_at <= :now
            ORDER BY d.next_publish_at LIMIT :batch FOR UPDATE SKIP LOCKED) AS late)
    UPDATE {schema}.delivery d
    SET attempts = d.attempts + 1,
        next_publish_at = CAST(:now AS timestamptz)
            + least(CAST(:first AS float) * power(2, least(d.attempts, 20)), CAST(:longest AS float))
            * interval '1 second'
    FROM (SELECT * FROM new UNION ALL SELECT * FROM again) AS due JOIN {schema}.outbox o USING (municipality, event_id)
    WHERE (d.municipality, d.event_id, d.consumer) = (due.municipality, due.event_id, due.consumer)
    RETURNING d.municipality, d.event_id, d.consumer, d.bulk, d.attempts, o.type, o.payload,
              CASE WHEN o.sealed_for = d.consumer THEN o.sealed END AS sealed
"""
_OLDEST = """
    SELECT least(
        (SELECT min(occurred_at) FROM {schema}.delivery WHERE acked_at IS NULL AND attempts = 0),
        (SELECT min(occurred_at) FROM {schema}.delivery WHERE acked_at IS NULL AND attempts > 0))
"""
_LATE = """
    SELECT late.* FROM unnest(CAST(:consumers AS text[]), CAST(:bulks AS boolean[])) AS queue(consumer, bulk)
    CROSS JOIN LATERAL (
        SELECT d.municipality, d.event_id, d.consumer FROM {schema}.delivery d
        WHERE (d.consumer, d.bulk) = (queue.consumer, queue.bulk) AND d.acked_at IS NULL AND d.attempts > 0
        ORDER BY d.next_publish_at LIMIT :most) AS late
"""
_HURRY = """
    UPDATE {schema}.delivery d
    SET next_publish_at = CAST(:now AS timestamptz) + (late.rank / CAST(:pace AS float)) * interval '1 second'
    FROM unnest(CAST(:towns AS text[]), CAST(:events AS uuid[]), CAST(:consumers AS text[]), CAST(:ranks AS integer[]))
         AS late(municipality, event_id, consumer, rank)
    WHERE (d.municipality, d.event_id, d.consumer) = (late.municipality, late.event_id, late.consumer)
      AND d.acked_at IS NULL
"""
_SET_RIGHT = """
    UPDATE {schema}.delivery SET next_publish_at = :now WHERE (municipality, event_id, consumer) IN (
        SELECT municipality, event_id, consumer FROM {schema}.delivery
        WHERE consumer = ANY (:consumers) AND bulk = ANY (:lanes) AND acked_at IS NULL AND attempts > 0
          AND next_publish_at > :furthest
        LIMIT :most FOR UPDATE SKIP LOCKED)
"""


_Queue = tuple[str, bool]
# What somebody waits for is hurried first.
_QUEUES: list[_Queue] = [(consumer, bulk) for bulk in (False, True) for consumer in SERVICES]


class Relay:
    """One service's relay. Several may run: they skip what another has claimed."""

    def __init__(self, db: Database, broker: ChoudoBroker, clock: Clock) -> None:
        self._db = db
        self._broker = broker
        self._clock = clock
        self._drained = _QUEUES
        self._woken = asyncio.Event()
        self._listeners: list[Callable[[set[str]], None]] = []
        self._generation_key = f"{GENERATION_KEY}:{db.service}"
        self._due = _DUE.format(schema=db.service)
        self._claim = Prepared(_CLAIM.format(schema=db.service))
        self._oldest = text(_OLDEST.format(schema=db.service))
        self._set_right = text(_SET_RIGHT.format(schema=db.service))
        self._late = text(_LATE.format(schema=db.service))
        self._hurry = text(_HURRY.format(schema=db.service))

    def tell(self, listener: Callable[[set[str]], None]) -> None:
        """Call `listener` with the towns in which something was published, a moment after each commit.

        A hint: it may come twice, or not at all when another process's relay was quicker, or ended then.
        """
        self._listeners.append(listener)

    def wake(self) -> None:
        """This process has published something: it need not wait for the next look."""
        self._woken.set()

    async def run(self) -> None:
        """Relay until cancelled; survive an absent broker or database."""
        next_look = next_measure = 0.0
        loop = asyncio.get_running_loop()
        was_away = False
        published = 0
        # What was published before is not published again until the first look says that its queue is drained.
        self._drained = []
        while True:
            try:
                if was_away:
                    # Asked before anything is claimed: a claim holds its rows for as long as there is no answer.
                    await asyncio.to_thread(self._broker.client.ping)
                # What is new goes out first, whatever the look at the broker comes to.
                at_once = BATCHES_AT_ONCE if published >= BATCH else 1
                published = await self.publish_batches(at_once) if await self.is_anything_due() else 0
                if was_away or loop.time() >= next_look:
                    next_look = loop.time() + LOOK_INTERVAL_S
                    await self.look_at_broker(was_away=was_away)
                    was_away = False
                    await self.set_times_right()
                if loop.time() >= next_measure:
                    next_measure = loop.time() + MEASURE_INTERVAL_S
                    await self._measure()
                if published < BATCH:
                    await self._rest()
            except RedisError as error:
                was_away = True
                log.warning("relay_broker_away", **describe(error))
                await asyncio.sleep(BROKER_AWAY_PAUSE_S)
            except Exception as error:  # noqa: BLE001 - the database is away: nothing is lost, try again
                log.warning("relay_failed", **describe(error))
                await asyncio.sleep(BROKER_AWAY_PAUSE_S)

    async def is_anything_due(self) -> bool:
        """Whether there is anything to publish: what is new, and again what its consumer has not got by now."""
        return await self._db.look(self._due, self._clock(), *_columns(self._drained))

    async def publish_batches(self, count: int) -> int:
        """`publish_due` so many times at once: while one is with the broker, another is with the database.

        Raises:
            RedisError: the broker is away.
        """
        done = await asyncio.gather(*(self.publish_due() for _ in range(count)), return_exceptions=True)
        failed = [each for each in done if isinstance(each, BaseException)]
        if failed:
            # That the broker is away must be noticed, whatever else went wrong beside it.
            raise next((each for each in failed if isinstance(each, RedisError)), failed[0])
        return sum(each for each in done if isinstance(each, int))

    async def publish_due(self) -> int:
        """Publish a batch of each lane of what is new, and one for each queue of what is due again; return how many.

        A publish that fails is not an attempt: the claim is rolled back.

        Raises:
            RedisError: the broker is away.
        """
        async with self._db.begin_across_towns() as session:
            rows = sorted(await self._claim.rows(session, self._claim_values()), key=lambda row: bool(row["bulk"]))
            if not rows:
                return 0
            for tell in self._listeners:
                tell({row.municipality for row in rows})
            messages = self._messages(rows)
            pass_step("relay.claimed")
            await asyncio.to_thread(self._broker.enqueue_many, messages)
            pass_step("relay.published")
        DELIVERIES_PUBLISHED.labels(self._db.service).inc(len(rows))
        return len(rows)

    def _messages(self, rows: Iterable[Any]) -> list[dramatiq.Message[None]]:
        stamps = self._broker.stamps
        messages: list[dramatiq.Message[None]] = []
        in_bulk: dict[tuple[str, str], list[Envelope]] = defaultdict(list)
        for row in rows:
            envelope = Envelope(
                publisher=self._db.service,
                consumer=row.consumer,
                municipality=row.municipality,
                event_id=str(row.event_id),
                type=row.type,
                payload=row.payload.decode(),
                sealed=row.sealed,
                attempt=row.attempts,
            )
            if not row.bulk:
                messages.append(_message(envelope, stamps))
            elif envelope.attempt > 1:
                # It may be what harms its neighbours.
                messages.append(_bulk_message([envelope], stamps))
            else:
                in_bulk[envelope.consumer, envelope.municipality].append(envelope)
        for envelopes in in_bulk.values():
            messages += [_bulk_message(together, stamps) for together in _packed(envelopes)]
        return messages

    def _claim_values(self) -> dict[str, object]:
        consumers, bulks = _columns(self._drained)
        return {
            "now": self._clock(),
            "consumers": consumers,
            "bulks": bulks,
            "batch": BATCH,
            "first": FIRST_RETRY.total_seconds(),
            "longest": LONGEST_RETRY.total_seconds(),
        }

    async def look_at_broker(self, *, was_away: bool) -> None:
        """Note which queues are drained; if the broker was away or wiped, make everything unacknowledged due, paced.

        Raises:
            RedisError: the broker is away.
        """
        run, is_new, self._drained = await asyncio.to_thread(self._ask_broker)
        if not is_new and not was_away:
            return
        await self._hurry_unacknowledged()
        # Only now: had the database failed, the next look must find the broker new again.
        await asyncio.to_thread(self._broker.client.set, self._generation_key, run)

    async def set_times_right(self) -> None:
        """Make due what was put off by a clock that was ahead: it would wait until all clocks are there.

        A chunk of it; the rest the next time. Not while another relay may go by another time: they would undo each
        other's.
        """
        if may_differ(self._clock):
            return
        now = self._clock()
        async with self._db.begin_across_towns() as session:
            consumers, lanes = _columns(_QUEUES)
            times = {
                "now": now,
                "furthest": now + FURTHEST_AHEAD,
                "consumers": consumers,
                "lanes": lanes,
                "most": HURRIED_CHUNK,
            }
            await session.execute(self._set_right, times)

    async def measure_oldest(self) -> None:
        """Set the metric that an alert watches: the age of the oldest delivery without a receipt."""
        async with self._db.begin_across_towns() as session:
            oldest = (await session.execute(self._oldest)).scalar_one_or_none()
        age_s = (self._clock() - oldest).total_seconds() if oldest else 0.0
        OLDEST_UNACKNOWLEDGED_SECONDS.labels(self._db.service).set(max(0.0, age_s))

    async def _hurry_unacknowledged(self) -> None:
        now = self._clock()
        async with self._db.begin_across_towns() as session:
            consumers, bulks = _columns(_QUEUES)
            late = {"consumers": consumers, "bulks": bulks, "most": HURRIED_MAX}
            rows = (await session.execute(self._late, late)).all()
        # Small transactions: however much waits, none comes near the statement timeout or keeps receipts waiting.
        for first in range(0, len(rows), HURRIED_CHUNK):
            chunk = rows[first : first + HURRIED_CHUNK]
            async with self._db.begin_across_towns() as session:
                await session.execute(
                    self._hurry,
                    {
                        "now": now,
                        "pace": PACE_PER_SECOND,
                        "towns": [row.municipality for row in chunk],
                        "events": [row.event_id for row in chunk],
                        "consumers": [row.consumer for row in chunk],
                        "ranks": list(range(first + 1, first + 1 + len(chunk))),
                    },
                )

    async def _measure(self) -> None:
        try:
            await self.measure_oldest()
        except DBAPIError as error:
            # Too much to be counted, or no database: what an alert watches goes on growing.
            OLDEST_UNACKNOWLEDGED_SECONDS.labels(self._db.service).inc(MEASURE_INTERVAL_S)
            log.warning("oldest_not_measured", **describe(error))

    def _ask_broker(self) -> tuple[bytes, bool, list[_Queue]]:
        # Of this start of the server: with old data it has an old one, or none.
        run = str(self._broker.client.info("server")["run_id"]).encode()
        is_new = self._broker.client.get(self._generation_key) != run
        lengths = self._broker.queue_lengths(events_queue(consumer, bulk=bulk) for consumer, bulk in _QUEUES)
        drained = [queue for queue, length in zip(_QUEUES, lengths, strict=True) if length < DRAINED_BELOW]
        return run, is_new, drained

    async def _rest(self) -> None:
        await asyncio.sleep(GATHER_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), POLL_INTERVAL_S - GATHER_S)
        self._woken.clear()


def _columns(queues: list[_Queue]) -> tuple[list[str], list[bool]]:
    return [consumer for consumer, _ in queues], [bulk for _, bulk in queues]


def _message(envelope: Envelope, stamps: Stamps) -> dramatiq.Message[None]:
    queue = events_queue(envelope.consumer)
    # The same id for the same attempt: given again because nobody knows whether the broker took it, it is there once.
    return _message_of(queue, _stamped(envelope, stamps), _name(envelope))


def _bulk_message(envelopes: Sequence[Envelope], stamps: Stamps) -> dramatiq.Message[None]:
    queue = events_queue(envelopes[0].consumer, bulk=True)
    name = hashlib.sha256("\n".join(map(_name, envelopes)).encode()).hexdigest()
    return _message_of(queue, {"together": [_stamped(envelope, stamps) for envelope in envelopes]}, name)


def _message_of(queue: str, kwargs: dict[str, Any], name: str) -> dramatiq.Message[None]:
    return dramatiq.Message(queue_name=queue, actor_name=queue, args=(), kwargs=kwargs, options={}, message_id=name)


def _name(envelope: Envelope) -> str:
    return f"{envelope.municipality}/{envelope.event_id}/{envelope.attempt}"


def _stamped(envelope: Envelope, stamps: Stamps) -> dict[str, object]:
    return {"envelope": msgspec.to_builtins(envelope), "stamp": stamps.make(envelope.consumer, envelope)}


def _packed(envelopes: Iterable[Envelope]) -> Iterator[list[Envelope]]:
    together: list[Envelope] = []
    length = 0
    for envelope in envelopes:
        needs = len(envelope.payload) + len(envelope.sealed or "")
        if together and (len(together) == TOGETHER or length + needs > TOGETHER_CHARACTERS):
            yield together
            together, length = [], 0
        together.append(envelope)
        length += needs
    if together:
        yield together
