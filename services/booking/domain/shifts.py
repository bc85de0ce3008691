"""Helpers' shifts: which of them are at a venue then, when they must have answered, and what they see of a person."""

import unicodedata
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec

from services.booking.domain.calendar import SlotTime
from services.booking.domain.opening import comes_round, is_rhythm
from shared.errors import Refusal

JST = ZoneInfo("Asia/Tokyo")
DAY_MIN, HALF_HOUR_MIN = 1_440, 30

# A helper who does not answer is a helper who cannot come: the next one is asked while there is still time.
ANSWER_WITHIN = timedelta(hours=24)
ANSWER_BEFORE = timedelta(hours=1)
ANSWER_AT_LEAST = timedelta(minutes=10)

# A helper is reminded on the afternoon before; whoever is found after that, shortly before.
REMIND_AT = time(17)
REMIND_BEFORE = timedelta(hours=2)

# How many of the coming days of a shift are told, and how far ahead they are looked for: five weeks of every fourth.
COMING_MAX = 3
LOOK_AHEAD_DAYS = 140
FIRST_WEEK_NEAR = timedelta(days=366)

VISITS_PER_WEEK_MAX = 40
# Days away, and single days there: how far ahead they are said.
DAYS_AHEAD_MAX = timedelta(days=366)
# How many times away are kept for one helper.
AWAY_MAX = 50


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """When a helper is at a venue: ISO weekday, minutes from midnight in Japan; in weeks as a counter's hours are, or
    `only_on` one day.
    """

    helper_ref: str
    weekday: int
    from_min: int
    to_min: int
    every_weeks: int = 1
    nth: tuple[int, ...] = ()
    first_week: date | None = None
    only_on: date | None = None

    def is_on(self, day: date) -> bool:
        """Whether the helper is there on this day (in SQL, `shifts_on`)."""
        if self.only_on is not None:
            return self.only_on == day
        return self.weekday == day.isoweekday() and comes_round(self, day, first_week=self.first_week)


class HelperTime(msgspec.Struct, frozen=True, kw_only=True):
    """A time of a helper's: one in which they cannot be asked in spite of their shift, or one in which they meet
    somebody.
    """

    helper_ref: str
    starts_at: datetime
    ends_at: datetime

    def meets(self, slot: SlotTime) -> bool:
        """Whether some of it is in the slot."""
        return self.starts_at < slot.ends_at and slot.starts_at < self.ends_at


class AwayDays(msgspec.Struct, frozen=True, kw_only=True):
    """The days from the first to the last, on which a helper is not there, whatever their shifts say."""

    first_day: date
    last_day: date

    def has(self, day: date) -> bool:
        """Whether they are away on this day."""
        return self.first_day <= day <= self.last_day


class WeekTime(msgspec.Struct, frozen=True):
    """A slot's time as shifts count it: the day in Japan, and minutes from its midnight."""

    day: date
    from_min: int
    to_min: int


def week_time(starts_at: datetime, ends_at: datetime) -> WeekTime:
    """Where in its day a slot is. One that reaches past midnight is in nobody's shift."""
    start = starts_at.astimezone(JST)
    from_min = start.hour * 60 + start.minute
    return WeekTime(start.date(), from_min, from_min + round((ends_at - starts_at).total_seconds() / 60))


def day_span(day: date, from_min: int, to_min: int) -> tuple[datetime, datetime]:
    """From when to when these minutes of a day in Japan are."""
    midnight = datetime.combine(day, time(0), JST)
    return midnight + timedelta(minutes=from_min), midnight + timedelta(minutes=to_min)


