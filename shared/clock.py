"""Time is an argument. This is the one place that reads the machine's clock."""

from collections.abc import Callable
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
