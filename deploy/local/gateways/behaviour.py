"""How the gateways treat what comes: as told over the control door, as the recipient's ending says, or by a seed."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, get_args

import msgspec

SLOW_S = 30.0

Channel = Literal["smtp", "sms", "form", "line"]
Mode = Literal[
    "ok",
    # It says no, for now or for good; or that it goes away.
    "fail_5xx", "too_many", "closing", "reject_permanent",
    # It takes its time, talks nonsense, or breaks off.
    "slow", "garbage", "drop_before_accept", "drop_after_accept",
    # It lies: accepts and delivers nothing, or says no and delivers.
    "lose", "deny",
    # It accepts, and tells later that it did not arrive; a mail comes back as a report.
    "undelivered", "bounce_hard", "bounce_soft",
    # Its receipts come again and again, in the wrong order, or before its answer.
    "receipts_repeated", "receipts_backwards", "receipts_early",
    # It accepts at once, and takes its time to say so.
    "slow_answer",
    # It refuses for good what is written, and not to whom.
    "reject_text",
    # One of the others for each message, as a seed decides.
    "mixed",
]  # fmt: skip
# A number that ends so is treated in this way whatever else is told, and a mail to `name+mode@…`.
MAGIC_ENDING: Final = "7799"
MAGIC: Final[dict[str, Mode]] = {
    f"{MAGIC_ENDING}{number:02}": mode for number, mode in enumerate(get_args(Mode)[1:-1], start=1)
}
_MAGIC_LENGTH = 6


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How the next messages of a channel are treated: `times` of them, then all is well again.

    `mixed` has chances by mode, which together are at most 1: what happens to a message depends on the seed and on the
    message alone, not on the order in which they come.
    """

    channel: Channel
    mode: Mode
    times: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    slow_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = SLOW_S
    seed: int = 0
    chances: dict[Mode, float] = {}


class Limit(msgspec.Struct, frozen=True):
    """So many messages a second are taken by a channel, and no more; 0: as many as come."""

    channel: Channel
    per_s: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class Manners:
    """What the gateways are told, and how many messages each has in its hands."""

    def __init__(self) -> None:
        self._behaviours: dict[str, Behaviour] = {}
        self._left: Counter[str] = Counter()
        self._limits: dict[str, _Bucket] = {}
        self._released = asyncio.Event()
        self._seen: Counter[str] = Counter()
        self.slow_in_hand = 0
        self.in_hand: Counter[str] = Counter()
        self.most_in_hand: Counter[str] = Counter()

    def behave(self, behaviour: Behaviour) -> None:
        """Treat the next messages so."""
        self._behaviours[behaviour.channel] = behaviour
        self._left[behaviour.channel] = behaviour.times
        self._released.clear()

    def limit(self, limit: Limit) -> None:
        """Take only so many a second from now on."""
        self._limits.pop(limit.channel, None)
        if limit.per_s:
            self._limits[limit.channel] = _Bucket(limit.per_s)

    def release(self) -> None:
        """Be slow no longer: whoever waits for an answer gets it now."""
        self._released.set()

    def treat(self, channel: Channel, to: str, key: str) -> Behaviour:
        """How to treat a message that has just come; counts it."""
        plain = Behaviour(channel=channel, mode="ok")
        bucket = self._limits.get(channel)
        if bucket is not None and not bucket.takes_one():
            return msgspec.structs.replace(plain, mode="too_many")
        if (magic := magic_of(to)) is not None:
            return msgspec.structs.replace(plain, mode=magic)
        if self._left[channel] <= 0:
            return plain
        self._left[channel] -= 1
        behaviour = self._behaviours[channel]
        if behaviour.mode != "mixed":
            return behaviour
        return msgspec.structs.replace(behaviour, mode=self._drawn(behaviour, key))

    async def be_slow(self, behaviour: Behaviour) -> None:
        """Take the time that was asked for, or until `release`."""
        self.slow_in_hand += 1
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), behaviour.slow_s)
        finally:
            self.slow_in_hand -= 1

    @contextlib.contextmanager
    def holding(self, channel: Channel) -> Iterator[None]:
        """While a message is in a gateway's hands."""
        self.in_hand[channel] += 1
        self.most_in_hand[channel] = max(self.most_in_hand[channel], self.in_hand[channel])
        try:
            yield
        finally:
            self.in_hand[channel] -= 1

    def _drawn(self, behaviour: Behaviour, key: str) -> Mode:
        # Each time that a message comes it has another draw: otherwise what fails would fail for ever.
        self._seen[key] += 1
        return draw(behaviour.chances, f"{behaviour.seed} {key} {self._seen[key]}")


class _Bucket:
    """A token bucket: a second's worth at once, then as many as come back."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s)
        self._tokens = self._most
        self._at = asyncio.get_running_loop().time()

    def takes_one(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def draw(chances: Mapping[Mode, float], seed: str) -> Mode:
    """One of the modes by its chance, the same for the same seed; `ok` for what is left."""
    left = random.Random(seed).random()  # noqa: S311  chance that can be replayed, no secret
    for mode, chance in sorted(chances.items()):
        left -= chance
        if left < 0:
            return mode
    return "ok"


def magic_of(to: str) -> Mode | None:
    """The mode that a recipient's ending asks for."""
    local, is_mail, _ = to.partition("@")
    if is_mail:
        ending = local.strip('"').rpartition("+")[2]
        return next((mode for mode in MAGIC.values() if mode == ending), None) if "+" in local else None
    return MAGIC.get(to[-_MAGIC_LENGTH:])
