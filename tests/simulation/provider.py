"""The providers of mail and SMS, as far as one can tell from their answers."""

from collections.abc import Awaitable, Callable, Sequence
from random import Random

from services.notifications.domain.outcomes import Outcome
from services.notifications.senders.sender import Message, Report

# What one answer in so many is.
ANSWERS = {"accepted": 12, "temporary": 3, "permanent": 1, "lost": 2, "unknown": 2}


class SimulatedSender:
    """A `Sender` whose provider knows what it accepted, by key.

    `lost`: it accepts, and the connection breaks before its answer; `unknown`: it breaks before it accepted.
    `look` is called with the keys of what is about to be sent and returns a name without ids for each; `meanwhile` is
    what goes on while the provider is slow.
    """

    def __init__(
        self,
        rng: Random,
        look: Callable[[Sequence[str]], Awaitable[dict[str, str]]],
        meanwhile: Callable[[], Awaitable[None]],
    ) -> None:
        self._rng = rng
        self._look = look
        self._meanwhile = meanwhile
        self._is_slow = False
        self.is_well = False
        self.accepted: dict[str, int] = {}
        # Of these it has heard that we know.
        self.known: set[str] = set()
        self.history: list[str] = []
        self.complaints: list[str] = []

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        """Answer each message, in an order that no id decides."""
        names = await self._look([message.key for message in messages])
        if not self.is_well and not self._is_slow and self._rng.random() < 0.3:
            self._is_slow = True
            try:
                await self._meanwhile()
            finally:
                self._is_slow = False
        for message in sorted(messages, key=lambda message: names[message.key]):
            answer = "accepted" if self.is_well else self._draw()
            self.history.append(f"{names[message.key]}: {answer}")
            if answer in ("accepted", "lost"):
                self.accepted[message.key] = self.accepted.get(message.key, 0) + 1
                if message.key in self.known:
                    self.complaints.append(f"nobody_is_told_twice: {names[message.key]}")
            kind = "unknown" if answer == "lost" else answer
            await report(message.key, Outcome(kind=kind, error_code=None if kind == "accepted" else "simulated"))  # type: ignore[arg-type]
            if answer == "accepted":
                self.known.add(message.key)

    async def close(self) -> None:
        """There is nothing to give back."""

    def _draw(self) -> str:
        return self._rng.choices(list(ANSWERS), weights=list(ANSWERS.values()))[0]
