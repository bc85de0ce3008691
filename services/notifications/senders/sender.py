"""What every sender does: takes a batch of messages, and reports what became of each as soon as it is known."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from services.notifications.domain.outcomes import Outcome

# Together less than the lease of an attempt (`commands/attempts.py`): a batch ends before it counts as dead.
START_WITHIN_S = 8.0
TIMEOUT_S = 10.0

NOT_STARTED = Outcome(kind="not_started", error_code="no_time")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, ready to send. Every attempt at a notice has the same `key`."""

    key: str
    to: str
    content: bytes
    sender: str

    def __repr__(self) -> str:
        # Never an address or a text: a representation ends up in logs.
        return f"Message({self.key})"


Report = Callable[[str, Outcome], Awaitable[None]]


class Sender(Protocol):
    """One provider."""

    @property
    def is_idempotent(self) -> bool:
        """Whether it recognises a repetition by the message's key, so that trying again sends nothing twice."""

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        """Send messages and report each one's outcome by its key. Never raises for what a provider does.

        Messages that could not be started within `START_WITHIN_S` are reported as `not_started`.
        """

    async def close(self) -> None:
        """Give back connections."""
