"""Asking for help without choosing a time: which windows can be asked for, and until when a helper is looked for."""

from datetime import date, datetime, time, timedelta

from services.booking.domain.matching import HelpWindow
from services.booking.domain.rules import JST, Policy, last_day
from services.booking.domain.shifts import DAY_MIN
from shared.errors import Refusal

WEEKDAYS = (1, 2, 3, 4, 5, 6, 7)
VENUES_MAX = 20
# Whoever is not met hears of it on the evening before their last day: time enough to choose something else.
TOLD_AT = time(18)
# Whoever asks late is looked for at least so long, as far as their own time allows.
LOOK_AT_LEAST = timedelta(hours=3)

# Who was not met stays with the coordinators so long, who may still find somebody: then their days are over.
UNMET_KEPT = timedelta(days=14)


def deadline_of(window: HelpWindow, policy: Policy, *, now: datetime) -> datetime:
    """Until when a helper is looked for.

    Raises:
        Refusal: `help_window` (422), no day of it can still be booked.
    """
    first = now.astimezone(JST).date()
    are_days = first <= window.first_day <= window.last_day <= last_day(policy, now)
    are_weekdays = bool(window.weekdays) and set(window.weekdays) <= set(WEEKDAYS)
    if not are_days or not are_weekdays or not 0 <= window.from_min < window.to_min <= DAY_MIN:
        raise Refusal("help_window", 422)
    days = (window.last_day - timedelta(days=back) for back in range((window.last_day - window.first_day).days + 1))
    last = next((day for day in days if day.isoweekday() in window.weekdays), None)
    if last is None:
        raise Refusal("help_window", 422)
    # After this, nothing of the window can be booked any more.
    latest = _moment(last, window.to_min) - timedelta(minutes=policy.notice_min)
    evening = datetime.combine(last - timedelta(days=1), TOLD_AT, JST)
    until = min(max(evening, now + LOOK_AT_LEAST), latest)
    if until <= now:
        raise Refusal("help_window", 422)
    return until


def _moment(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(0), JST) + timedelta(minutes=minute)
