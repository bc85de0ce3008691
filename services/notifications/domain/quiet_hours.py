"""Quiet hours: 21:00 to 08:00 in Japan nobody is reminded. Who just did something is answered at any hour."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

JST = ZoneInfo("Asia/Tokyo")
QUIET_FROM = time(21)
QUIET_TO = time(8)


def is_quiet(moment: datetime) -> bool:
    """Whether a moment is in the quiet hours: from 21:00 on, until before 08:00."""
    local = moment.astimezone(JST).time()
    return local >= QUIET_FROM or local < QUIET_TO


def after_quiet(moment: datetime) -> datetime:
    """The moment itself, or 08:00 at the end of the quiet hours that it is in."""
    if not is_quiet(moment):
        return moment
    local = moment.astimezone(JST)
    day = local.date() + timedelta(days=1) if local.time() >= QUIET_FROM else local.date()
    return datetime.combine(day, QUIET_TO, JST).astimezone(moment.tzinfo)


def before_quiet(moment: datetime) -> datetime:
    """The moment itself, or 21:00 at the beginning of the quiet hours that it is in."""
    if not is_quiet(moment):
        return moment
    local = moment.astimezone(JST)
    day = local.date() if local.time() >= QUIET_FROM else local.date() - timedelta(days=1)
    return datetime.combine(day, QUIET_FROM, JST).astimezone(moment.tzinfo)
