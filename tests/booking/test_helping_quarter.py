"""A quarter of 13 weeks with 80 helpers and 1,500 requests: no rule broken, nobody worse off than first come, first
served, and the work shared (`quarter.py`; the figures of several seeds are the bench's, part `matching`)."""

from services.booking.domain.matching import match_help
from tests.booking.quarter import first_come, live_through

SEED = 2


def test_a_quarter_is_met_better_and_more_fairly_than_first_come_first_served() -> None:
    """Every day of both is looked at by `refuse_broken`: shifts, days away, two at once, weekly maximum, needs."""
    ours, theirs = live_through(SEED, match_help), live_through(SEED, first_come)
    assert ours.possible == theirs.possible
    assert ours.met >= theirs.met
    assert ours.share_of_possible > 0.95
    assert ours.gini < theirs.gini
    assert ours.max_to_median < theirs.max_to_median
    assert ours.skilled > theirs.skilled
    assert ours.known > theirs.known


def test_a_town_with_few_helpers_meets_more_people_too() -> None:
    few = {"requests": 500, "helpers": 15}
    ours, theirs = live_through(SEED, match_help, **few), live_through(SEED, first_come, **few)
    assert ours.met > theirs.met
    assert ours.skilled > theirs.skilled


def test_the_same_seed_is_the_same_quarter() -> None:
    small = {"requests": 60, "helpers": 8}
    assert live_through(SEED, match_help, **small) == live_through(SEED, match_help, **small)
