"""How many people are expected: the median of the same weekday, what the end of a month adds, and how sure that is."""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import median
from typing import Literal

import msgspec

# The weeks whose same weekday counts, and the days back from which the end of a month is known.
WEEKS = 8
HISTORY_DAYS = 182
# The last days of a month, on which people come to settle what is due (月末).
MONTH_END_DAYS = 5
# From so many days a figure is sure, or rough; from fewer it is said that it is a guess.
SURE_DAYS, ROUGH_DAYS = 6, 3

Sureness = Literal["sure", "rough", "guess", "none"]


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A day to come: how many people, between what there was before, and from how many days that is known.

    `factor`: what the end of the month makes of it. Without any day of that weekday nobody knows (`people` None).
    """

    day: date
    people: int | None
    low: int | None
    high: int | None
    days: int
    factor: float
    sureness: Sureness


def is_month_end(day: date) -> bool:
    """Whether it is one of the month's last days."""
    return day.day > monthrange(day.year, day.month)[1] - MONTH_END_DAYS


def forecast(history: Mapping[date, int], days: Sequence[date], *, today: date) -> list[Expected]:
    """What is expected on these days, from how many came on each day before today."""
    known = {day: people for day, people in history.items() if today - timedelta(days=HISTORY_DAYS) <= day < today}
    factor = month_end_factor(known)
    return [_expect(known, day, factor if is_month_end(day) else 1.0, today=today) for day in days]


def month_end_factor(known: Mapping[date, int]) -> float:
    """How many times as many come at the end of a month: the median over those days, each beside the median of its
    weekday on other days. 1 while there are too few to tell."""
    ratios = []
    for day, people in known.items():
        usual = [
            count for other, count in known.items() if other.weekday() == day.weekday() and not is_month_end(other)
        ]
        if is_month_end(day) and usual and median(usual) > 0:
            ratios.append(people / median(usual))
    return median(ratios) if len(ratios) >= ROUGH_DAYS else 1.0


def _expect(known: Mapping[date, int], day: date, factor: float, *, today: date) -> Expected:
    since = today - timedelta(weeks=WEEKS)
    usual = [
        people
        for other, people in known.items()
        if other >= since and other.weekday() == day.weekday() and not is_month_end(other)
    ]
    if not usual:
        return Expected(day=day, people=None, low=None, high=None, days=0, factor=factor, sureness="none")
    return Expected(
        day=day,
        people=round(median(usual) * factor),
        low=round(min(usual) * factor),
        high=round(max(usual) * factor),
        days=len(usual),
        factor=factor,
        sureness="sure" if len(usual) >= SURE_DAYS else "rough" if len(usual) >= ROUGH_DAYS else "guess",
    )
