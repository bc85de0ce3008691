"""Classes (教室): how long a seat is kept for somebody, and how far a class is at a moment."""

from datetime import datetime, timedelta
from typing import Literal

Mode = Literal["first_come", "draw"]
CourseState = Literal["draft", "open", "closed", "called_off", "over"]
EntryState = Literal["applied", "entered", "waiting", "offered", "lost", "withdrawn", "called_off"]
StaffRole = Literal["teacher", "assistant"]
Attendance = Literal["attended", "absent"]
Stage = Literal["draft", "applying", "drawing", "free", "full", "closed", "called_off", "over"]

MODES: tuple[Mode, ...] = ("first_come", "draw")
ROLES: tuple[StaffRole, ...] = ("teacher", "assistant")
# Who has a seat, or may get one.
QUEUED: tuple[EntryState, ...] = ("waiting", "lost")

SEATS_MAX = 200
SESSIONS_MAX = 30
STAFF_MAX = 10
FEE_YEN_MAX = 100_000
# Nobody enters beyond: whoever is so far behind waits in vain.
ENTRIES_MAX = 2_000
AHEAD_MAX = timedelta(days=366)
SESSION_MAX = timedelta(hours=8)

# A seat that is given back is kept a day for the next, and not until the very beginning: they still have to come.
OFFER_FOR = timedelta(hours=24)
OFFER_ENDS_BEFORE = timedelta(hours=2)
# Nobody answers within less. The seat is for whoever comes first, then.
OFFER_MIN = timedelta(hours=1)


def offer_until(begins_at: datetime, *, now: datetime) -> datetime | None:
    """Until when a seat is kept for whoever is next; None: it is too late to ask them one after the other."""
    until = min(now + OFFER_FOR, begins_at - OFFER_ENDS_BEFORE)
    return until if until >= now + OFFER_MIN else None


def stage_of(
    state: CourseState,
    mode: Mode,
    *,
    closes_at: datetime,
    begins_at: datetime | None,
    is_drawn: bool,
    free: int,
    waiting: int,
    now: datetime,
) -> Stage:
    """How far a class is: what can be done about it now. `free`: there is a seat for who enters; `full`: they wait."""
    if state == "open":
        if begins_at is None or now >= begins_at:
            return "closed"
        if not is_drawn and mode == "draw":
            return "applying" if now < closes_at else "drawing"
        if not is_drawn and now >= closes_at:
            return "closed"
        return "free" if free and (not waiting or offer_until(begins_at, now=now) is None) else "full"
    return state
