"""When to try again: soon at first, then ever later, and never after the message has lost its use."""

from datetime import datetime, timedelta

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


def next_try(tries: int, *, now: datetime, useful_until: datetime, chance: float) -> datetime | None:
    """When to try again after `tries` failures (at least 1); None means: give up, it would be too late.

    `chance` is a random number from 0 to 1.
    """
    if tries >= TRIES_MAX:
        return None
    pause = PAUSES[min(tries, len(PAUSES)) - 1]
    at = now + pause * (1 + JITTER * (2 * chance - 1))
    return at if at < useful_until else None
