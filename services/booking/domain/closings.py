"""Closings (臨時の休業): which times nobody is served, and how long a place is kept for somebody who has to move."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from services.booking.domain.calendar import SlotTime
from services.booking.domain.rules import Policy

# Kind of `due`: the next of those whom a closing concerns (`commands/closings.py`).
CLOSING = "closing"
Reason = Literal["weather", "power", "illness", "other"]
# A place is kept so long, or until it could no longer be booked.
OFFER_LIFETIME = timedelta(hours=24)
# What is kept for less is gone before everybody has read of it.
OFFER_AT_LEAST_MIN = 240
# What is closed for longer is not a closing but another opening rule.
DAYS_MAX = 31


class ClosedTime(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a counter or venue is closed; `counter` None: all of them."""

    counter: str | None
    starts_at: datetime
    ends_at: datetime

    def meets(self, time: SlotTime) -> bool:
        """Whether a moment of it is closed."""
        return self.starts_at < time.ends_at and time.starts_at < self.ends_at


def is_closed(counter: str, time: SlotTime, closed: Sequence[ClosedTime]) -> bool:
    """Whether a time reaches into one in which the counter is closed."""
    return any(each.counter in (None, counter) and each.meets(time) for each in closed)


def offer_until(policy: Policy, *, starts_at: datetime, now: datetime) -> datetime:
    """Until when a place that begins at `starts_at` is kept for somebody."""
    return min(now + OFFER_LIFETIME, starts_at - timedelta(minutes=policy.notice_min))


def offering(policy: Policy) -> Policy:
    """The policy by which places are looked for: those that can be kept for `OFFER_AT_LEAST_MIN` at least."""
    return msgspec.structs.replace(policy, notice_min=policy.notice_min + OFFER_AT_LEAST_MIN)


def on_each_day(starts_at: datetime, ends_at: datetime, days: int) -> list[SlotTime]:
    """The same times on each of so many days that follow one another. Whole days make one stretch in the database."""
    return [SlotTime(starts_at + timedelta(days=number), ends_at + timedelta(days=number)) for number in range(days)]
