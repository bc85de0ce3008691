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
# Who waits is looked for again after as long as they have waited already, between these two: what has changed asks at
# once, so this is for what changes without a word (a day comes into reach).
LOOK_SOONEST, LOOK_LATEST = timedelta(minutes=1), timedelta(minutes=15)
# And so long before the deadline, for whoever would be looked for later than that.
LOOK_LAST = timedelta(minutes=5)
# A plan that could not be carried out is made again so much later: what was in the way may be gone then. Each further
# one takes twice as long, so that what can never be carried out keeps no helper and no place from others.
PLAN_AGAIN = timedelta(minutes=1)
PLAN_DOUBLINGS = 4

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


def next_look(*, waits_since: datetime, until: datetime, now: datetime) -> datetime:
    """When a request for which nobody was found is looked at again, though nothing is known to have changed."""
    return _before_deadline(now + min(max(now - waits_since, LOOK_SOONEST), LOOK_LATEST), until=until, now=now)


def next_plan(*, dropped: int, until: datetime, now: datetime) -> datetime:
    """When somebody is planned for a request again of which so many plans, one after the other, were dropped."""
    return _before_deadline(now + PLAN_AGAIN * 2 ** min(dropped - 1, PLAN_DOUBLINGS), until=until, now=now)


def _before_deadline(at: datetime, *, until: datetime, now: datetime) -> datetime:
    last = until - LOOK_LAST
    return min(at, last) if now < last else at


def _moment(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(0), JST) + timedelta(minutes=minute)
