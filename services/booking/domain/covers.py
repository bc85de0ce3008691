"""Asking several helpers at once whether they can come (代わりの募集): when there is time for it."""

from datetime import datetime, timedelta

# Whoever cannot come so shortly before is followed by whoever else can, on shift or not.
SHORT_NOTICE = timedelta(hours=24)
# Nobody need look at their phone at once; and the resident is told before they set out.
ANSWER_WITHIN = timedelta(hours=24)
ANSWER_AT_LEAST = timedelta(minutes=15)
TELL_BEFORE, TELL_BEFORE_AT_LEAST = timedelta(hours=2), timedelta(minutes=30)


def cover_by(*, asked_at: datetime, starts_at: datetime) -> datetime | None:
    """Until when helpers may answer; None: there is no time left to ask them."""
    if asked_at + ANSWER_AT_LEAST > starts_at - TELL_BEFORE_AT_LEAST:
        return None
    return max(asked_at + ANSWER_AT_LEAST, min(asked_at + ANSWER_WITHIN, starts_at - TELL_BEFORE))
