"""When a message is sent again, what an answer means, and how long anything is kept."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Literal

# Told whatever was chosen: somebody is just trying.
TEST = "test"
# After a change of the secret, both sign for so long.
OLD_SECRET_KEPT = timedelta(hours=24)

# How long a message is kept, whether somebody took it or not.
MESSAGES_KEPT = timedelta(days=14)

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=4)
# A pause is shortened or lengthened by up to this share, so that what failed together does not come back together.
JITTER = 0.2
# Whoever has taken nothing for so long is not asked any more until somebody of the town has looked.
GIVE_UP_AFTER = timedelta(hours=24)

State = Literal["active", "paused", "stopped"]


def next_try(tries: int, *, now: datetime, chance: float) -> datetime:
    """When to try again after `tries` failures (at least 1). `chance` is a random number from 0 to 1."""
    doublings = min(tries - 1, 20)
    pause: timedelta = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
    return now + pause * (1 + JITTER * (2 * chance - 1))


def is_taken(answer: str) -> bool:
    """Whether the receiver has it."""
    status = _status_of(answer)
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def is_gone(answer: str) -> bool:
    """Whether the receiver says that nothing shall come here any more."""
    return _status_of(answer) == HTTPStatus.GONE


def _status_of(answer: str) -> int | None:
    _, found, status = answer.partition("http_")
    return int(status) if found and status.isdigit() else None
