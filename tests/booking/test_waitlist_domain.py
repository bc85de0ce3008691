"""Which times somebody waits for, and until when one is kept for them."""

from datetime import date, datetime, timedelta

import pytest

from services.booking.domain.rules import JST
from services.booking.domain.waitlist import (
    NIGHT_FROM,
    NIGHT_TO,
    WEEKDAYS,
    Window,
    check_window,
    kept_until,
)
from services.notifications.domain.quiet_hours import QUIET_FROM, QUIET_TO
from shared.errors import Refusal

TODAY, OWN_DAY = date(2026, 6, 1), date(2026, 6, 12)


def make_window(**changes: object) -> Window:
    values: dict[str, object] = {
        "first_day": date(2026, 6, 2),
        "last_day": date(2026, 6, 9),
        "weekdays": WEEKDAYS,
        "part": "any",
        "counter": None,
    }
    return Window(**{**values, **changes})  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=JST)


@pytest.mark.parametrize(
    ("changes", "counter", "when", "fits"),
    [
        ({}, "7", "2026-06-02T08:30", True),
        ({}, "7", "2026-06-09T16:30", True),
        ({}, "7", "2026-06-01T16:30", False),
        ({}, "7", "2026-06-10T08:30", False),
        ({"counter": "7"}, "7", "2026-06-02T08:30", True),
        ({"counter": "3"}, "7", "2026-06-02T08:30", False),
        ({"weekdays": (2,)}, "7", "2026-06-02T08:30", True),
        ({"weekdays": (1, 3)}, "7", "2026-06-02T08:30", False),
        ({"part": "morning"}, "7", "2026-06-02T11:59", True),
        ({"part": "morning"}, "7", "2026-06-02T12:00", False),
        ({"part": "afternoon"}, "7", "2026-06-02T12:00", True),
        ({"part": "afternoon"}, "7", "2026-06-02T11:59", False),
    ],
)
def test_a_window_says_which_times(changes: dict[str, object], counter: str, when: str, fits: bool) -> None:
    assert make_window(**changes).fits(counter, at(when)) is fits


@pytest.mark.parametrize(
    ("made", "until"),
    [
        ("2026-06-01T08:00", "2026-06-01T08:30"),
        ("2026-06-01T20:30", "2026-06-01T21:00"),
        # It would reach into the night.
        ("2026-06-01T20:31", "2026-06-02T09:00"),
        ("2026-06-01T21:00", "2026-06-02T09:00"),
        ("2026-06-01T23:50", "2026-06-02T09:00"),
        ("2026-06-02T00:00", "2026-06-02T09:00"),
        ("2026-06-02T07:59", "2026-06-02T09:00"),
    ],
)
def test_a_place_is_kept_for_half_an_hour_and_over_the_night(made: str, until: str) -> None:
    assert kept_until(at(made)) == at(until)


def test_the_night_is_when_nobody_is_written_to() -> None:
    """Two services that know nothing of each other: whoever changes the one hears of the other here."""
    assert (NIGHT_FROM, NIGHT_TO) == (QUIET_FROM, QUIET_TO)


@pytest.mark.parametrize(
    "changes",
    [
        {"last_day": date(2026, 6, 1)},
        {"first_day": date(2026, 5, 1), "last_day": date(2026, 5, 31)},
        {"last_day": OWN_DAY + timedelta(days=1)},
        {"weekdays": ()},
        {"weekdays": (0,)},
        {"weekdays": (8,)},
    ],
)
def test_what_nobody_can_wait_for(changes: dict[str, object]) -> None:
    with pytest.raises(Refusal, match="waiting_window"):
        check_window(make_window(**changes), own_day=OWN_DAY, today=TODAY)


def test_the_last_day_may_be_their_own_or_today() -> None:
    check_window(make_window(last_day=OWN_DAY), own_day=OWN_DAY, today=TODAY)
    check_window(make_window(first_day=TODAY, last_day=TODAY), own_day=TODAY, today=TODAY)
