"""Time is an argument. This is the one place that reads the machine's clock."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

JST = ZoneInfo("Asia/Tokyo")

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present, aware and in UTC."""
    return datetime.now(UTC)


def jst_day(moment: datetime) -> date:
    """The calendar day in Japan at an aware moment."""
    return moment.astimezone(JST).date()


def clock_from(environ: Mapping[str, str]) -> Clock:
    """The clock of a process: the machine's, or for trials one that starts at `CHOUDO_CLOCK_STARTS_AT` and runs on.

    All processes of one trial agree, because the difference counts from `CHOUDO_CLOCK_STARTED` (Unix seconds).

    Raises:
        ValueError: outside the local environment nobody may move the clock.
    """
    starts_at = environ.get("CHOUDO_CLOCK_STARTS_AT")
    if starts_at is None:
        return utc_now
    if environ.get("CHOUDO_ENVIRONMENT") != "local":
        raise ValueError("CHOUDO_CLOCK_STARTS_AT is for local trials only")
    started = datetime.fromtimestamp(float(environ["CHOUDO_CLOCK_STARTED"]), UTC)
    shift = datetime.fromisoformat(starts_at) - started
    return lambda: utc_now() + shift
