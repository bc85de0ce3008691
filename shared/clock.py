"""Time is an argument. This is the one place that reads clocks: the machine's, and for processes the database's.

`docs/decisions/0018-one-clock.md` says why a process does not trust the machine it runs on.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

JST = ZoneInfo("Asia/Tokyo")

Clock = Callable[[], datetime]

# A process's own pace is off by far less between two questions.
TOLERANCE = timedelta(milliseconds=50)
# More than this is no pace: somebody set the database's clock.
STEP = timedelta(seconds=2)
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def utc_now() -> datetime:
    """The present, aware and in UTC."""
    return datetime.now(UTC)


def jst_day(moment: datetime) -> date:
    """The calendar day in Japan at an aware moment."""
    return moment.astimezone(JST).date()


def steady() -> float:
    """Seconds since some moment, by a clock that nobody sets and that does not stand still while the machine sleeps."""
    return time.clock_gettime(_STEADY)


class AgreedClock:
    """The time that all processes of a service agree on: their database's.

    `shared.timekeeping` asks for it now and then; in between it runs on with this process, whatever happens to the
    machine's clock. Until the database first answers it is the machine's.
    """

    def __init__(self, *, shift: timedelta = timedelta(), pace: Callable[[], float] = steady) -> None:
        self._shift = shift
        self._pace = pace
        self._told: datetime | None = None
        self._told_at = self._heard_at = 0.0
        self._began_at = pace()
        self._stepped_at: float | None = None

    def __call__(self) -> datetime:
        """The present, aware and in UTC."""
        if self._told is None:
            return utc_now() + self._shift
        return self._told + timedelta(seconds=self._pace() - self._told_at) + self._shift

    @property
    def is_agreed(self) -> bool:
        """Whether the database was heard."""
        return self._told is not None

    def agree(self, told: datetime, *, asked_at: float, answered_at: float) -> bool:
        """Take over what the database told between two moments of the steady clock; return whether it was set anew.

        What the way there and back may explain, or what nobody would notice, changes nothing.
        """
        halfway, way = (asked_at + answered_at) / 2, timedelta(seconds=(answered_at - asked_at) / 2)
        self._heard_at = answered_at
        if self._told is None:
            self._told, self._told_at = told, halfway
            return False
        off = abs(told - self._told - timedelta(seconds=halfway - self._told_at))
        if off > TOLERANCE + way:
            self._told, self._told_at = told, halfway
        if off > STEP + way:
            self._stepped_at = answered_at
        return off > STEP + way

    def has_stepped_within(self, seconds: float) -> bool:
        """Whether the database's clock was set so short ago, as far as this process has noticed."""
        return self._stepped_at is not None and self._pace() - self._stepped_at < seconds

    def has_begun_within(self, seconds: float) -> bool:
        """Whether this process is so young: what was before it does not know."""
        return self._pace() - self._began_at < seconds

    def was_heard_within(self, seconds: float) -> bool:
        """Whether the database told the time so short ago."""
        return self.is_agreed and self._pace() - self._heard_at < seconds


def clock_from(environ: Mapping[str, str]) -> AgreedClock:
    """The clock of a process, which for trials starts at `CHOUDO_CLOCK_STARTS_AT` and runs on.

    All processes of one trial agree, because the difference counts from `CHOUDO_CLOCK_STARTED` (Unix seconds).

    Raises:
        ValueError: outside the local environment nobody may move the clock.
    """
    starts_at = environ.get("CHOUDO_CLOCK_STARTS_AT")
    if starts_at is None:
        return AgreedClock()
    if environ.get("CHOUDO_ENVIRONMENT") != "local":
        raise ValueError("CHOUDO_CLOCK_STARTS_AT is for local trials only")
    started = datetime.fromtimestamp(float(environ["CHOUDO_CLOCK_STARTED"]), UTC)
    return AgreedClock(shift=datetime.fromisoformat(starts_at) - started)
