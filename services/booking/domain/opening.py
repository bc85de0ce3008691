"""Opening rules: which version counts on a day, when the counter is open then, and the slots of it.

Japan has one time zone and no summer time.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Protocol

import msgspec

from services.booking.domain.calendar import JST, SlotTime
from services.booking.domain.closings import ClosedTime, is_closed
from shared.errors import Refusal

SLOT_MIN_MIN, SLOT_MIN_MAX = 5, 240
PLACES_MAX = 50
HOURS_PER_DAY_MAX = 6
EVERY_WEEKS_MAX = 4
SPECIAL_DAYS_MAX = 100
REASON_MAX_LENGTH = 60
# How far ahead a version can be published.
AHEAD_MAX = timedelta(days=366)
SLOTS_PER_DAY_MAX = 300
DAY_MIN = 1_440
# Part of every fingerprint: raised when the same rule makes other slots than before.
PLANNING = 1


class Hours(msgspec.Struct, frozen=True, order=True):
    """Open without a break from one time to another, Japan's. Until 00:00 is until midnight."""

    opens_at: time
    closes_at: time


class Rhythm(Protocol):
    """In which weeks something is: every n weeks from a first one on; of these only the `nth` of a month, if any."""

    @property
    def every_weeks(self) -> int:
        """1: every week."""

    @property
    def nth(self) -> tuple[int, ...]:
        """Of a month's five at the most; none named: all of them."""


class WeekdayHours(msgspec.Struct, frozen=True, kw_only=True):
    """The hours of one ISO weekday (1 Monday … 7 Sunday), with the breaks between them.

    Every week, or every n weeks from the rule's first week on; and of these only the `nth` of a month, if any is named.
    """

    weekday: int
    hours: tuple[Hours, ...]
    every_weeks: int = 1
    nth: tuple[int, ...] = ()


class SpecialDay(msgspec.Struct, frozen=True, kw_only=True):
    """One day that is not as the others: closed (no hours), or with hours of its own, on a holiday, too."""

    day: date
    hours: tuple[Hours, ...] = ()
    reason_ja: str


