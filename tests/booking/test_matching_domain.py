"""Matching: as many as can be, at the best, explained, and never against a rule. Beside every way there is."""

import time
from datetime import timedelta

import msgspec
import pytest

from services.booking.domain.cheapest import Network
from services.booking.domain.class_seats import match_with_classes, rank_classes
from services.booking.domain.matching import HelpWindow, match_help
from tests.booking.matching_town import (
    MONDAY,
    at,
    course,
    every_way,
    helper,
    large_town,
    place,
    price,
    refuse_broken,
    refuse_broken_offers,
    shift,
    small_town,
    small_town_with_classes,
    wanted,
)


def pairs(matched: list) -> dict[str, str]:  # type: ignore[type-arg]
    return {each.request_id: each.helper_ref for each in matched}


@pytest.mark.parametrize("seeds", [range(start, start + 100) for start in range(0, 400, 100)], ids=str)
def test_it_is_as_good_as_trying_every_way(seeds: range) -> None:
    for seed in seeds:
        requests, helpers, places = small_town(seed)
        matched = match_help(requests, helpers, places)
        refuse_broken(requests, helpers, places, matched)
        assert (len(matched), price(requests, helpers, places, matched)) == every_way(requests, helpers, places), seed


@pytest.mark.parametrize("seeds", [range(start, start + 100) for start in range(0, 400, 100)], ids=str)
def test_with_classes_it_is_as_good_as_trying_every_way(seeds: range) -> None:
    offered = 0
    for seed in seeds:
        requests, helpers, places, classes = small_town_with_classes(seed)
        matched, offers = match_with_classes(requests, helpers, places, classes)
        refuse_broken(requests, helpers, places, matched)
        refuse_broken_offers(requests, classes, matched, offers)
        ours = len(matched) + len(offers), price(requests, helpers, places, matched, classes, offers)
        assert ours == every_way(requests, helpers, places, classes), seed
        offered += len(offers)
    assert offered > 10


@pytest.mark.parametrize("seed", range(10))
def test_no_rule_is_broken_in_a_large_town_nor_when_places_are_held(seed: int) -> None:
    requests, helpers, places = large_town(seed, requests=80, helpers=30)
    matched = match_help(requests, helpers, places)
    refuse_broken(requests, helpers, places, matched)
    assert matched == match_help(requests, helpers, places), "the same is matched the same way"
    few = [msgspec.structs.replace(each, free=1) for each in places]
    refuse_broken(requests, helpers, few, match_help(requests, helpers, few))


def test_nobody_stays_away_because_another_could_have_done_it() -> None:
    """The best helper for both can do one: the other one gets who is left."""
    best, other = helper("best", topics=frozenset({"line"}), visits_per_week=1), helper("other")
    requests = [wanted("a"), wanted("b", sign_need="none", tried=frozenset({"other"}))]
    matched = match_help(requests, [best, other], [place()])
    assert pairs(matched) == {"a": "other", "b": "best"}


def test_what_speaks_for_somebody_is_said() -> None:
    one = helper("suzuki", languages=("ja", "en"), topics=frozenset({"line"}), signs=True)
    request = wanted(
        venues=frozenset({"HALL"}), language="en", language_need="wished", sign_need="wished", met=frozenset({"suzuki"})
    )
    assert match_help([request], [one, helper("tanaka", lately=1)], [place()])[0].reasons == (
        "skill", "language", "sign", "venue", "known", "least_load",
    )  # fmt: skip
    assert match_help([wanted()], [helper()], [place()])[0].reasons == ("language",)


def test_who_had_fewest_visits_is_asked_first_and_work_is_shared() -> None:
    tired, fresh = helper("tired", lately=3), helper("fresh")
    places = [place(hour=hour) for hour in range(9, 15)]
    requests = [wanted(name) for name in "abcd"]
    assert pairs(match_help(requests[:1], [tired, fresh], places)) == {"a": "fresh"}
    asked = list(pairs(match_help(requests, [tired, fresh], places)).values())
    assert sorted(asked) == ["fresh", "fresh", "fresh", "tired"] or asked.count("fresh") == 4


def test_what_is_rare_is_kept_for_who_needs_it() -> None:
    signer, other = helper("signer", signs=True, visits_per_week=1), helper("other")
    matched = match_help([wanted("a"), wanted("b", sign_need="needed")], [signer, other], [place()])
    assert pairs(matched) == {"a": "other", "b": "signer"}
    assert pairs(match_help([wanted("a")], [signer, other], [place()])) == {"a": "other"}


