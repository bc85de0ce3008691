"""What the network and the broker may do to messages: hold them up, repeat them, mix them. On the real queues."""

import random
from typing import Any
from uuid import uuid4

import msgspec

from shared.messaging.broker import make_broker


class Queue:
    """One queue of the broker, from the outside. Its messages are real ones, with their stamps."""

    def __init__(self, redis_url: str, name: str) -> None:
        broker = make_broker(redis_url)
        self._client: Any = broker.client
        self._key = f"{broker.namespace}:{name}"
        self._bodies = f"{self._key}.msgs"

    def __len__(self) -> int:
        return int(self._client.llen(self._key))

    def copies(self) -> list[bytes]:
        """What waits now."""
        return [
            body for name in self._client.lrange(self._key, 0, -1) if (body := self._client.hget(self._bodies, name))
        ]

    def add(self, bodies: list[bytes]) -> None:
        """Put messages on the queue, under ids that the broker does not know yet."""
        for body in bodies:
            message = msgspec.json.decode(body)
            message["message_id"] = message["options"]["redis_message_id"] = str(uuid4())
            self._client.hset(self._bodies, message["message_id"], msgspec.json.encode(message))
            self._client.rpush(self._key, message["message_id"])

    def mix(self, chance: random.Random) -> None:
        """Whatever waits comes in any order. Nobody may be reading the queue."""
        names = self._client.lrange(self._key, 0, -1)
        chance.shuffle(names)
        with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(self._key)
            pipe.rpush(self._key, *names)
            pipe.execute()