def count_helpers(
    slot: SlotTime, shifts: Iterable[Shift], away: Iterable[HelperTime], meetings: Iterable[HelperTime] = ()
) -> int:
    """How many helpers can be asked for a slot, or meet somebody in it already: so many places it has."""
    time = week_time(slot.starts_at, slot.ends_at)
    on_shift = {shift.helper_ref for shift in shifts if _covers(shift, time)}
    gone = {entry.helper_ref for entry in away if entry.meets(slot)}
    # Who has promised stays, whether or not they can be asked for more.
    meeting = {entry.helper_ref for entry in meetings if entry.meets(slot)}
    return len(on_shift - gone | meeting)


def week_of(moment: datetime) -> tuple[datetime, datetime]:
    """The week of a moment, Monday to Sunday in Japan: when it begins, and when the next one does."""
    day = moment.astimezone(JST).date()
    monday = datetime.combine(day - timedelta(days=day.weekday()), datetime.min.time(), JST)
    return monday, monday + timedelta(weeks=1)


def _covers(shift: Shift, time: WeekTime) -> bool:
    return shift.is_on(time.day) and shift.from_min <= time.from_min and time.to_min <= shift.to_min


def answer_by(*, asked_at: datetime, starts_at: datetime) -> datetime:
    """When an unanswered request goes on to the next helper."""
    return max(asked_at + ANSWER_AT_LEAST, min(asked_at + ANSWER_WITHIN, starts_at - ANSWER_BEFORE))


def helper_reminder_at(starts_at: datetime, *, now: datetime) -> datetime | None:
    """When a helper is reminded of a visit: the day before at 17:00, or two hours before; None when it is soon."""
    eve = starts_at.astimezone(JST).date() - timedelta(days=1)
    afternoon = datetime.combine(eve, REMIND_AT, JST).astimezone(starts_at.tzinfo)
    return next((moment for moment in (afternoon, starts_at - REMIND_BEFORE) if now < moment), None)


def coming_days(shift: Shift, first: date) -> list[date]:
    """The next days from `first` on, on which the helper is there: so that they see whether that is what they meant."""
    days = (first + timedelta(days=number) for number in range(LOOK_AHEAD_DAYS))
    return list(islice(filter(shift.is_on, days), COMING_MAX))


def meet(one: Shift, other: Shift) -> bool:
    """Whether somebody would have to be at both at once. Two rhythms of one weekday do, in whichever weeks they are."""
    if one.weekday != other.weekday or one.from_min >= other.to_min or other.from_min >= one.to_min:
        return False
    days = {shift.only_on for shift in (one, other)} - {None}
    return all(shift.is_on(day) for shift in (one, other) for day in days if day is not None)


def refuse_bad_shift(shift: Shift, *, today: date) -> None:
    """Whether a shift can be kept at all: on the nth weekdays of a month, in every n-th week, or on one day to come.

    Raises:
        Refusal: `shift_unfit` (422).
    """
    if shift.only_on is not None and not _is_day(shift, shift.only_on, today):
        raise Refusal("shift_unfit", 422)
    is_time = 1 <= shift.weekday <= 7 and 0 <= shift.from_min < shift.to_min <= DAY_MIN
    is_near = shift.first_week is None or abs(shift.first_week - today) <= FIRST_WEEK_NEAR
    is_one_rhythm = not shift.nth or shift.every_weeks == 1
    if not (is_time and is_near and is_one_rhythm and is_rhythm(shift, first_week=shift.first_week)):
        raise Refusal("shift_unfit", 422)


def _is_day(shift: Shift, day: date, today: date) -> bool:
    has_no_rhythm = shift.every_weeks == 1 and not shift.nth and shift.first_week is None
    return has_no_rhythm and shift.weekday == day.isoweekday() and today <= day <= today + DAYS_AHEAD_MAX


def refuse_bad_days(days: AwayDays, *, today: date) -> None:
    """Whether days away can be kept: none of them past, and not too far ahead.

    Raises:
        Refusal: `away_unfit` (422).
    """
    if not today <= days.first_day <= days.last_day <= today + DAYS_AHEAD_MAX:
        raise Refusal("away_unfit", 422)


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
