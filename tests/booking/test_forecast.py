"""What is expected of the days to come: the weekday's median, the end of the month, and how sure it is."""

from datetime import date, timedelta

from services.booking.domain.forecast import HISTORY_DAYS, forecast, is_month_end, month_end_factor

# A Monday.
TODAY = date(2026, 6, 1)


def weekdays(people: dict[int, int], *, weeks: int, today: date = TODAY) -> dict[date, int]:
    """So many people on each of these weekdays (0: Monday), of the weeks before today."""
    days = [today - timedelta(days=number) for number in range(1, weeks * 7 + 1)]
    return {day: people[day.weekday()] for day in days if day.weekday() in people}


def test_a_day_is_expected_as_the_median_of_its_weekday() -> None:
    # That of four weeks before the first was the end of a month.
    history = {TODAY - timedelta(weeks=number): people for number, people in enumerate((10, 30, 12, 99, 14), start=2)}
    (monday, tuesday) = forecast(history, [date(2026, 6, 8), date(2026, 6, 9)], today=TODAY)
    assert (monday.people, monday.low, monday.high, monday.days, monday.sureness) == (13, 10, 30, 4, "rough")
    assert (tuesday.people, tuesday.days, tuesday.sureness) == (None, 0, "none")


def test_how_sure_it_is_depends_on_the_days() -> None:
    # Wednesdays that are no end of a month.
    before = [date(2026, 5, 20) - timedelta(weeks=number) for number in range(7)]
    usual = [day for day in before if not is_month_end(day)]
    for days, expected in ((0, "none"), (1, "guess"), (2, "guess"), (3, "rough"), (5, "rough"), (6, "sure")):
        found = forecast(dict.fromkeys(usual[:days], 10), [date(2026, 6, 3)], today=TODAY)[0]
        assert (found.days, found.sureness) == (days, expected)


def test_only_the_last_weeks_count_and_never_today() -> None:
    history = {TODAY: 99, TODAY - timedelta(weeks=2): 10, TODAY - timedelta(weeks=9): 1}
    assert forecast(history, [date(2026, 6, 8)], today=TODAY)[0].people == 10


def test_the_last_five_days_of_a_month_are_its_end() -> None:
    assert [day for day in range(1, 29) if is_month_end(date(2026, 2, day))] == [24, 25, 26, 27, 28]
    assert [day for day in range(1, 32) if is_month_end(date(2026, 12, day))] == [27, 28, 29, 30, 31]
    assert not is_month_end(date(2028, 2, 24))
    assert is_month_end(date(2028, 2, 29))


def test_the_end_of_a_month_has_its_own_factor() -> None:
    plain = weekdays(dict.fromkeys(range(5), 20), weeks=20)
    history = {day: people * 3 if is_month_end(day) else people for day, people in plain.items()}
    assert month_end_factor(history) == 3
    end, before = forecast(history, [date(2026, 6, 30), date(2026, 6, 23)], today=TODAY)
    assert (end.people, end.factor) == (60, 3)
    assert (before.people, before.factor) == (20, 1)


def test_too_few_ends_of_months_are_no_factor() -> None:
    history = {date(2026, 5, 27): 90, date(2026, 5, 20): 30, date(2026, 5, 28): 90, date(2026, 5, 21): 30}
    assert month_end_factor(history) == 1
    assert month_end_factor(history | {date(2026, 5, 29): 60, date(2026, 5, 22): 30}) == 3
    assert month_end_factor({}) == 1


def test_what_is_long_ago_does_not_count() -> None:
    old = {TODAY - timedelta(days=HISTORY_DAYS + 1 + number): 50 for number in range(30)}
    assert forecast(old, [date(2026, 6, 8)], today=TODAY)[0].people is None
