"""When a counter is open: weekly rules → the slots of a day. Japan has one time zone and no summer time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

JST = ZoneInfo("Asia/Tokyo")
SLOTS_PER_DAY_MAX = 300
DECEMBER, JANUARY = 12, 1
YEAR_END_FROM, YEAR_END_TO = 29, 3


class OpeningHours(msgspec.Struct, frozen=True, kw_only=True):
    """A weekly opening rule of one counter. `weekdays` are ISO (1 Monday … 7 Sunday); times are Japan's."""

    weekdays: tuple[int, ...]
    opens_at: time
    closes_at: time
    lunch_from: time | None = None
    lunch_to: time | None = None


class SlotTime(msgspec.Struct, frozen=True, order=True):
    """One slot of a counter: aware moments."""

    starts_at: datetime
    ends_at: datetime


def is_year_end(day: date) -> bool:
    """Town halls close from 12/29 to 1/3 (地方自治法4条の2, and the towns' ordinances)."""
    return (day.month == DECEMBER and day.day >= YEAR_END_FROM) or (day.month == JANUARY and day.day <= YEAR_END_TO)


def slots_of_day(day: date, hours: Sequence[OpeningHours], *, slot_min: int) -> list[SlotTime]:
    """A counter's slots of a day that is not closed: whole slots only, none reaching into lunch or past closing."""
    found: set[SlotTime] = set()
    for rule in hours:
        if day.isoweekday() in rule.weekdays:
            for opens_at, closes_at in _stretches(rule):
                found.update(_fill(day, opens_at, closes_at, slot_min))
    return _without_overlaps(sorted(found))


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


def _stretches(rule: OpeningHours) -> list[tuple[time, time]]:
    if rule.lunch_from is None or rule.lunch_to is None:
        return [(rule.opens_at, rule.closes_at)]
    return [(rule.opens_at, rule.lunch_from), (rule.lunch_to, rule.closes_at)]


def _fill(day: date, opens_at: time, closes_at: time, slot_min: int) -> Iterator[SlotTime]:
    length = timedelta(minutes=slot_min)
    starts_at = datetime.combine(day, opens_at, JST)
    closing = datetime.combine(day, closes_at, JST)
    if closing <= starts_at and closes_at == time(0):
        closing += timedelta(days=1)  # "until 00:00" is until midnight
    for _ in range(SLOTS_PER_DAY_MAX):
        if starts_at + length > closing:
            return
        yield SlotTime(starts_at, starts_at + length)
        starts_at += length


def _without_overlaps(slots: list[SlotTime]) -> list[SlotTime]:
    kept: list[SlotTime] = []
    for slot in slots:
        if not kept or slot.starts_at >= kept[-1].ends_at:
            kept.append(slot)
    return kept