class OpeningRule(msgspec.Struct, frozen=True, kw_only=True):
    """When a counter or venue is open, how long a slot is, and how many places it has. A venue has none of its own.

    `first_week` is any day of the week from which every n weeks are counted.
    """

    slot_min: int
    places: int
    staff_only_places: int
    week: tuple[WeekdayHours, ...]
    # Given out at the ticket machine in the lobby only, on the day itself.
    kiosk_places: int = 0
    first_week: date | None = None
    special_days: tuple[SpecialDay, ...] = ()


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, and the day from which it counts."""

    valid_from: date
    rule: OpeningRule


class PlannedSlot(msgspec.Struct, frozen=True):
    """A slot as it should be: its time, how many people it takes, and how many of these staff or kiosks give out."""

    time: SlotTime
    places: int
    staff_only: int = 0
    kiosk: int = 0


class DayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A day of a counter as the rules have it. Without hours it is closed; `closed_times` are taken out of it."""

    day: date
    hours: tuple[Hours, ...] = ()
    slot_min: int = 0
    places: int = 0
    staff_only: int = 0
    kiosk: int = 0
    closed_times: tuple[ClosedTime, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same for two plans exactly when they have the same slots: what was made once need not be made again."""
        if not self.hours:
            return f"{PLANNING} closed"
        hours = " ".join(f"{span.opens_at:%H:%M}-{span.closes_at:%H:%M}" for span in self.hours)
        closed = "".join(f" -{each.starts_at.isoformat()}/{each.ends_at.isoformat()}" for each in self.closed_times)
        kept = f"{self.staff_only}/{self.kiosk}" if self.kiosk else f"{self.staff_only}"
        return f"{PLANNING} {self.slot_min}min {self.places}/{kept} {hours}{closed}"


def version_on(versions: Sequence[Version], day: date) -> Version | None:
    """The version that counts on a day: the newest that has come."""
    return max(
        (found for found in versions if found.valid_from <= day), key=lambda found: found.valid_from, default=None
    )


def hours_on(rule: OpeningRule, day: date, *, is_holiday: bool) -> tuple[Hours, ...]:
    """When it is open on a day. A special day counts before a holiday: offices do open on some."""
    for special in rule.special_days:
        if special.day == day:
            return special.hours
    if is_holiday:
        return ()
    found = [
        each.hours
        for each in rule.week
        if each.weekday == day.isoweekday() and comes_round(each, day, first_week=rule.first_week)
    ]
    return tuple(sorted({span for hours in found for span in hours}))


def plan_day(
    versions: Sequence[Version], day: date, *, closed: Collection[date] = (), holidays: Collection[date] = ()
) -> DayPlan:
    """What a day should be. On a day that the town is `closed`, nothing is open, whatever the rule says."""
    version = version_on(versions, day)
    if version is None or day in closed:
        return DayPlan(day=day)
    rule = version.rule
    hours = hours_on(rule, day, is_holiday=day in holidays)
    return DayPlan(
        day=day,
        hours=hours,
        slot_min=rule.slot_min,
        places=rule.places,
        staff_only=rule.staff_only_places,
        kiosk=rule.kiosk_places,
    )


def without_closed(plan: DayPlan, counter: str, closed_times: Sequence[ClosedTime]) -> DayPlan:
    """A counter's day without the times in which it, or the whole town, is closed."""
    midnight = datetime.combine(plan.day, time(0), JST)
    whole_day = SlotTime(midnight, midnight + timedelta(minutes=DAY_MIN))
    todays = tuple(each for each in closed_times if is_closed(counter, whole_day, [each]))
    return msgspec.structs.replace(plan, closed_times=todays) if todays else plan


def slot_times(plan: DayPlan) -> list[SlotTime]:
    """The slots of a day: whole ones only, none reaching into a break, past closing or into a closed time."""
    found = sorted(slot for span in plan.hours for slot in _fill(plan.day, span, plan.slot_min))
    return [slot for slot in _without_overlaps(found) if not any(each.meets(slot) for each in plan.closed_times)]


def planned_slots(plan: DayPlan) -> list[PlannedSlot]:
    """The slots of a day at a counter, with their places."""
    times = slot_times(plan) if plan.places else []
    return [PlannedSlot(time, plan.places, plan.staff_only, plan.kiosk) for time in times]


def join_hours(hours: Sequence[Hours]) -> tuple[Hours, ...]:
    """Hours that touch or overlap become one: as a town pack may give them, in several rules."""
    joined: list[Hours] = []
    for span in sorted(hours):
        if joined and _minutes(span)[0] <= _minutes(joined[-1])[1]:
            longer = max(joined[-1], span, key=lambda each: _minutes(each)[1])
            joined[-1] = Hours(joined[-1].opens_at, longer.closes_at)
        else:
            joined.append(span)
    return tuple(joined)


def are_sound(hours: Sequence[Hours]) -> bool:
    """Whether hours follow one another in whole minutes, each ending after it begins."""
    spans = [_minutes(span) for span in hours]
    return (
        len(spans) <= HOURS_PER_DAY_MAX
        and all(at.second == at.microsecond == 0 for span in hours for at in (span.opens_at, span.closes_at))
        and all(start < end for start, end in spans)
        and all(end <= start for (_, end), (start, _) in pairwise(spans))
    )


def refuse_bad_rule(rule: OpeningRule) -> None:
    """Whether a rule can be kept at all.

    Raises:
        Refusal: `rule_unfit` (422).
    """
    weekdays = [each.weekday for each in rule.week]
    days = [special.day for special in rule.special_days]
    if not (
        SLOT_MIN_MIN <= rule.slot_min <= SLOT_MIN_MAX
        and rule.staff_only_places >= 0
        and rule.kiosk_places >= 0
        and rule.staff_only_places + rule.kiosk_places <= rule.places <= PLACES_MAX
        and len(set(weekdays)) == len(weekdays)
        and len(set(days)) == len(days) <= SPECIAL_DAYS_MAX
        and all(len(special.reason_ja) <= REASON_MAX_LENGTH for special in rule.special_days)
        and all(are_sound(each.hours) for each in rule.week)
        and all(are_sound(special.hours) for special in rule.special_days)
        and all(_is_pattern(each, rule) for each in rule.week)
    ):
        raise Refusal("rule_unfit", 422)


def refuse_bad_start(valid_from: date, *, today: date) -> None:
    """Whether a version can begin then: it is published ahead.

    Raises:
        Refusal: `rule_start_unfit` (422).
    """
    if not today < valid_from <= today + AHEAD_MAX:
        raise Refusal("rule_start_unfit", 422)


def is_rhythm(each: Rhythm, *, first_week: date | None) -> bool:
    """Whether weeks can be told by it: those that are counted have a first one."""
    return (
        1 <= each.every_weeks <= EVERY_WEEKS_MAX
        and (each.every_weeks == 1 or first_week is not None)
        and set(each.nth) <= {1, 2, 3, 4, 5}
    )


def comes_round(each: Rhythm, day: date, *, first_week: date | None) -> bool:
    """Whether a weekday's turn is on this day: of a counter's hours, and of a helper's."""
    if each.nth and (day.day - 1) // 7 + 1 not in each.nth:
        return False
    if each.every_weeks == 1 or first_week is None:
        return True
    weeks = (_monday(day) - _monday(first_week)).days // 7
    return weeks >= 0 and weeks % each.every_weeks == 0


def _is_pattern(each: WeekdayHours, rule: OpeningRule) -> bool:
    return 1 <= each.weekday <= 7 and is_rhythm(each, first_week=rule.first_week)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _minutes(span: Hours) -> tuple[int, int]:
    start = span.opens_at.hour * 60 + span.opens_at.minute
    return start, span.closes_at.hour * 60 + span.closes_at.minute or DAY_MIN


def _fill(day: date, span: Hours, slot_min: int) -> Iterator[SlotTime]:
    length = timedelta(minutes=slot_min)
    starts_at = datetime.combine(day, span.opens_at, JST)
    closing = datetime.combine(day, time(0), JST) + timedelta(minutes=_minutes(span)[1])
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