@pytest.mark.parametrize(
    ("changes", "of_helper"),
    [
        ({"sign_need": "needed"}, {}),
        ({"language": "en", "language_need": "needed"}, {}),
        ({"tried": frozenset({"tanaka"})}, {}),
        ({"venues": frozenset({"SHED"}), "only_there": True}, {}),
        ({"window": HelpWindow(first_day=MONDAY, last_day=MONDAY, from_min=11 * 60, to_min=720)}, {}),
        ({"window": HelpWindow(first_day=MONDAY, last_day=MONDAY + timedelta(days=6), weekdays=(2, 3))}, {}),
        ({}, {"away": ((MONDAY, MONDAY),)}),
        ({}, {"busy": ((at(MONDAY, 10), at(MONDAY, 11)),)}),
        ({}, {"visits_per_week": 2, "taken": {MONDAY: 2}}),
        ({}, {"shifts": (shift("tanaka", hours=(11, 12)),)}),
        ({}, {"shifts": (shift("tanaka", venue="SHED"),)}),
    ],
)
def test_who_cannot_is_not_asked(changes: dict, of_helper: dict) -> None:  # type: ignore[type-arg]
    assert len(match_help([wanted()], [helper()], [place()])) == 1
    assert match_help([wanted(**changes)], [helper(**of_helper)], [place()]) == []


def test_a_helper_comes_first_and_a_class_where_it_lets_more_be_met() -> None:
    """One helper for two: who can be met in no class has them; alone, whoever would come to one has them, too."""
    flexible, alone = wanted("flexible", in_class="too"), wanted("alone")
    once = helper(visits_per_week=1)
    matched, offers = match_with_classes([flexible, alone], [once], [place()], [course()])
    assert pairs(matched) == {"alone": "tanaka"}
    assert [(each.request_id, each.course_id) for each in offers] == [("flexible", "class")]
    matched, offers = match_with_classes([flexible], [once], [place()], [course()])
    assert (pairs(matched), offers) == ({"flexible": "tanaka"}, [])
    matched, offers = match_with_classes([wanted("a", in_class="only")], [once], [place()], [course()])
    assert (matched, [each.reasons for each in offers]) == ([], [("skill", "language")])


@pytest.mark.parametrize(
    ("changes", "of_class"),
    [
        ({"skill": "photo"}, {}),
        ({"language": "en"}, {"language": "zh"}),
        ({"language": "en", "language_need": "needed"}, {}),
        ({}, {"language": "en"}),
        ({"sign_need": "needed"}, {}),
        ({"venues": frozenset({"SHED"}), "only_there": True}, {}),
        ({}, {"day": MONDAY + timedelta(days=8)}),
        ({"window": HelpWindow(first_day=MONDAY, last_day=MONDAY, from_min=11 * 60, to_min=720)}, {}),
        ({}, {"times": ()}),
    ],
)
def test_a_class_that_is_of_no_use_to_them_does_not_fit(changes: dict, of_class: dict) -> None:  # type: ignore[type-arg]
    assert rank_classes(wanted(), [course()])
    assert rank_classes(wanted(**changes), [course(**of_class)]) == []


def test_the_class_for_which_most_speaks_comes_first_and_then_the_sooner() -> None:
    there = course("there", venue="SHED", day=MONDAY + timedelta(days=1))
    request = wanted(venues=frozenset({"SHED"}))
    classes = [course("late", day=MONDAY + timedelta(days=3)), there, course("soon")]
    assert [each.course_id for each in rank_classes(request, classes)] == ["there", "soon", "late"]


def test_who_has_less_time_left_comes_first() -> None:
    requests = [wanted("later", days_left=6), wanted("soon", days_left=1)]
    assert pairs(match_help(requests, [helper(visits_per_week=1)], [place()])) == {"soon": "tanaka"}


def test_a_held_place_is_nobodys() -> None:
    helpers = [helper("a"), helper("b")]
    requests = [wanted("x"), wanted("y")]
    assert len(match_help(requests, helpers, [place(free=1)])) == 1
    matched = match_help(requests, helpers, [place(free=1), place(hour=11, free=1)])
    assert sorted(each.slot_id for each in matched) == ["HALL/2026-06-01/10", "HALL/2026-06-01/11"]


def test_a_network_with_no_way_sends_nothing() -> None:
    network = Network()
    start, end = network.add(), network.add()
    assert not network.send(start, end)
    edge = network.join(start, end, capacity=1, cost=3)
    assert network.send(start, end)
    assert network.is_used(edge)
    assert not network.send(start, end)


def test_two_hundred_requests_over_eighty_helpers_take_no_time() -> None:
    """The figure is the bench's (`matching`); here only that nothing has become many times slower."""
    requests, helpers, places = large_town(1)
    begun = time.perf_counter()
    matched = match_help(requests, helpers, places)
    assert time.perf_counter() - begun < 10
    refuse_broken(requests, helpers, places, matched)
