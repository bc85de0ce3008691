"""Token buckets: so many messages a second, with a part that only the urgent lane takes; and turns for who waits."""

from collections.abc import Callable

# Of a burst, what bulk leaves for the urgent lane.
KEPT_FREE = 0.25
TOKENS_MIN = 2


class TokenBucket:
    """`per_second` messages, and up to `burst` at once. Bulk never takes the last tokens, however much of it waits."""

    def __init__(self, per_second: float, burst: int, pace: Callable[[], float]) -> None:
        if per_second <= 0 or burst < TOKENS_MIN:
            raise ValueError(f"more than 0 a second, and a burst of {TOKENS_MIN} or more")
        self._per_second = per_second
        self._burst = float(burst)
        self._kept = max(1.0, burst * KEPT_FREE)
        self._pace = pace
        self._tokens = self._burst
        self._at = pace()

    def take(self, *, bulk: bool) -> bool:
        """Take a token, if there is one for this lane."""
        now = self._pace()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens - 1 < (self._kept if bulk else 0.0):
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """One that was taken for what was not sent after all."""
        self._tokens = min(self._burst, self._tokens + 1)


class Turns:
    """Those that are put off come back one after the other, `per_second` of them: each is looked at about once more."""

    def __init__(self, per_second: float, pace: Callable[[], float]) -> None:
        self._per_second = per_second
        self._pace = pace
        self._free_at = 0.0

    def next_s(self, base_s: float) -> float:
        """In how many seconds the next turn is, at the earliest in `base_s`."""
        now = self._pace()
        self._free_at = max(self._free_at, now + base_s) + 1 / self._per_second
        return self._free_at - now
