"""What is nearest to a time that is gone: in time, then in place."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.booking.domain.alternatives import Nearness, Spot, building_of, how_near, list_nearest

NOON = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
HALL, ANNEX = "町役場", "別館"


def spot(minutes: int, counter: str = "7", building: str = HALL) -> Spot:
    slot_id = UUID(int=(minutes + 10_000) * 100 + int(counter))
    return Spot(slot_id=slot_id, counter=counter, building=building, starts_at=NOON + timedelta(minutes=minutes))


WANTED = spot(0)


@pytest.mark.parametrize(
    ("counter", "kind", "place", "building"),
    [
        ("7", "counter", "町役場 2階 7番", "町役場"),
        ("7", "counter", "町役場　2階", "町役場"),
        ("7", "counter", "", ""),
        ("HALL", "venue", "町民センター 2階", "venue HALL"),
        ("SHED", "venue", "町民センター 2階", "venue SHED"),
    ],
)
def test_the_building_is_the_first_word_of_a_place_and_a_venue_is_its_own(
    counter: str, kind: str, place: str, building: str
) -> None:
    assert building_of(counter, kind, place) == building


@pytest.mark.parametrize(
    ("other", "near"),
    [
        (spot(30), "same_counter"),
        (spot(30, "7", ANNEX), "same_counter"),
        (spot(30, "3"), "same_building"),
        (spot(30, "3", ANNEX), "elsewhere"),
        (spot(30, "3", ""), "elsewhere"),
    ],
)
def test_how_near_a_place_is(other: Spot, near: Nearness) -> None:
    assert how_near(WANTED, other) == near
    assert how_near(spot(0, building=""), spot(30, "3", "")) == "elsewhere"


@pytest.mark.parametrize(
    ("free", "order"),
    [
        # In time first, however far the way is.
        ([spot(60), spot(30, "3", ANNEX), spot(-45, "3")], [30, -45, 60]),
        # As near in time: the same counter, the same building, elsewhere; whichever is earlier.
        ([spot(-30, "3", ANNEX), spot(-30, "2"), spot(30)], [30, -30, -30]),
        # As near in time and place: the earlier one.
        ([spot(30), spot(-30)], [-30, 30]),
        # The lost time itself, at another counter, is nearest of all.
        ([spot(15), spot(0, "3", ANNEX)], [0, 15]),
        ([], []),
    ],
)
def test_the_nearest_come_first(free: list[Spot], order: list[int]) -> None:
    for given in (free, free[::-1]):
        found = list_nearest(WANTED, given, most=6)
        assert [round((near.starts_at - NOON).total_seconds() / 60) for near, _where in found] == order


def test_of_those_as_near_in_time_the_place_decides_and_no_more_are_told_than_asked_for() -> None:
    free = [spot(30, "3", ANNEX), spot(30, "2"), spot(30), spot(-30, "2")]
    found = list_nearest(WANTED, free, most=3)
    assert [(near.counter, where) for near, where in found] == [
        ("7", "same_counter"), ("2", "same_building"), ("2", "same_building"),
    ]  # fmt: skip
    assert found[1][0].starts_at < found[2][0].starts_at
