"""What of the counts is published: nothing tells a small one, for whoever knows the rules and kept earlier states."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain.quality import (
    BOUNDS_MIN,
    FEWEST,
    Line,
    finished_months,
    fiscal_year,
    is_over,
    median_bound,
    months_of,
    publish_at_once,
    publish_in_turn,
    tells,
)
from services.routing.domain.quality_published import Count, publish
from services.routing.pages.quality_data import rows_of

COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=12)


def seen_in_turn(counts: tuple[int, ...], *, with_total: bool = True) -> Any:
    """What everybody sees of months: which are shown, which are hidden, and the total."""
    line = publish_in_turn(dict(enumerate(counts)), range(len(counts)), with_total=with_total)
    return (tuple(sorted(line.shown.items())), tuple(sorted(line.hidden)), line.total)


def seen_at_once(counts: tuple[int, ...]) -> Any:
    """What everybody sees of procedures: which are shown, and what the others come to. Zeros are with the others."""
    line = publish_at_once(dict(enumerate(counts)), is_total_known=sum(counts) == 0 or sum(counts) >= FEWEST)
    return (tuple(sorted(line.shown.items())), line.rest)


def told(seen: Callable[[tuple[int, ...]], Any], worlds: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The worlds in which somebody who knows the rules can tell a small count for sure."""
    alike: dict[Any, list[tuple[int, ...]]] = defaultdict(list)
    for world in worlds:
        alike[seen(world)].append(world)
    return [
        world
        for group in alike.values()
        for counts in zip(*group, strict=True)
        if len(set(counts)) == 1 and 0 < counts[0] < FEWEST
        for world in group
    ]


@pytest.mark.parametrize(
    ("seen", "parts"), [(seen_in_turn, 2), (seen_in_turn, 3), (seen_at_once, 2), (seen_at_once, 3)]
)
def test_no_small_count_can_be_told_in_any_small_town(seen: Callable[[tuple[int, ...]], Any], parts: int) -> None:
    """All there can be, and the rules known. Seen to fail with primary suppression alone (`tells` always false)."""
    most = 3 * FEWEST + 1
    worlds = list(product(range(most), repeat=parts))
    # At the edge of what is tried there are fewer worlds that look alike than there are.
    inner = [world for world in told(seen, worlds) if sum(world) < most - 1]
    assert inner == []


@given(COUNTS, st.booleans())
def test_hidden_counts_are_never_told_by_their_sum(counts: list[int], with_total: bool) -> None:
    months = publish_in_turn(dict(enumerate(counts)), range(len(counts)), with_total=with_total)
    at_once = publish_at_once(dict(enumerate(counts)), is_total_known=months.total is not None)
    for line in (months, at_once):
        assert all(count == 0 or count >= FEWEST for count in line.shown.values())
        assert all(counts[key] for key in line.hidden)
        assert set(line.shown) | set(line.hidden) >= {key for key, count in enumerate(counts) if count}
        assert not set(line.shown) & set(line.hidden)
    hidden = [counts[key] for key in months.hidden]
    assert months.total in (None, sum(counts))
    if months.total is not None and hidden:
        assert len(hidden) >= 2
        assert sum(hidden) - (len(hidden) - 1) >= FEWEST, "each could be none of the small ones"
        assert at_once.rest is not None
        assert sum(at_once.shown.values()) + at_once.rest == sum(counts)
    if months.total is None:
        assert at_once.shown == {}
        assert at_once.rest is None


@given(COUNTS)
def test_what_was_published_of_a_month_is_never_taken_back(counts: list[int]) -> None:
    """Who kept each state of the page has nothing but the last one. Seen to fail with months hidden by their size."""
    whole = dict(enumerate(counts))
    last = publish_in_turn(whole, range(len(counts)), with_total=True)
    for length in range(len(counts)):
        earlier = publish_in_turn(whole, range(length), with_total=False)
        assert earlier.total is None
        assert earlier.shown == {key: count for key, count in last.shown.items() if key < length}
        assert earlier.hidden == {key for key in last.hidden if key < length}


def test_one_month_hides_another_and_two_that_are_at_their_most_a_third() -> None:
    line = publish_in_turn({0: 3, 1: 9, 2: 20}, range(3), with_total=True)
    assert line == Line(shown={2: 20}, hidden=frozenset({0, 1}), rest=12)
    assert publish_in_turn({0: 20, 1: 3}, range(2), with_total=True).total is None, "it comes too late to hide another"
    assert tells([4, 4])
    assert tells([1, 1])
    assert not tells([4, 3])
    assert not tells([])


def seen_of_opinions(world: tuple[int, ...]) -> Any:
    """What everybody sees of two months: who found it easy and hard, whom it served and whom not."""
    kinds = ("easy", "hard", "worked", "not_worked")
    counts = [
        opinion(month, people, kind)
        for month, said in zip(months_of(2026), (world[:4], world[4:]), strict=False)
        for kind, people in zip(kinds, said, strict=True)
        if people
    ]
    return tuple(
        (line.kind, tuple(line.months.shown.items()), line.months.hidden, line.months.total)
        for line in publish(counts, months_of(2026)[:2], with_total=True)
    )


def test_no_small_count_of_one_question_can_be_told_from_the_other() -> None:
    """Whoever says something answers both. Seen to fail with each kind hidden by itself."""
    most = FEWEST + 2
    pairs = [pair for pair in product(range(most + 1), repeat=2) if sum(pair) <= most]
    worlds = []
    for easy, hard, worked in product(pairs, repeat=3):
        rest = tuple(a + b - c for a, b, c in zip(easy, hard, worked, strict=True))
        if min(rest) >= 0 and sum(rest) <= most:
            worlds.append(tuple(each[month] for month in (0, 1) for each in (easy, hard, worked, rest)))
    # At the edge of what is tried there are fewer worlds that look alike than there are.
    inner = [world for world in told(seen_of_opinions, worlds) if all(world[i] + world[i + 4] < most for i in range(4))]
    assert inner == []


