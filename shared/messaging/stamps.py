"""Stamps: every message proves who sent it, so that writing to Redis is not enough to tell a service anything.

HMAC-SHA256 with a key that only publisher and consumer can compute (their X25519 keys, `ServiceBox.shared_keys`).
`docs/decisions/0012-stamped-messages.md` says why.
"""

import hashlib
import hmac

import msgspec

from shared.crypto import ServiceBox
from shared.events.subscriptions import SERVICES
from shared.settings import MissingSettings

PURPOSE = "stamp"


class Stamps:
    """A service's stamps for all of its neighbours, and for itself: some events it publishes and hears, too."""

    def __init__(self, box: ServiceBox) -> None:
        self._keys = {service: box.shared_keys(service, PURPOSE) for service in SERVICES}
        unknown = [service for service, keys in self._keys.items() if not keys]
        if unknown:
            raise MissingSettings(f"settings: CHOUDO_BOX_PUBLIC_KEYS: no key of {', '.join(unknown)}")

    def make(self, service: str, message: object) -> str:
        """The stamp of a message to `service`. The message itself says from whom and for whom it is."""
        return _digest(self._keys[service][0], message).hex()

    def hold(self, service: str, message: object, stamp: object) -> bool:
        """Whether `service` stamped exactly this message for us."""
        if not isinstance(stamp, str):
            return False
        return any(
            hmac.compare_digest(_digest(key, message).hex().encode(), stamp.encode())
            for key in self._keys.get(service, ())
        )


def _digest(key: bytes, message: object) -> bytes:
    return hmac.digest(key, msgspec.msgpack.encode(message), hashlib.sha256)
