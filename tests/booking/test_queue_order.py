"""Whose turn it is: the rules one by one, and what holds whatever the rules and whoever waits."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.booking.domain.closings import ClosedTime
from services.booking.domain.opening import DayPlan, Hours
from services.booking.domain.queue import Waiting, lane_of, open_spans, order_line, tickets_now
from shared.clock import JST
from shared.town_pack import QueueRules

TEN = datetime(2026, 6, 1, 10, 0, tzinfo=JST)
RULES = QueueRules()


def at(clock: str) -> datetime:
    hour, minute = clock.split(":")
    return TEN.replace(hour=int(hour), minute=int(minute))


def booked(name: str, starts: str, came: str, **changes: Any) -> Waiting:
    return _waiting(name, "booked", at(starts), at(came), **changes)


def walk_in(name: str, came: str, **changes: Any) -> Waiting:
    return _waiting(name, "walk_in", at(came), at(came), **changes)


def _waiting(name: str, kind: Any, starts_at: datetime, queued_at: datetime, **changes: Any) -> Waiting:
    plain = Waiting(
        appointment_id=UUID(bytes=name.encode().ljust(16, b"\0")),
        kind=kind,
        starts_at=starts_at,
        queued_at=queued_at,
        ticket_no=1,
        is_preferred=False,
        is_parked=False,
    )
    return msgspec.structs.replace(plain, **changes)


def names(line: list[Waiting]) -> str:
    return " ".join(each.appointment_id.bytes.rstrip(b"\0").decode() for each in line)


ORDERS = [
    # Whoever booked, at their time, before those who walked in; before it, after them.
    ([walk_in("w", "9:00"), booked("b", "10:00", "9:50")], {}, "b w"),
    ([walk_in("w", "9:00"), booked("b", "10:01", "9:50")], {}, "w b"),
    # By their times, not by when they came; those without one, by when they came.
    ([booked("b", "9:50", "9:30"), booked("a", "9:40", "9:45")], {}, "a b"),
    ([walk_in("b", "9:30"), walk_in("a", "9:20")], {}, "a b"),
    ([walk_in("b", "9:30", ticket_no=2), walk_in("a", "9:30", ticket_no=1)], {}, "a b"),
    # To the minute still in time; later, after those whose time it is, and before those who walked in.
    ([booked("l", "9:20", "9:30"), booked("b", "9:40", "9:40")], {}, "l b"),
    ([booked("l", "9:20", "9:31"), booked("b", "9:40", "9:40"), walk_in("w", "9:00")], {}, "b l w"),
    ([booked("l", "9:20", "9:31"), walk_in("w", "9:30"), walk_in("v", "9:35")], {"late": "last"}, "w l v"),
    ([booked("l", "9:20", "9:21"), walk_in("w", "9:00")], {"late_min": 0, "late": "last"}, "w l"),
    # First of all, or first of those who walked in.
    ([booked("b", "10:00", "9:50"), walk_in("w", "9:00"), walk_in("p", "9:55", is_preferred=True)], {}, "p b w"),
    (
        [booked("b", "10:00", "9:50"), walk_in("w", "9:00"), walk_in("p", "9:55", is_preferred=True)],
        {"preferred": "walk_in"},
        "b p w",
    ),
    ([booked("p", "11:00", "9:50", is_preferred=True), walk_in("w", "9:00")], {"preferred": "walk_in"}, "p w"),
    # Somebody who walked in is called all the same.
    (
        [*(booked(name, "9:30", "9:20") for name in "abcd"), walk_in("v", "9:00"), walk_in("w", "9:10")],
        {"booked_in_a_row": 2},
        "a b v c d w",
    ),
    ([booked("a", "9:30", "9:20"), booked("b", "9:30", "9:20"), walk_in("w", "9:00")], {"booked_in_a_row": 1}, "a w b"),
    # Who is parked comes last, whatever else they are.
    ([walk_in("k", "8:30", is_parked=True, is_preferred=True), booked("b", "11:00", "9:00")], {}, "b k"),
]


@pytest.mark.parametrize(("waiting", "rules", "expected"), ORDERS)
def test_the_line_is_ordered_by_the_towns_rules(waiting: list[Waiting], rules: dict[str, Any], expected: str) -> None:
    line = order_line(waiting, msgspec.structs.replace(RULES, **rules), now=TEN)
    assert names(line) == expected
    assert names(order_line(reversed(waiting), msgspec.structs.replace(RULES, **rules), now=TEN)) == expected


def test_who_was_called_before_counts() -> None:
    people = [booked("a", "9:30", "9:20"), booked("b", "9:31", "9:20"), walk_in("w", "9:00")]
    rules = QueueRules(booked_in_a_row=3)
    assert names(order_line(people, rules, booked_in_a_row=2, now=TEN)) == "a w b"
    assert names(order_line(people, rules, booked_in_a_row=3, now=TEN)) == "w a b"
    assert names(order_line(people, QueueRules(), booked_in_a_row=9, now=TEN)) == "a b w"


MINUTES = st.integers(-90, 30).map(lambda minutes: TEN + timedelta(minutes=minutes))
PEOPLE = st.lists(
    st.builds(
        Waiting,
        appointment_id=st.uuids(),
        kind=st.sampled_from(["booked", "walk_in"]),
        starts_at=MINUTES,
        queued_at=st.integers(-90, 0).map(lambda minutes: TEN + timedelta(minutes=minutes)),
        ticket_no=st.integers(1, 99),
        is_preferred=st.booleans(),
        is_parked=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda each: each.appointment_id,
)
ALL_RULES = st.builds(
    QueueRules,
    late_min=st.integers(0, 30),
    late=st.sampled_from(["next", "last"]),
    booked_in_a_row=st.integers(0, 4),
    preferred=st.sampled_from(["first", "walk_in"]),
)


@given(people=PEOPLE, rules=ALL_RULES, before=st.integers(0, 5))
def test_everybody_has_one_place(people: list[Waiting], rules: QueueRules, before: int) -> None:
    line = order_line(people, rules, booked_in_a_row=before, now=TEN)
    assert sorted(each.appointment_id for each in line) == sorted(each.appointment_id for each in people)
    parked = [each.is_parked for each in line]
    assert parked == sorted(parked)


@given(people=PEOPLE, rules=ALL_RULES, before=st.integers(0, 5))
def test_nobody_is_overtaken_without_a_rule(people: list[Waiting], rules: QueueRules, before: int) -> None:
    """Whoever came later is called earlier for a reason only: they are preferred, they have a time, or the other's is
    still to come; or enough of those with a time were called in a row."""
    line = order_line(people, rules, booked_in_a_row=before, now=TEN)
    for place, first in enumerate(line):
        for second in line[place + 1 :]:
            if first.queued_at <= second.queued_at or second.is_parked:
                continue
            lanes = lane_of(first, rules, now=TEN), lane_of(second, rules, now=TEN)
            reasons = (
                first.is_preferred,
                lanes[0] in ("due", "late") and lanes[1] in ("walk_in", "late", "early"),
                lanes[0] == lanes[1] and lanes[0] in ("due", "early") and first.starts_at <= second.starts_at,
                lanes[1] == "early" and first.queued_at > second.queued_at,
                lanes[0] == "walk_in" and lanes[1] in ("due", "late") and rules.booked_in_a_row > 0,
            )
            assert any(reasons), (first, second)


@given(people=PEOPLE, rules=ALL_RULES, before=st.integers(0, 5))
def test_nobody_who_walked_in_starves(people: list[Waiting], rules: QueueRules, before: int) -> None:
    """While somebody without a time waits, no more of those with one are called in a row than the town allows."""
    if rules.booked_in_a_row == 0:
        return
    lanes = [lane_of(each, rules, now=TEN) for each in order_line(people, rules, booked_in_a_row=before, now=TEN)]
    last = max((place for place, lane in enumerate(lanes) if lane == "walk_in"), default=-1)
    in_a_row = 0
    for lane in lanes[: last + 1]:
        in_a_row = in_a_row + 1 if lane in ("due", "late") else 0
        assert in_a_row <= rules.booked_in_a_row


WEEKDAY = DayPlan(
    day=date(2026, 6, 1), hours=(Hours(time(8, 30), time(12)), Hours(time(13), time(17, 15))), slot_min=30, places=2
)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("0:00", "not_yet"),
        ("7:59", "not_yet"),
        ("8:00", "given"),
        ("8:30", "given"),
        ("12:00", "given"),
        ("12:59", "given"),
        ("16:59", "given"),
        ("17:00", "over"),
        ("17:15", "over"),
        ("23:59", "over"),
    ],
)
def test_tickets_are_given_from_before_opening_through_lunch_until_before_closing(clock: str, expected: str) -> None:
    assert tickets_now(WEEKDAY, RULES, now=at(clock)) == expected


def test_a_closing_shortens_the_day_and_an_open_night_ends_at_midnight() -> None:
    closed = ClosedTime(counter=None, starts_at=at("15:00"), ends_at=at("23:59"))
    short = msgspec.structs.replace(WEEKDAY, closed_times=(closed,))
    assert open_spans(short) == [(at("8:30"), at("12:00")), (at("13:00"), at("15:00"))]
    assert tickets_now(short, RULES, now=at("14:45")) == "over"
    whole = msgspec.structs.replace(WEEKDAY, closed_times=(msgspec.structs.replace(closed, starts_at=at("8:00")),))
    assert tickets_now(whole, RULES, now=at("9:00")) == "none_today"
    night = msgspec.structs.replace(WEEKDAY, hours=(Hours(time(17), time(0)),))
    assert open_spans(night) == [(at("17:00"), at("0:00") + timedelta(days=1))]
    assert tickets_now(night, RULES, now=at("23:44")) == "given"
    assert tickets_now(night, RULES, now=at("23:45")) == "over"
    assert tickets_now(DayPlan(day=date(2026, 12, 29)), RULES, now=datetime(2026, 12, 29, 1, tzinfo=UTC)) == (
        "none_today"
    )