def test_of_opinions_all_are_hidden_with_one() -> None:
    """12 + 6 + 1 = 14 + 5: the one is told by the others. Seen to fail with each kind hidden by itself."""
    april, may = months_of(2026)[:2]
    said = {"easy": 12, "fair": 6, "hard": 1, "worked": 14, "not_worked": 5}
    counts = [opinion(april, people, kind) for kind, people in said.items()]
    counts += [opinion(may, 30, kind) for kind in said]
    lines = publish(counts, [april, may], with_total=True)
    assert [line.kind for line in lines] == list(said)
    for line in lines:
        assert line.months == Line(shown={}, hidden=frozenset({april, may}), rest=said[line.kind] + 30)


def test_procedures_are_hidden_in_all_opinions() -> None:
    """The same at the end of the year. Seen to fail with each kind hidden by itself."""
    [april] = months_of(2026)[:1]
    said = {
        "easy": (12, 20, 8),
        "fair": (6, 20, 8),
        "hard": (1, 20, 8),
        "worked": (14, 30, 14),
        "not_worked": (5, 30, 10),
    }
    counts = [
        opinion(april, people, kind, procedure=f"CHI0{place}")
        for kind, by_procedure in said.items()
        for place, people in enumerate(by_procedure)
    ]
    for line in publish(counts, [april], with_total=True):
        first, second, third = said[line.kind]
        assert line.procedures == Line(
            shown={"CHI01": second}, hidden=frozenset({"CHI00", "CHI02"}), rest=first + third
        )
        assert line.months.total == first + second + third


def opinion(month: date, people: int, kind: str, **changes: Any) -> Count:
    return count(month, people, kind=kind, took_min=0, **changes)


def count(month: date, people: int, **changes: Any) -> Count:
    values: dict[str, Any] = {
        "month": month, "procedure": "CHI02", "channel": "online", "kind": "finished", "to_channel": "", "step": "",
        "took_min": 60, "people": people, "amount": 0,
    }  # fmt: skip
    return Count(**(values | changes))


def test_a_year_shows_months_first_and_procedures_when_it_is_over() -> None:
    april, may, june = months_of(2026)[:3]
    counts = [count(april, 9), count(may, 3), count(may, 4, procedure="CHI03"), count(june, 12, took_min=30)]
    [running] = publish(counts, [april, may, june], with_total=False)
    assert running.months.shown == {april: 9, may: 7, june: 12}
    assert running.months.total is None
    assert running.procedures.shown == {}
    assert running.took_by_month == {april: 60, may: 60, june: 30}
    [over] = publish(counts, [april, may, june], with_total=True)
    assert over.months.total == 28
    assert over.procedures == Line(shown={}, hidden=frozenset({"CHI02", "CHI03"}), rest=28), "one would tell the other"
    assert over.took == 60


def test_items_are_told_of_months_with_many_people_only() -> None:
    """Twenty items may be one person's."""
    april, may = months_of(2026)[:2]
    counts = [
        count(april, 1, kind="spared", amount=20, took_min=0),
        count(may, 6, kind="spared", amount=13, took_min=0),
    ]
    [spared] = publish(counts, [april, may], with_total=True)
    assert spared.items_by_month == {}
    [spared] = publish(counts[1:], [april, may], with_total=True)
    assert spared.items_by_month == {may: 13}
    assert [row.items for row in rows_of(2026, spared) if row.month] == [None, 13]


def test_a_switch_says_where_to_and_from_which_step() -> None:
    [april] = months_of(2026)[:1]
    moved = {"kind": "switched", "took_min": 0, "to_channel": "counter"}
    counts = [count(april, 7, step="opened", **moved), count(april, 6, step="told", **moved)]
    [switched] = publish(counts, [april], with_total=True)
    assert switched.moves.shown == {("counter", "opened"): 7, ("counter", "told"): 6}
    rows = [(row.to_channel, row.step, row.people) for row in rows_of(2026, switched) if row.to_channel]
    assert rows == [("counter", "opened", 7), ("counter", "told", 6)]


@pytest.mark.parametrize(
    ("day", "year"), [(date(2027, 3, 31), 2026), (date(2027, 4, 1), 2027), (date(2026, 12, 31), 2026)]
)
def test_a_year_of_the_town_begins_in_april(day: date, year: int) -> None:
    assert fiscal_year(day) == year
    assert day.replace(day=1) in months_of(year)
    assert [first.month for first in months_of(year)] == [4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3]


def test_a_month_is_published_when_it_is_over() -> None:
    assert finished_months(2026, date(2026, 4, 30)) == []
    assert finished_months(2026, date(2026, 5, 1)) == [date(2026, 4, 1)]
    assert not is_over(2026, date(2027, 3, 31))
    assert is_over(2026, date(2027, 4, 1))
    assert finished_months(2026, date(2027, 4, 1)) == months_of(2026)


@pytest.mark.parametrize(
    ("times", "bound"),
    [({5: 4}, None), ({5: 5}, 5), ({5: 3, 60: 3}, 5), ({5: 2, 60: 3}, 60), ({60: 5, 5: 1, 1_440: 5}, 60), ({}, None)],
)
def test_half_of_the_people_stayed_within_a_time(times: dict[int, int], bound: int | None) -> None:
    assert median_bound(times) == bound
    assert list(BOUNDS_MIN) == sorted(BOUNDS_MIN)
