"""The queue: dramatiq over Redis, set up so that nothing in it needs to survive (see `docs/decisions`)."""

from collections.abc import Iterable

import dramatiq
import msgspec
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import AsyncIO, Callbacks, CurrentMessage, Pipelines, ShutdownNotifications

from shared.messaging.stamps import Stamps

HEARTBEAT_TIMEOUT_MS = 5_000
# Out of a million commands: every fetch, so at least one a second, looks for the messages of dead workers.
MAINTENANCE_CHANCE = 1_000_000
# How long a consumer with its hands full, or whose message another was quicker to take, waits before it asks again.
BUSY_PAUSE_MS = 20
SOCKET_TIMEOUT_S = 5
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


def events_queue(service: str) -> str:
    """The queue on which a service hears events."""
    return f"{service}.events"


def receipts_queue(service: str) -> str:
    """The queue on which a publisher hears what became of its events."""
    return f"{service}.receipts"


class _WaitingConsumer(_RedisConsumer):
    """Waits in Redis until its queue has a message, where dramatiq's own asks again and again.

    A message is picked up at once, and a queue at rest costs two commands for each idle timeout, which has to be well
    below the heartbeat's: only a fetch is a heartbeat.
    """

    def __init__(self, broker: "ChoudoBroker", queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, BUSY_PAUSE_MS)  # type: ignore[no-untyped-call]
        self._key = f"{broker.namespace}:{queue_name}"
        self._idle_s = timeout / 1_000

    def __next__(self) -> "dramatiq.MessageProxy | None":
        if not self.message_cache and self.outstanding_message_count < self.prefetch:
            try:
                # The first message moves to where it is: nothing changes, but every consumer waits until there is one.
                self.broker.client.blmove(self._key, self._key, self._idle_s, "LEFT", "LEFT")
            except redis.ConnectionError as error:
                raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        message: dramatiq.MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        return message


class ChoudoBroker(RedisBroker):
    """A Redis broker that publishes many messages in one round trip, and whose queues cost little at rest.

    It has the stamps of whoever publishes.
    """

    _stamps: Stamps | None = None

    @property
    def stamps(self) -> Stamps:
        """What every event and receipt must carry."""
        if self._stamps is None:
            raise ValueError("a broker without stamps: nobody would believe what it carries")
        return self._stamps

    @property
    def consumer_class(self) -> type[_WaitingConsumer]:
        """What takes messages off a queue."""
        return _WaitingConsumer

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, without dramatiq's queue of delayed messages beside it: delays are in PostgreSQL."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def enqueue_many(self, messages: Iterable[dramatiq.Message[None]]) -> None:
        """Enqueue all of the messages in one pipeline, in order. Blocking: call it from a thread."""
        with self.client.pipeline(transaction=False) as pipe:
            for message in messages:
                unique = message.copy(options={"redis_message_id": message.message_id})
                self.scripts["dispatch"](
                    keys=[self.namespace],
                    args=[
                        "enqueue",
                        current_millis(),
                        message.queue_name,
                        self.broker_id,
                        self.heartbeat_timeout,
                        self.dead_message_ttl,
                        0,
                        self._max_unpack_size(),  # type: ignore[no-untyped-call]
                        message.message_id,
                        unique.encode(),
                    ],
                    client=pipe,
                )
            pipe.execute()

    def queue_length(self, queue_name: str) -> int:
        """How many messages wait on a queue."""
        return int(self.client.llen(f"{self.namespace}:{queue_name}"))


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
    broker = ChoudoBroker(  # type: ignore[no-untyped-call]
        url=f"{redis_url}{'&' if '?' in redis_url else '?'}socket_timeout={SOCKET_TIMEOUT_S}&socket_connect_timeout=2",
        middleware=[AsyncIO(), ShutdownNotifications(), Callbacks(), Pipelines(), CurrentMessage()],
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )
    broker._stamps = stamps
    return broker
