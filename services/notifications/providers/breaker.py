"""A circuit breaker (遮断): a provider that fails again and again is left alone for a while, then tried with one.

Its outcomes are values that arrive one by one, not exceptions, and each lane tries for itself: that is why it is our
own and no library's (`docs/decisions/0077-providers.md`).
"""

from collections.abc import Callable
from typing import Literal

State = Literal["closed", "half_open", "open"]

# So many failures in a row, with none that succeeded between them.
FAILURES_TO_OPEN = 5
# It is left alone for this long, and twice as long after every trial that fails.
PAUSE_MIN_S, PAUSE_MAX_S = 5.0, 60.0
# A trial of which nothing was heard is nobody's any more. As long as the lease of an attempt.
TRIAL_LIMIT_S = 30.0


class Breaker:
    """`pace` tells seconds by a clock that nobody sets. Closed, messages flow; open, none; half open, one of each lane.

    A lane's trial is its own: what somebody waits for does not wait until one in bulk has timed out.
    """

    def __init__(self, pace: Callable[[], float]) -> None:
        self._pace = pace
        self._failures = 0
        self._pause_s = PAUSE_MIN_S
        self._open_until: float | None = None
        self._trials: dict[bool, float] = {}

    @property
    def state(self) -> State:
        """As of now: an open one is half open as soon as its pause is over."""
        if self._open_until is None:
            return "closed"
        return "open" if self._pace() < self._open_until else "half_open"

    def lets_through(self, *, bulk: bool) -> bool:
        """Whether a message of this lane may go now."""
        state = self.state
        return state == "closed" or (state == "half_open" and self._trials.get(bulk, 0.0) <= self._pace())

    def begin(self, *, bulk: bool) -> None:
        """A message of this lane goes: half open, it is the trial."""
        if self._open_until is not None:
            self._trials[bulk] = self._pace() + TRIAL_LIMIT_S

    def wait_s(self) -> float:
        """How long nothing goes."""
        return max(0.0, self._open_until - self._pace()) if self._open_until is not None else 0.0

    def succeed(self) -> None:
        """The provider does its work, whatever it said to the message."""
        self._failures, self._pause_s, self._open_until = 0, PAUSE_MIN_S, None
        self._trials.clear()

    def fail(self) -> None:
        """The provider failed, by its own making. Once it is open, those that were on their way count no more."""
        match self.state:
            case "closed":
                self._failures += 1
                if self._failures >= FAILURES_TO_OPEN:
                    self._open()
            case "half_open":
                self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)
                self._open()

    def give_back(self, *, bulk: bool) -> None:
        """The trial was not made after all."""
        self._trials.pop(bulk, None)

    def _open(self) -> None:
        self._failures = 0
        self._open_until = self._pace() + self._pause_s
        self._trials.clear()
