"""When the town hall works: its hours and days. National holidays are told by whoever asks."""

from collections.abc import Container
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

JST = ZoneInfo("Asia/Tokyo")
# As the town's rules of office hours (執務時間) have them.
OPENS, CLOSES = time(8, 30), time(17, 15)
# 土曜日, ISO.
SATURDAY = 6
DECEMBER, JANUARY = 12, 1
YEAR_END_FROM, YEAR_END_TO = 29, 3


def is_working_day(day: date, holidays: Container[date]) -> bool:
    """Whether the town hall works: not at weekends, on national holidays, or from 12/29 to 1/3 (地方自治法4条の2)."""
    is_year_end = (day.month == DECEMBER and day.day >= YEAR_END_FROM) or (
        day.month == JANUARY and day.day <= YEAR_END_TO
    )
    return day.isoweekday() < SATURDAY and not is_year_end and day not in holidays


def is_working_time(moment: datetime, holidays: Container[date]) -> bool:
    """Whether the town hall works at this moment, from its opening until before its closing."""
    local = moment.astimezone(JST)
    return is_working_day(local.date(), holidays) and OPENS <= local.time() < CLOSES


def end_of_working_day(moment: datetime, count: int, holidays: Container[date]) -> datetime:
    """The closing time of the `count`th working day after the day of `moment`, which itself does not count."""
    day = moment.astimezone(JST).date()
    while count:
        day += timedelta(days=1)
        count -= is_working_day(day, holidays)
    return datetime.combine(day, CLOSES, JST)
