"""The queue: dramatiq over Redis, set up so that nothing in it needs to survive (see `docs/decisions`)."""

from collections.abc import Iterable

import dramatiq
import msgspec
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.middleware import AsyncIO, Callbacks, CurrentMessage, Pipelines, ShutdownNotifications

from shared.messaging.stamps import Stamps

HEARTBEAT_TIMEOUT_MS = 5_000
# Out of a million commands: every command looks for the messages of dead workers.
MAINTENANCE_CHANCE = 1_000_000
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
    """What travels back: this consumer is done with the event (`applied`), or gives up on it (`refused`)."""

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


class ChoudoBroker(RedisBroker):
    """A Redis broker that can publish many messages in one round trip, and has the stamps of whoever publishes."""

    _stamps: Stamps | None = None

    @property
    def stamps(self) -> Stamps:
        """What every event and receipt must carry."""
        if self._stamps is None:
            raise ValueError("a broker without stamps: nobody would believe what it carries")
        return self._stamps

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
