"""Quiet hours: 21:00 to 08:00 in Japan nobody is reminded. Who just did something is answered at any hour.

Somebody may want quiet for longer (`Quiet`), never for less: the town's hours are for everybody.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

JST = ZoneInfo("Asia/Tokyo")
QUIET_FROM = time(21)
QUIET_TO = time(8)
# Full hours that somebody may choose: at least from noon to five there is time to tell them.
OWN_FROM = range(17, QUIET_FROM.hour + 1)
OWN_TO = range(QUIET_TO.hour, 13)


class Quiet(msgspec.Struct, frozen=True):
    """Full hours: quiet from `start` on, until before `end` on the next morning."""

    start: int = QUIET_FROM.hour
    end: int = QUIET_TO.hour

    @property
    def is_own(self) -> bool:
        """Whether somebody asked for more than the town's hours."""
        return self != TOWN_QUIET


TOWN_QUIET = Quiet()


def quiet_of(start: int | None, end: int | None) -> Quiet:
    """What somebody chose, as the database has it; the town's hours for who chose nothing."""
    return TOWN_QUIET if start is None or end is None else Quiet(start, end)


def is_quiet(moment: datetime, quiet: Quiet = TOWN_QUIET) -> bool:
    """Whether a moment is in the quiet hours: from their start on, until before their end."""
    local = moment.astimezone(JST).time()
    return local >= time(quiet.start) or local < time(quiet.end)


def after_quiet(moment: datetime, quiet: Quiet = TOWN_QUIET) -> datetime:
    """The moment itself, or the end of the quiet hours that it is in."""
    if not is_quiet(moment, quiet):
        return moment
    local = moment.astimezone(JST)
    day = local.date() + timedelta(days=1) if local.time() >= time(quiet.start) else local.date()
    return datetime.combine(day, time(quiet.end), JST).astimezone(moment.tzinfo)


def before_quiet(moment: datetime, quiet: Quiet = TOWN_QUIET) -> datetime:
    """The moment itself, or the beginning of the quiet hours that it is in."""
    if not is_quiet(moment, quiet):
        return moment
    local = moment.astimezone(JST)
    day = local.date() if local.time() >= time(quiet.start) else local.date() - timedelta(days=1)
    return datetime.combine(day, time(quiet.start), JST).astimezone(moment.tzinfo)
