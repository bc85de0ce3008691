"""When to try again: soon at first, then ever later, and never after the message has lost its use."""

from datetime import datetime, timedelta

import msgspec

from services.notifications.domain.outcomes import Outcome

PAUSES = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
)
TRIES_MAX = 30
# A pause is shortened or lengthened by up to this share, so that what failed together does not come back together.
JITTER = 0.2
# A batch that was handed back unsent.
HANDED_BACK_PAUSE = timedelta(seconds=1)
# Receipts of what was accepted come within a minute or two. What a provider that knows no repetitions may have accepted
# is given to it once more if none has come by then, and only once: rather twice than never, and rather a call than
# three times.
RECEIPT_WAIT = timedelta(minutes=10)
UNKNOWN_MAX = 2


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What of an attempt decides how it goes on. `tries` were made before it, `unknown` of them with no answer."""

    tries: int
    unknown: int
    useful_until: datetime
    # Another way of the person's; another provider of the same way, that is up; whether its provider knows repetitions.
    has_next_way: bool
    has_other_provider: bool
    may_ask_again: bool


class Step(msgspec.Struct, frozen=True):
    """The notice's next state, its tries, the reason, and when to come back (None: never)."""

    state: str
    tries: int
    reason: str | None = None
    again_at: datetime | None = None


def next_step(outcome: Outcome, facts: Facts, *, now: datetime, chance: float) -> Step:
    """How it goes on after an attempt. `chance` is a random number from 0 to 1."""
    tries, useful_until = facts.tries + 1, facts.useful_until
    # What one of them may have accepted stays so, however the others ended: a receipt still settles it.
    waits = "unknown" if facts.unknown else "pending"
    match outcome.kind:
        case "accepted":
            return Step("sent", facts.tries)
        case "permanent" if facts.has_next_way and now < useful_until:
            # By the next way at once.
            return Step("pending", facts.tries, outcome.error_code, now)
        case "permanent":
            return Step("failed", facts.tries, outcome.error_code)
        case "not_started":
            return Step(waits, facts.tries, None, now + HANDED_BACK_PAUSE)
        case "temporary" if facts.has_other_provider and now < useful_until:
            # By the next provider at once: only when each has failed it, it was a try.
            return Step("pending", facts.tries, outcome.error_code, now)
        case "unknown" if not facts.may_ask_again:
            return _wait_for_receipt(outcome, facts, now=now)
        case "temporary" | "unknown":
            at = next_try(tries, now=now, useful_until=useful_until, chance=chance)
            if at is None:
                return Step("undeliverable", tries, "gave_up")
            return Step("unknown" if outcome.kind == "unknown" else waits, tries, outcome.error_code, at)


def _wait_for_receipt(outcome: Outcome, facts: Facts, *, now: datetime) -> Step:
    at = now + RECEIPT_WAIT
    if facts.unknown >= UNKNOWN_MAX - 1 or at >= facts.useful_until:
        return Step("undeliverable", facts.tries + 1, "gave_up")
    return Step("unknown", facts.tries + 1, outcome.error_code, at)


def next_try(tries: int, *, now: datetime, useful_until: datetime, chance: float) -> datetime | None:
    """When to try again after `tries` failures (at least 1); None means: give up, it would be too late.

    `chance` is a random number from 0 to 1.
    """
    if tries >= TRIES_MAX:
        return None
    pause = PAUSES[min(tries, len(PAUSES)) - 1]
    at = now + pause * (1 + JITTER * (2 * chance - 1))
    return at if at < useful_until else None
