"""The days of a town: which of them are closed, and why. Japan has one time zone and no summer time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

JST = ZoneInfo("Asia/Tokyo")
DECEMBER, JANUARY = 12, 1
YEAR_END_FROM, YEAR_END_TO = 29, 3


class SlotTime(msgspec.Struct, frozen=True, order=True):
    """One slot of a counter: aware moments."""

    starts_at: datetime
    ends_at: datetime


def is_year_end(day: date) -> bool:
    """Town halls close from 12/29 to 1/3 (地方自治法4条の2, and the towns' ordinances)."""
    return (day.month == DECEMBER and day.day >= YEAR_END_FROM) or (day.month == JANUARY and day.day <= YEAR_END_TO)


def days_between(first: date, last: date) -> Iterator[date]:
    """The days from first to last, both included."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def closure_names(
    days: Sequence[date],
    *,
    closures: Sequence[tuple[date, date, str]],
    holidays: Mapping[date, str],
    year_end: str | None,
) -> dict[date, str]:
    """Why each of these days is closed, if it is: the town's own closure, or a holiday's name, or the year's end."""
    names: dict[date, str] = {}
    for day in days:
        own = next((reason for first, last, reason in closures if first <= day <= last), None)
        name = own or holidays.get(day) or (year_end if year_end and is_year_end(day) else None)
        if name:
            names[day] = name
    return names
