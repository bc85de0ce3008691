"""Why somebody is sent to another counter, as staff choose it."""

from typing import Literal, get_args

Reason = Literal["next_step", "right_counter", "papers", "question", "payment", "other"]

REASONS: tuple[Reason, ...] = get_args(Reason)
# Then a note says it.
OTHER: Reason = "other"
NOTE_MAX_LENGTH = 80
