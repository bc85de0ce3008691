"""What lies between a relay and a consumer: queues that reorder, repeat, delay and lose what they were given."""

from collections.abc import Iterable
from random import Random
from typing import Any

import dramatiq
import msgspec
import redis

from shared.events.subscriptions import SERVICES
from shared.messaging.broker import events_queue, receipts_queue
from shared.messaging.stamps import Stamps


class Parcel(msgspec.Struct, frozen=True):
    """One message as it was on the wire, and what it is called in the history."""

    label: str
    body: bytes

    def open(self) -> dict[str, Any]:
        """The keyword arguments of the consumer's actor."""
        opened: dict[str, Any] = msgspec.json.decode(self.body)
        return opened


class Transport:
    """The queues of all services. `is_away`: nobody can reach it."""

    def __init__(self) -> None:
        self.is_away = False
        self.keys: dict[str, bytes] = {}
        self.queues: dict[str, list[Parcel]] = {
            queue: []
            for service in SERVICES
            for queue in (events_queue(service), events_queue(service, bulk=True), receipts_queue(service))
        }

    def broker_for(self, stamps: Stamps) -> Any:
        """What a service has for a broker."""
        return SimulatedBroker(self, stamps)

    def put(self, queue: str, parcels: Iterable[Parcel]) -> None:
        """Queue messages, in an order that no id decides."""
        self.queues[queue] += sorted(parcels, key=lambda parcel: parcel.label)

    def take(self, queue: str, rng: Random) -> Parcel:
        """Any message of a queue, mostly the first; one in eight stays there, too, and comes again."""
        waiting = self.queues[queue]
        at = rng.randrange(len(waiting)) if rng.random() < 0.5 else 0
        return waiting[at] if rng.random() < 0.125 else waiting.pop(at)

    def wipe(self) -> int:
        """Everything is gone, as after FLUSHALL or a restart without persistence."""
        lost = sum(map(len, self.queues.values()))
        for waiting in self.queues.values():
            waiting.clear()
        self.keys.clear()
        return lost


class _Keys:
    """The few plain commands that a relay gives the broker."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def info(self, section: str) -> dict[str, str]:
        assert section == "server"
        _refuse_away(self._transport)
        return {"run_id": "simulated"}

    def get(self, key: str) -> bytes | None:
        _refuse_away(self._transport)
        return self._transport.keys.get(key)

    def set(self, key: str, value: bytes) -> None:
        _refuse_away(self._transport)
        self._transport.keys[key] = value


class SimulatedBroker:
    """Stands where a `ChoudoBroker` does for relay and receipts."""

    def __init__(self, transport: Transport, stamps: Stamps) -> None:
        self._transport = transport
        self.stamps = stamps
        self.client = _Keys(transport)

    def enqueue_many(self, messages: Iterable[dramatiq.Message[None]]) -> None:
        """Put messages on their queues, or raise as redis does."""
        _refuse_away(self._transport)
        parcels: dict[str, list[Parcel]] = {}
        for message in messages:
            parcel = Parcel(_label(message.kwargs), msgspec.json.encode(message.kwargs))
            parcels.setdefault(message.queue_name, []).append(parcel)
        for queue, group in parcels.items():
            self._transport.put(queue, group)

    def queue_lengths(self, queues: Iterable[str]) -> list[int]:
        """How many messages wait on each queue."""
        _refuse_away(self._transport)
        return [len(self._transport.queues[queue]) for queue in queues]


def _refuse_away(transport: Transport) -> None:
    if transport.is_away:
        raise redis.ConnectionError("away")


def _label(kwargs: dict[str, Any]) -> str:
    """What a message says, without any id: two runs of a seed call it the same."""
    if "receipts" in kwargs:
        return f"receipts x{len(kwargs['receipts'])} from {kwargs['receipts'][0]['consumer']}"
    told = kwargs.get("together", [kwargs])
    return " + ".join(sorted(_label_of(each["envelope"]) for each in told))


def _label_of(envelope: dict[str, Any]) -> str:
    payload = msgspec.json.decode(envelope["payload"])
    told = [payload[name] for name in ("entry_type", "items", "target_step", "counter", "state") if name in payload]
    name = envelope["type"].partition(".")[2].removesuffix(".v1")
    words = [name, f"v{payload['aggregate_version']}", payload["occurred_at"], f"#{envelope['attempt']}", *told]
    return " ".join(map(str, words))
