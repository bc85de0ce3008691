"""Helpers' shifts: which of them are at a venue then, when they must have answered, and what they see of a person."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from services.booking.domain.calendar import SlotTime
from shared.errors import Refusal

JST = ZoneInfo("Asia/Tokyo")
DAY_MIN = 1_440

# A helper who does not answer is a helper who cannot come: the next one is asked while there is still time.
ANSWER_WITHIN = timedelta(hours=24)
ANSWER_BEFORE = timedelta(hours=1)
ANSWER_AT_LEAST = timedelta(minutes=10)


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """When a helper is at a venue, every week: ISO weekday, minutes from midnight in Japan."""

    helper_ref: str
    weekday: int
    from_min: int
    to_min: int


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """When a helper cannot be asked in spite of their shift: they declined, or are with somebody elsewhere."""

    helper_ref: str
    starts_at: datetime
    ends_at: datetime


class WeekTime(msgspec.Struct, frozen=True):
    """A slot's time as shifts count it."""

    weekday: int
    from_min: int
    to_min: int


def week_time(starts_at: datetime, ends_at: datetime) -> WeekTime:
    """Where in the week a slot is. One that reaches past midnight is in nobody's shift."""
    start = starts_at.astimezone(JST)
    from_min = start.hour * 60 + start.minute
    return WeekTime(start.isoweekday(), from_min, from_min + round((ends_at - starts_at).total_seconds() / 60))


def count_helpers(slot: SlotTime, shifts: Iterable[Shift], away: Iterable[Away]) -> int:
    """How many helpers can be asked for a slot: so many places it has."""
    time = week_time(slot.starts_at, slot.ends_at)
    here = {
        shift.helper_ref
        for shift in shifts
        if shift.weekday == time.weekday and shift.from_min <= time.from_min and time.to_min <= shift.to_min
    }
    gone = {entry.helper_ref for entry in away if entry.starts_at < slot.ends_at and slot.starts_at < entry.ends_at}
    return len(here - gone)


def answer_by(*, asked_at: datetime, starts_at: datetime) -> datetime:
    """When an unanswered request goes on to the next helper."""
    return max(asked_at + ANSWER_AT_LEAST, min(asked_at + ANSWER_WITHIN, starts_at - ANSWER_BEFORE))


def refuse_bad_shift(*, weekday: int, from_min: int, to_min: int) -> None:
    """Whether a shift can be kept at all.

    Raises:
        Refusal: `shift_unfit` (422).
    """
    if not (1 <= weekday <= 7 and 0 <= from_min < to_min <= DAY_MIN):
        raise Refusal("shift_unfit", 422)


def given_name(name: str) -> str:
    """What a helper calls somebody by: the part after the space; of a name in Latin letters, the first word.

    Nothing where there is no space: which part of 山田太郎 is the given name, nobody can tell, and the family name is
    not for helpers.
    """
    words = name.split()
    if len(words) < 2:
        return ""
    is_latin = any("LATIN" in unicodedata.name(letter, "") for letter in name)
    return words[0] if is_latin else words[-1]
