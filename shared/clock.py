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


def utc_now() -> datetime:
    """The present, aware and in UTC."""
    return datetime.now(UTC)


def jst_day(moment: datetime) -> date:
    """The calendar day in Japan at an aware moment."""
    return moment.astimezone(JST).date()


class AgreedClock:
    """The time that all processes of a service agree on: their database's.

    `shared.timekeeping` asks for it now and then; in between it runs on with this process, whatever happens to the
    machine's clock. Until the database first answers it is the machine's.
    """

    def __init__(self, *, shift: timedelta = timedelta(), steady: Callable[[], float] = time.monotonic) -> None:
        self._shift = shift
        self._steady = steady
        self._told: datetime | None = None
        self._told_at = self._stepped_at = 0.0
        self._has_stepped = False

    def __call__(self) -> datetime:
        """The present, aware and in UTC."""
        if self._told is None:
            return utc_now() + self._shift
        return self._told + timedelta(seconds=self._steady() - self._told_at) + self._shift

    @property
    def is_agreed(self) -> bool:
        """Whether the database was heard."""
        return self._told is not None

    def agree(self, told: datetime, *, asked_at: float, answered_at: float) -> timedelta:
        """Take over what the database told between two moments of the steady clock; return how far that was off.

        What the way there and back may explain, or what nobody would notice, changes nothing.
        """
        way = answered_at - asked_at
        if self._told is None:
            self._told, self._told_at = told, asked_at + way / 2
            return timedelta()
        off = told - self._told - timedelta(seconds=asked_at + way / 2 - self._told_at)
        if abs(off) > TOLERANCE + timedelta(seconds=way / 2):
            self._told, self._told_at = told, asked_at + way / 2
        if abs(off) > STEP:
            self._has_stepped, self._stepped_at = True, answered_at
        return off

    def has_stepped_within(self, seconds: float) -> bool:
        """Whether the database's time was set anew so short ago: others may not have noticed yet."""
        return self._has_stepped and self._steady() - self._stepped_at < seconds


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
