"""When each is called, if everybody takes as long as is said: one or several who serve, breaks, and the day's end."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.booking.domain.waits import Taking, Turn, forecast_calls, lamp_of, mean_minutes, told_min
from shared.clock import JST

TEN = datetime(2026, 6, 1, 10, 0, tzinfo=JST)


def after(minutes: float) -> datetime:
    return TEN + timedelta(minutes=minutes)


def turn(name: str, minutes: float, not_before: float | None = None) -> Turn:
    at = None if not_before is None else after(not_before)
    return Turn(appointment_id=UUID(bytes=name.encode().ljust(16, b"\0")), minutes=minutes, not_before=at)


def taking(since: float, minutes: float) -> Taking:
    return Taking(since=after(since), minutes=minutes)


def calls(
    here: list[Taking], line: list[Turn], *, staff: int = 1, spans: list[tuple[float, float]] | None = None
) -> str:
    open_spans = [(after(start), after(end)) for start, end in spans or []]
    called = forecast_calls(here, line, staff=staff, open_spans=open_spans, now=TEN)
    return " ".join(
        f"{each.appointment_id.bytes.rstrip(bytes(1)).decode()}{(at - TEN).total_seconds() / 60:g}"
        for each, at in called
        if each.appointment_id is not None
    )


@pytest.mark.parametrize(
    ("here", "line", "staff", "expected"),
    [
        ([], [], 1, ""),
        ([], [turn("a", 10), turn("b", 5), turn("c", 5)], 1, "a0 b10 c15"),
        ([], [turn("a", 10), turn("b", 5), turn("c", 5)], 2, "a0 b0 c5"),
        # Who is served is done when they should be; whoever takes longer, after a quarter of it.
        ([taking(-4, 10)], [turn("a", 10)], 1, "a6"),
        ([taking(-60, 20)], [turn("a", 10)], 1, "a5"),
        ([taking(-4, 10)], [turn("a", 10)], 2, "a0"),
        # Whoever is called while the only one who serves is busy is before them.
        ([taking(0, 10), taking(0, 20)], [turn("a", 10)], 1, "a30"),
        ([taking(-1, 10), taking(0, 5), taking(0, 7)], [turn("a", 10), turn("b", 1)], 2, "a9 b12"),
        # Where nobody serves, nobody can say.
        ([], [turn("a", 10)], 0, ""),
        # Who booked is called at their time, before those who wait, and never before.
        ([], [turn("w", 10), turn("v", 10), turn("b", 10, 5)], 1, "w0 b10 v20"),
        ([], [turn("b", 10, 5)], 1, "b5"),
        ([], [turn("w", 2), turn("b", 10, 5), turn("v", 2)], 1, "w0 v2 b5"),
        ([], [turn("c", 5, 30), turn("b", 5, 20)], 1, "b20 c30"),
    ],
)
def test_each_is_called_when_somebody_is_free(here: list[Taking], line: list[Turn], staff: int, expected: str) -> None:
    assert calls(here, line, staff=staff) == expected


def test_nobody_is_called_before_opening_or_in_a_break_and_all_are_served_at_the_end() -> None:
    line = [turn(name, 20) for name in "abcde"]
    assert calls([], line, spans=[(10, 40), (100, 130)]) == "a10 b30 c100 d120 e140"


@pytest.mark.parametrize(("minutes", "told"), [(-3, 0), (0, 0), (0.1, 5), (5, 5), (5.1, 10), (61, 65)])
def test_a_wait_is_told_in_steps_of_five_minutes(minutes: float, told: int) -> None:
    assert told_min(timedelta(minutes=minutes)) == told


@pytest.mark.parametrize(("wait", "lamp"), [(0, "quiet"), (15, "quiet"), (16, "busy"), (30, "busy"), (31, "full")])
def test_the_lamp_is_measured_by_the_towns_promise(wait: int, lamp: str) -> None:
    assert lamp_of(wait, 30) == lamp


def test_what_today_took_counts_more_and_more() -> None:
    assert mean_minutes(30, []) == 30
    assert mean_minutes(30, [10, 10, 10]) == 20
    assert mean_minutes(30, [10] * 27) == 12
    assert mean_minutes(0, []) == 1
