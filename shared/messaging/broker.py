"""The queue: dramatiq over Redis, set up so that nothing in it needs to survive (see `docs/decisions`)."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dramatiq
import msgspec
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.middleware import AsyncIO

from shared.log import describe, get_logger
from shared.messaging.stamps import Stamps
from shared.telemetry import MESSAGES_REFUSED

log = get_logger(__name__)

HEARTBEAT_TIMEOUT_MS = 5_000
# Out of a million commands: every fetch, so at least one a second, looks for the messages of dead workers.
MAINTENANCE_CHANCE = 1_000_000
# How long a consumer with its hands full, or whose message another was quicker to take, waits before it asks again.
BUSY_PAUSE_S = 0.02
SOCKET_TIMEOUT_S = 5
AWAY_PAUSE_S = 0.5
# How often a consumer compares what it has in hand with what Redis believes that it has.
STRAYS_INTERVAL_S = 5.0
# However many bulk messages wait, most of a worker's threads are free for the others.
BULK_PREFETCH = 3
# Nothing of ours is so large (`outbox.PAYLOAD_MAX_BYTES`); what is, is not even read.
MESSAGE_MAX_BYTES = 4_194_304
# Redis serves nobody else while it puts so many.
PUT_CHUNK = 100
# Missing from the broker: it was wiped, and everything unacknowledged must be published again.
GENERATION_KEY = "choudo:generation"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What travels to a consumer: the whole event, who sent it, and the how-manieth time."""

    publisher: str
    consumer: str
    municipality: str
    event_id: str
    type: str
    payload: str
    sealed: str | None
    attempt: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What travels back: this consumer is done with the event (`applied`), or gives up on it (`refused`).

    What was refused is a dead letter there, and ends as `applied` or `discarded` when an operator has decided.
    """

    municipality: str
    event_id: str
    consumer: str
    outcome: str


def events_queue(service: str, *, bulk: bool = False) -> str:
    """The queue on which a service hears events: those that somebody waits for, or the others."""
    return f"{service}.bulk" if bulk else f"{service}.events"


def receipts_queue(service: str) -> str:
    """The queue on which a publisher hears what became of its events."""
    return f"{service}.receipts"


class _Wire(msgspec.Struct):
    # The queue says who reads it. Whatever else somebody wrote is not looked at: not options, delays or callbacks.
    kwargs: dict[str, Any]


class _WaitingConsumer(dramatiq.Consumer):
    """Waits in Redis until its queue has a message, where dramatiq's own asks again and again.

    A message is picked up at once, and a queue at rest costs two commands for each idle timeout, which has to be well
    below the heartbeat's: only a take is a heartbeat. Nothing that lies on the queue, and nothing that befalls Redis,
    raises here: dramatiq would start another consumer that knows nothing of what this one has in hand.
    """

    def __init__(self, broker: "ChoudoBroker", queue_name: str, prefetch: int, timeout: int) -> None:
        self._broker = broker
        self._queue = queue_name
        self._key = f"{broker.namespace}:{queue_name}"
        self._acks_key = f"{broker.namespace}:__acks__.{broker.broker_id}.{queue_name}"
        self._prefetch = prefetch
        self._idle_s = timeout / 1_000
        self._taken: deque[dramatiq.MessageProxy] = deque()
        self._in_hand: set[bytes] = set()
        self._has_room = threading.Event()
        self._next_look = 0.0

    def __next__(self) -> dramatiq.MessageProxy | None:
        if not self._taken and self._wait_for_room():
            try:
                self._take()
            except redis.RedisError as error:
                # It may have given us what we never got: as soon as it is back that is looked for.
                self._next_look = 0.0
                log.warning("queue_away", queue=self._queue, **describe(error))
                time.sleep(AWAY_PAUSE_S)
        return self._taken.popleft() if self._taken else None

    def ack(self, message: dramatiq.MessageProxy) -> None:
        """Let Redis forget the message. If it cannot be told, the message comes again: a duplicate like any other."""
        redis_id = message.options["redis_message_id"]
        try:
            self._broker.do_ack(self._queue, redis_id)
        except redis.RedisError as error:
            log.warning("message_not_acknowledged", queue=self._queue, **describe(error))
        self._in_hand.discard(redis_id)
        if len(self._in_hand) <= self._prefetch // 2:
            self._has_room.set()

    # Failures are mourned in PostgreSQL: nothing is kept here for them.
    nack = ack

    def requeue(self, messages: Iterable[dramatiq.MessageProxy]) -> None:
        """Nothing yet: all that is in hand goes back together, when the consumer closes."""

    def close(self) -> None:
        """Put back what is in hand, for others; if Redis is away, the missing heartbeat tells it later."""
        if self._in_hand:
            try:
                self._broker.do_requeue(self._queue, *self._in_hand)
            except redis.RedisError as error:
                log.warning("messages_not_put_back", queue=self._queue, **describe(error))

    def _wait_for_room(self) -> bool:
        if len(self._in_hand) >= self._prefetch:
            self._has_room.clear()
            self._has_room.wait(BUSY_PAUSE_S)
        return len(self._in_hand) < self._prefetch

    def _take(self) -> None:
        if time.monotonic() >= self._next_look:
            self._put_back_strays()
            self._next_look = time.monotonic() + STRAYS_INTERVAL_S
        # The first message moves to where it is: nothing changes, but every consumer waits until there is one.
        self._broker.client.blmove(self._key, self._key, self._idle_s, "LEFT", "LEFT")  # type: ignore[arg-type]
        room = self._prefetch - len(self._in_hand)
        refused, *taken = self._broker.do_take(self._queue, room, MESSAGE_MAX_BYTES)
        for redis_id, data in zip(taken[::2], taken[1::2], strict=True):
            message = self._read(redis_id, data)
            if message is None:
                refused += 1
                self._broker.do_ack(self._queue, redis_id)
            else:
                self._in_hand.add(redis_id)
                self._taken.append(message)
        if refused:
            MESSAGES_REFUSED.labels(self._queue.partition(".")[0], "unreadable").inc(refused)
            log.error("messages_unreadable", queue=self._queue, count=refused)

    def _read(self, redis_id: bytes, data: bytes) -> dramatiq.MessageProxy | None:
        try:
            wire = msgspec.json.decode(data, type=_Wire)
        except Exception:  # noqa: BLE001 - no JSON, no text, no message, nested too deeply: all the same to us
            return None
        options = {"redis_message_id": redis_id}
        message = dramatiq.Message[None](self._queue, self._queue, (), wire.kwargs, options)
        return dramatiq.MessageProxy(message)

    def _put_back_strays(self) -> None:
        """What Redis believes to be in our hands and is not: its answer was lost on the way, or our acknowledgement."""
        # In hand first: what is acknowledged meanwhile is no stray.
        in_hand = set(self._in_hand)
        strays = self._broker.client.smembers(self._acks_key) - in_hand
        if strays:
            log.warning("messages_put_back", queue=self._queue, count=len(strays))
            self._broker.do_requeue(self._queue, *strays)


class ChoudoBroker(RedisBroker):
    """A Redis broker that publishes many messages in one round trip, and whose queues cost little at rest.

    It has the stamps of whoever publishes.
    """

    _stamps: Stamps | None = None

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)  # type: ignore[no-untyped-call]
        theirs = self.scripts["dispatch"].script
        assert isinstance(theirs, bytes)
        self.scripts["dispatch"] = self.client.register_script(
            theirs + Path(__file__).with_name("queue.lua").read_bytes()
        )

    @property
    def stamps(self) -> Stamps:
        """What every event and receipt must carry."""
        if self._stamps is None:
            raise ValueError("a broker without stamps: nobody would believe what it carries")
        return self._stamps

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5_000) -> _WaitingConsumer:
        """What takes messages off a queue: only few at a time from one of bulk messages."""
        most = BULK_PREFETCH if queue_name.endswith(".bulk") else prefetch
        return _WaitingConsumer(self, queue_name, min(prefetch, most), timeout)

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, without dramatiq's queue of delayed messages beside it: delays are in PostgreSQL."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def enqueue_many(self, messages: Iterable[dramatiq.Message[None]]) -> None:
        """Enqueue all of the messages in one pipeline, in order on each queue. Blocking: call it from a thread.

        A message whose id still waits, or is in somebody's hands, is not there a second time.
        """
        queues: dict[str, list[str | bytes]] = defaultdict(list)
        for message in messages:
            queues[message.queue_name] += [message.message_id, message.encode()]
        with self.client.pipeline(transaction=False) as pipe:
            for queue_name, parts in queues.items():
                for first in range(0, len(parts), 2 * PUT_CHUNK):
                    self.scripts["dispatch"](
                        keys=[self.namespace],
                        args=[
                            "put",
                            current_millis(),
                            queue_name,
                            self.broker_id,
                            self.heartbeat_timeout,
                            self.dead_message_ttl,
                            0,
                            self._max_unpack_size(),  # type: ignore[no-untyped-call]
                            *parts[first : first + 2 * PUT_CHUNK],
                        ],
                        client=pipe,
                    )
            pipe.execute()

    def queue_length(self, queue_name: str) -> int:
        """How many messages wait on a queue."""
        return self.queue_lengths([queue_name])[0]

    def queue_lengths(self, queue_names: Iterable[str]) -> list[int]:
        """How many messages wait on each of the queues."""
        with self.client.pipeline(transaction=False) as pipe:
            for queue_name in queue_names:
                pipe.llen(f"{self.namespace}:{queue_name}")
            return [int(length) for length in pipe.execute()]


class _MsgspecEncoder(dramatiq.Encoder):
    def encode(self, data: dict[str, object]) -> bytes:
        return msgspec.json.encode(data)

    def decode(self, data: bytes) -> dict[str, object]:
        decoded: dict[str, object] = msgspec.json.decode(data)
        return decoded


def make_broker(redis_url: str, stamps: Stamps | None = None) -> ChoudoBroker:
    """A broker whose messages are retried, delayed and mourned in PostgreSQL only, so with no such middleware here.

    Without `stamps` it can look at queues, but publish nothing that a service would believe.
    """
    dramatiq.set_encoder(_MsgspecEncoder())
    broker = ChoudoBroker(
        url=f"{redis_url}{'&' if '?' in redis_url else '?'}socket_timeout={SOCKET_TIMEOUT_S}&socket_connect_timeout=2",
        middleware=[AsyncIO()],
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )
    broker._stamps = stamps
    return broker
