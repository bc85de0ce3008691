"""Pure opening rules: weeks, months, special days, versions, and the form in which staff type them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest

from services.booking.domain.calendar import JST, days_between, is_year_end
from services.booking.domain.opening import (
    AHEAD_MAX,
    Hours,
    OpeningRule,
    SpecialDay,
    Version,
    WeekdayHours,
    join_hours,
    plan_day,
    refuse_bad_rule,
    refuse_bad_start,
    slot_times,
    version_on,
)
from services.booking.pages.rules_form import fields_of, parse_hours, parse_special_day, read_version, special_line
from services.booking.pages.rules_wording import week_lines
from services.booking.pages.wording import pattern_label
from shared.errors import Refusal
from shared.web.forms import Form

MORNING, AFTERNOON = Hours(time(9), time(12)), Hours(time(13), time(17))
MONDAY = date(2026, 6, 1)
TODAY = date(2026, 6, 3)


def make_rule(*week: WeekdayHours, **changes: object) -> OpeningRule:
    values: dict[str, object] = {"slot_min": 60, "places": 2, "staff_only_places": 0, "week": week}
    return OpeningRule(**{**values, **changes})  # type: ignore[arg-type]


def on(*weekdays: int, hours: tuple[Hours, ...] = (MORNING,), **pattern: object) -> tuple[WeekdayHours, ...]:
    return tuple(WeekdayHours(weekday=day, hours=hours, **pattern) for day in weekdays)  # type: ignore[arg-type]


def open_days(rule: OpeningRule, first: date, last: date, **off: Iterable[date]) -> list[str]:
    versions = [Version(valid_from=date(2020, 1, 1), rule=rule)]
    given = {name: set(days) for name, days in off.items()}
    return [f"{day:%m-%d}" for day in days_between(first, last) if plan_day(versions, day, **given).hours]


def starts(rule: OpeningRule, day: date) -> list[str]:
    plan = plan_day([Version(valid_from=day, rule=rule)], day)
    return [slot.starts_at.astimezone(JST).strftime("%H:%M") for slot in slot_times(plan)]


def test_only_whole_slots_and_none_into_a_break() -> None:
    hours = (Hours(time(8, 30), time(12)), Hours(time(13), time(17, 15)))
    rule = make_rule(*on(1, hours=hours))
    assert starts(rule, MONDAY) == ["08:30", "09:30", "10:30", "13:00", "14:00", "15:00", "16:00"]
    assert starts(rule, date(2026, 6, 2)) == []


def test_slots_until_midnight_stay_on_their_day() -> None:
    plan = plan_day([Version(valid_from=MONDAY, rule=make_rule(*on(1, hours=(Hours(time(22), time(0)),))))], MONDAY)
    slots = slot_times(plan)
    assert [slot.starts_at.astimezone(UTC).hour for slot in slots] == [13, 14]
    assert slots[-1].ends_at == datetime(2026, 6, 2, 0, 0, tzinfo=JST)


def test_overlapping_hours_make_no_overlapping_slots() -> None:
    hours = (MORNING, Hours(time(9, 15), time(12)))
    plan = plan_day([Version(valid_from=MONDAY, rule=make_rule(*on(1, hours=hours), slot_min=30))], MONDAY)
    slots = slot_times(plan)
    assert slots
    assert all(before.ends_at <= after.starts_at for before, after in pairwise(slots))


@pytest.mark.parametrize(
    ("hours", "joined"),
    [
        ((AFTERNOON, MORNING), (MORNING, AFTERNOON)),
        ((MORNING, Hours(time(12), time(13)), AFTERNOON), (Hours(time(9), time(17)),)),
        ((MORNING, Hours(time(10), time(11))), (MORNING,)),
        ((Hours(time(20), time(0)), Hours(time(21), time(22))), (Hours(time(20), time(0)),)),
    ],
)
def test_hours_that_touch_become_one(hours: tuple[Hours, ...], joined: tuple[Hours, ...]) -> None:
    assert join_hours(hours) == joined


@pytest.mark.parametrize(
    ("rule", "first", "last", "expected"),
    [
        # Every week over the end of a month, and over a leap day, which is a Tuesday in 2028.
        (make_rule(*on(1, 2)), date(2026, 6, 29), date(2026, 7, 7), ["06-29", "06-30", "07-06", "07-07"]),
        (make_rule(*on(2)), date(2028, 2, 22), date(2028, 3, 7), ["02-22", "02-29", "03-07"]),
        # Every second week from the week of a Wednesday: its Monday counts, what was before does not.
        (
            make_rule(*on(1, 5, every_weeks=2), first_week=date(2026, 6, 10)),
            date(2026, 5, 25), date(2026, 6, 30), ["06-08", "06-12", "06-22", "06-26"],
        ),
        # Over the turn of the year, where the numbers of the weeks begin again.
        (
            make_rule(*on(1, every_weeks=2), first_week=date(2026, 12, 14)),
            date(2026, 12, 14), date(2027, 1, 25), ["12-14", "12-28", "01-11", "01-25"],
        ),
        # The first and third Saturday; a fifth Monday is not in every month.
        (make_rule(*on(6, nth=(1, 3))), date(2026, 8, 1), date(2026, 8, 31), ["08-01", "08-15"]),
        (make_rule(*on(1, nth=(5,))), date(2026, 6, 1), date(2026, 8, 31), ["06-29", "08-31"]),
        # In February of a leap year the 29th is the fifth of its weekday.
        (make_rule(*on(2, nth=(5,))), date(2028, 2, 1), date(2028, 2, 29), ["02-29"]),
    ],
)  # fmt: skip
def test_patterns_over_the_ends_of_months_and_years(
    rule: OpeningRule, first: date, last: date, expected: list[str]
) -> None:
    assert open_days(rule, first, last) == expected


def test_the_first_day_of_the_year_is_closed_unless_it_is_named() -> None:
    turn = (date(2026, 12, 28), date(2027, 1, 5))
    holidays = {day for day in days_between(*turn) if is_year_end(day)}
    every_day = make_rule(*on(*range(1, 8)))
    assert open_days(every_day, *turn, holidays=holidays) == ["12-28", "01-04", "01-05"]
    named = SpecialDay(day=date(2027, 1, 1), hours=(MORNING,), reason_ja="臨時開庁")
    special = make_rule(*on(*range(1, 8)), special_days=(named,))
    assert open_days(special, *turn, holidays=holidays) == ["12-28", "01-01", "01-04", "01-05"]
    # What the town itself has closed stays closed.
    assert open_days(special, *turn, holidays=holidays, closed=[named.day]) == ["12-28", "01-04", "01-05"]


def test_a_special_day_is_closed_or_has_hours_of_its_own() -> None:
    rule = make_rule(
        *on(1),
        special_days=(
            SpecialDay(day=MONDAY, reason_ja="研修"),
            SpecialDay(day=date(2026, 6, 7), hours=(Hours(time(10), time(11)),), reason_ja="休日開庁"),
        ),
    )
    assert open_days(rule, date(2026, 6, 1), date(2026, 6, 8)) == ["06-07", "06-08"]
    assert starts(rule, date(2026, 6, 7)) == ["10:00"]


def test_the_newest_version_whose_day_has_come_counts_from_the_middle_of_a_week() -> None:
    old, new = make_rule(*on(1, 2, 3, 4, 5)), make_rule(*on(2, 4), slot_min=30)
    # Not in their order: the day counts, not the place.
    versions = [Version(valid_from=date(2026, 6, 3), rule=new), Version(valid_from=date(2026, 5, 1), rule=old)]
    found = [plan_day(versions, day) for day in days_between(date(2026, 6, 1), date(2026, 6, 5))]
    assert [plan.slot_min if plan.hours else 0 for plan in found] == [60, 60, 0, 30, 0]
    assert version_on(versions, date(2026, 4, 30)) is None
    assert not plan_day(versions, date(2026, 4, 30)).hours


def test_days_with_the_same_slots_have_the_same_fingerprint_and_others_another() -> None:
    def fingerprint(rule: OpeningRule, day: date = MONDAY) -> str:
        return plan_day([Version(valid_from=MONDAY, rule=rule)], day).fingerprint

    usual = make_rule(*on(1, 2))
    assert fingerprint(usual) == fingerprint(usual, date(2026, 6, 2))
    others = [
        make_rule(*on(2)),
        make_rule(*on(1), slot_min=30),
        make_rule(*on(1), places=3),
        make_rule(*on(1), staff_only_places=1),
        make_rule(*on(1), kiosk_places=1),
        make_rule(*on(1), staff_only_places=1, kiosk_places=1),
        make_rule(*on(1, hours=(MORNING, AFTERNOON))),
        make_rule(*on(1, hours=(Hours(time(9), time(12, 1)),))),
    ]
    assert len({fingerprint(rule) for rule in [usual, *others]}) == len(others) + 1


@pytest.mark.parametrize(
    "rule",
    [
        make_rule(*on(1), slot_min=4),
        make_rule(*on(1), slot_min=241),
        make_rule(*on(1), places=51),
        make_rule(*on(1), staff_only_places=3),
        make_rule(*on(1), staff_only_places=-1),
        make_rule(*on(1), kiosk_places=-1),
        make_rule(*on(1), kiosk_places=2, staff_only_places=1),
        make_rule(*on(0)),
        make_rule(*on(8)),
        make_rule(*on(1, 1)),
        make_rule(*on(1, hours=(Hours(time(12), time(9)),))),
        make_rule(*on(1, hours=(Hours(time(8, 30, 30), time(9)),))),
        make_rule(*on(1, hours=(Hours(time(8, 30), time(9, 0, 0, 1)),))),
        make_rule(*on(1, hours=(MORNING, Hours(time(11), time(13))))),
        make_rule(*on(1, every_weeks=2)),
        make_rule(*on(1, every_weeks=5), first_week=MONDAY),
        make_rule(*on(1, nth=(6,))),
        make_rule(special_days=(SpecialDay(day=MONDAY, reason_ja="あ" * 61),)),
        make_rule(special_days=(SpecialDay(day=MONDAY, reason_ja="1"), SpecialDay(day=MONDAY, reason_ja="2"))),
    ],
)
def test_what_cannot_be_kept_is_refused(rule: OpeningRule) -> None:
    with pytest.raises(Refusal, match="rule_unfit"):
        refuse_bad_rule(rule)


def test_a_version_begins_tomorrow_at_the_earliest() -> None:
    refuse_bad_start(date(2026, 6, 4), today=TODAY)
    refuse_bad_start(TODAY + AHEAD_MAX, today=TODAY)
    for day in (TODAY, date(2026, 6, 2), TODAY + AHEAD_MAX + timedelta(days=1)):
        with pytest.raises(Refusal, match="rule_start_unfit"):
            refuse_bad_start(day, today=TODAY)


@pytest.mark.parametrize(
    ("typed", "hours"),
    [
        ("", ()),
        ("9:00〜12:00", (MORNING,)),
        ("９：００～１２：００、１３：００ー１７：００", (MORNING, AFTERNOON)),
        ("09:00 - 12:00, 13:00-17:00", (MORNING, AFTERNOON)),
        ("20:00〜24:00", (Hours(time(20), time(0)),)),
        ("9:00", None),
        ("9〜12", None),
        ("12:00〜9:00", None),
        ("9:00〜12:00、11:00〜13:00", None),
        ("13:00〜17:00、9:00〜12:00", None),
        ("9:60〜12:00", None),
        ("25:00〜26:00", None),
        ("9:00〜9:00", None),
    ],
)
def test_hours_are_read_however_they_are_typed(typed: str, hours: tuple[Hours, ...] | None) -> None:
    assert parse_hours(typed) == hours


@pytest.mark.parametrize(
    ("typed", "special"),
    [
        ("2027-01-05 休み 棚卸し", SpecialDay(day=date(2027, 1, 5), reason_ja="棚卸し")),
        ("２０２７年１月５日　お休み　棚卸し", SpecialDay(day=date(2027, 1, 5), reason_ja="棚卸し")),
        (
            "2027/2/7 9:00〜12:00,13:00〜17:00 休日 開庁",
            SpecialDay(day=date(2027, 2, 7), hours=(MORNING, AFTERNOON), reason_ja="休日 開庁"),
        ),
        ("2027-02-30 休み 棚卸し", None),
        ("2027-01-05 休み", None),
        ("2027-01-05 9:00 棚卸し", None),
        ("1月5日 休み 棚卸し", None),
    ],
)
def test_a_special_day_is_read_from_its_line(typed: str, special: SpecialDay | None) -> None:
    assert parse_special_day(typed) == special
    if special is not None:
        assert parse_special_day(special_line(special)) == special


def test_what_the_form_shows_reads_back_as_the_same_rule() -> None:
    rule = make_rule(
        *on(1, 2, hours=(MORNING, AFTERNOON)),
        *on(3, every_weeks=2),
        *on(6, nth=(1, 3)),
        first_week=date(2026, 6, 10),
        staff_only_places=1,
        kiosk_places=1,
        special_days=(SpecialDay(day=date(2026, 7, 1), reason_ja="研修"),),
    )
    first = date(2026, 6, 10)
    form = Form(fields_of(rule, first=first))
    assert read_version(form, "counter", today=TODAY) == Version(valid_from=first, rule=rule), form.errors


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"valid_from_day": "3"}, {"valid_from"}),
        ({"hours_1": "朝から"}, {"hours_1"}),
        ({"pattern_1": "every9"}, {"pattern_1"}),
        ({"pattern_1": "every2"}, {"first_week"}),
        ({"slot_min": "0", "places": "0"}, {"slot_min", "places"}),
        ({"staff_only_places": "3"}, {"staff_only_places"}),
        ({"staff_only_places": "1", "kiosk_places": "2"}, {"kiosk_places"}),
        ({"special_days": "あした 休み 研修"}, {"special_days"}),
        ({"special_days": "2026-07-01 休み 研修\n2026-07-01 休み 点検"}, {"special_days"}),
    ],
)
def test_what_is_wrong_is_told_at_its_field(changed: dict[str, str], wrong: set[str]) -> None:
    form = Form(fields_of(make_rule(*on(1)), first=date(2026, 6, 10)) | changed)
    assert read_version(form, "counter", today=TODAY) is None
    assert set(form.errors) == wrong


def test_a_week_is_read_in_as_few_lines_as_can_be() -> None:
    rule = make_rule(*on(1, 2, hours=(MORNING, AFTERNOON)), *on(6, nth=(2,)))
    assert week_lines(rule) == [
        {"days": "月・火", "pattern": "", "hours": "9:00〜12:00、13:00〜17:00"},
        {"days": "土曜日", "pattern": "毎月 第2", "hours": "9:00〜12:00"},
    ]
    assert [pattern_label(pattern) for pattern in ("every1", "every2", "nth13")] == [
        "毎週",
        "2週に1回",
        "毎月 第1・第3",
    ]
