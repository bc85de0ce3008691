"""Whether a counter is open now, and until when: from the times of its day."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

# `break`: it was open and will be again today (lunch). `closed`: not at all today, or closed for the time being.
OpenState = Literal["before", "open", "break", "over", "closed"]
# Waits are published in bands: what a small number would tell of a single person is told to nobody.
BANDS: tuple[tuple[int, str], ...] = ((0, "0"), (4, "1-4"), (9, "5-9"))
MANY = "10-"


class Span(msgspec.Struct, frozen=True):
    """A time in which a counter serves without a break."""

    starts_at: datetime
    ends_at: datetime


class OpenNow(msgspec.Struct, frozen=True, kw_only=True):
    """A counter at one moment. `opens_at`: when it opens next today; `closes_at`: when it closes for today, if that is
    planned: what staff open outside of its hours is open until they close it."""

    state: OpenState
    opens_at: datetime | None = None
    closes_at: datetime | None = None

    def gives_tickets(self, *, last_ticket_min: int, now: datetime) -> bool:
        """Whether somebody who comes now may still wait there."""
        if self.state != "open":
            return False
        return self.closes_at is None or now < self.closes_at - timedelta(minutes=last_ticket_min)


def join_spans(times: Sequence[Span]) -> list[Span]:
    """Times that touch or overlap as one, in order."""
    joined: list[Span] = []
    for time in sorted(times, key=lambda each: (each.starts_at, each.ends_at)):
        if joined and time.starts_at <= joined[-1].ends_at:
            joined[-1] = Span(joined[-1].starts_at, max(joined[-1].ends_at, time.ends_at))
        else:
            joined.append(time)
    return joined


def open_at(times: Sequence[Span], *, now: datetime) -> OpenNow:
    """Where a day with these times stands; the end of a time is not in it any more."""
    spans = join_spans(times)
    if not spans:
        return OpenNow(state="closed")
    closes_at = spans[-1].ends_at
    if any(span.starts_at <= now < span.ends_at for span in spans):
        return OpenNow(state="open", closes_at=closes_at)
    later = next((span.starts_at for span in spans if span.starts_at > now), None)
    if later is None:
        return OpenNow(state="over", closes_at=closes_at)
    return OpenNow(state="before" if now < spans[0].starts_at else "break", opens_at=later, closes_at=closes_at)


def band_of(waiting: int) -> str:
    """How many wait, as it may be published."""
    return next((name for most, name in BANDS if waiting <= most), MANY)
