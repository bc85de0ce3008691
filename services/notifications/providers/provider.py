"""One provider: whether it takes a message now, and what it has done with those of the last minutes."""

from collections import deque
from collections.abc import Callable
from datetime import datetime

import msgspec

from services.notifications.domain.outcomes import TOO_MANY, Outcome, OutcomeKind, is_providers_fault
from services.notifications.domain.ways import WayKind
from services.notifications.providers.breaker import TRIAL_LIMIT_S, Breaker, State
from services.notifications.providers.bucket import TokenBucket, Turns
from services.notifications.senders.text_limit import UCS2_PARTS, TextLimit

# What its health counts: long enough to see something at a small town's pace, short enough to be of today.
WINDOW_S = 600.0
# Of as many of the last messages it is known how long they took.
REMEMBERED = 5_000
# A provider that says "too many" hears nothing of bulk for so long; what somebody waits for goes on.
REST_S = 2.0
# So long it has answered none of the messages that it has: what follows goes by another, if there is one. Its failures
# are known only when the sender's time limit is over, and the breaker's count of them after that of several.
HANGS_AFTER_S = 3.0
# Without a limit of its own, so many of those that it kept waiting come back a second.
RETURNING_PER_S = 100.0
# Nobody waits longer for a look, so that whoever could go by another provider meanwhile does.
WAIT_MAX_S = 60.0
COUNTED: tuple[OutcomeKind, ...] = ("accepted", "temporary", "permanent", "unknown")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one process sends by a provider at most."""

    per_second: float
    burst: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider does, as one process sees it. The counts, and how long 95 % took, are of the last ten minutes."""

    provider: str
    way: WayKind
    state: State
    since: datetime
    accepted: int = 0
    temporary: int = 0
    permanent: int = 0
    unknown: int = 0
    took_p95_ms: int | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None


class Provider:
    """`name` is written to each attempt; `way` is what it carries, and `text_limit` how it counts what it carries.
    `pace` tells seconds, and is never set."""

    def __init__(
        self,
        name: str,
        way: WayKind,
        *,
        is_idempotent: bool,
        pace: Callable[[], float],
        text_limit: TextLimit | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.way = way
        self.is_idempotent = is_idempotent
        self.text_limit = text_limit or UCS2_PARTS
        self._pace = pace
        self._breaker = Breaker(pace)
        self._bucket = TokenBucket(limits.per_second, limits.burst, pace) if limits else None
        per_second = limits.per_second if limits else RETURNING_PER_S
        self._turns = {bulk: Turns(per_second, pace) for bulk in (False, True)}
        self._rests_until = 0.0
        self._in_hand = 0
        self._silent_since = 0.0
        self._heard: deque[tuple[float, OutcomeKind, float]] = deque(maxlen=REMEMBERED)
        self._known_state: State = "closed"
        self._since: datetime | None = None
        self._last_error: tuple[str, datetime] | None = None

    def is_up(self, *, bulk: bool) -> bool:
        """Whether its breaker lets a message of this lane through."""
        return self._breaker.lets_through(bulk=bulk)

    @property
    def hangs(self) -> bool:
        """Whether it has messages, and has long said nothing. Of those that nobody speaks of any more none is left."""
        return self._in_hand > 0 and HANGS_AFTER_S <= self._pace() - self._silent_since < TRIAL_LIMIT_S

    def take(self, *, bulk: bool) -> bool:
        """Whether it takes one more message of this lane now; then it counts as taken."""
        if (bulk and self._pace() < self._rests_until) or not self._breaker.lets_through(bulk=bulk):
            return False
        if self._bucket is not None and not self._bucket.take(bulk=bulk):
            return False
        self._breaker.begin(bulk=bulk)
        if self._in_hand == 0 or self._pace() - self._silent_since >= TRIAL_LIMIT_S:
            self._in_hand, self._silent_since = 0, self._pace()
        self._in_hand += 1
        return True

    def next_turn_s(self, *, bulk: bool) -> float:
        """When a message that it did not take now should ask again."""
        rests_s = max(0.0, self._rests_until - self._pace()) if bulk else 0.0
        return min(WAIT_MAX_S, self._turns[bulk].next_s(max(rests_s, self._breaker.wait_s())))

    def hear(self, outcome: Outcome, *, bulk: bool, took_s: float, now: datetime) -> None:
        """Learn what became of a message."""
        self._in_hand = max(0, self._in_hand - 1)
        if outcome.kind not in ("not_started", "unknown"):
            self._silent_since = self._pace()
        if outcome.kind == "not_started":
            self._breaker.give_back(bulk=bulk)
            if self._bucket is not None:
                self._bucket.give_back()
            return
        if is_providers_fault(outcome):
            self._breaker.fail()
        else:
            self._breaker.succeed()
        if outcome.error_code in TOO_MANY:
            self._rests_until = self._pace() + REST_S
        if outcome.kind != "accepted" and outcome.error_code is not None:
            self._last_error = outcome.error_code, now
        self._heard.append((self._pace(), outcome.kind, took_s))

    def health(self, now: datetime) -> Health:
        """How it does at this moment."""
        while self._heard and self._heard[0][0] < self._pace() - WINDOW_S:
            self._heard.popleft()
        state = self._breaker.state
        if self._since is None or state != self._known_state:
            self._known_state, self._since = state, now
        took = sorted(took_s for _, kind, took_s in self._heard if kind == "accepted")
        counts = {kind: sum(heard == kind for _, heard, _ in self._heard) for kind in COUNTED}
        code, at = self._last_error or (None, None)
        return Health(
            provider=self.name,
            way=self.way,
            state=state,
            since=self._since,
            **counts,
            took_p95_ms=round(took[int(len(took) * 0.95)] * 1_000) if took else None,
            last_error=code,
            last_error_at=at,
        )
