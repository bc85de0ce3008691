"""What each channel costs, and which one is suggested."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from services.routing.domain.catalogue import Channel, ChannelRules, Procedure
from services.routing.domain.channels import NOTHING_GIVEN, Given, compare_channels, things_to_bring
from services.routing.domain.options import ChannelOption
from tests.routing.makers import NOW, make_availability, make_counter, make_procedure, make_venue

COUNTERS = {"7": make_counter("7"), "8": make_counter("8")}
VENUES = {code: make_venue(code) for code in ("HALL", "SHED")}
ALL = frozenset({"online", "counter", "helper"})


def test_the_earliest_of_all_counters_of_a_procedure_counts() -> None:
    procedure = make_procedure(counters=("7", "8"))
    seen = [make_availability("7", in_min=500), make_availability("8", in_min=90), make_availability("2", in_min=5)]
    option = compare_channels(procedure, COUNTERS, seen, NOW).option("counter")
    assert (option.earliest, option.earliest_at) == ("at", NOW + timedelta(minutes=90))
    assert option.counter == COUNTERS["8"]
    assert option.as_of == NOW - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("seen", "earliest"),
    [
        ([], "unknown"),
        ([make_availability("7", in_min=None)], "full"),
        ([make_availability("7", in_min=-5)], "unknown"),
        ([make_availability("7", in_min=0)], "unknown"),
        ([make_availability("7", in_min=1)], "at"),
    ],
)
def test_what_is_not_known_is_not_claimed(seen: list, earliest: str) -> None:  # type: ignore[type-arg]
    assert compare_channels(make_procedure(), COUNTERS, seen, NOW).option("counter").earliest == earliest


def test_one_counter_full_and_one_unheard_of_is_not_full() -> None:
    procedure = make_procedure(counters=("7", "8"))
    comparison = compare_channels(procedure, COUNTERS, [make_availability("7", in_min=None)], NOW)
    assert comparison.option("counter").earliest == "unknown"


@pytest.mark.parametrize(
    ("changes", "channel", "possible", "ready", "reason"),
    [
        ({}, "counter", "yes", True, "possible"),
        ({}, "online", "yes", True, "possible"),
        ({"online": "partial"}, "online", "partial", True, "partly"),
        ({}, "helper", "no", False, "no_venue"),
        ({"online": "no"}, "online", "no", False, "not_online"),
        ({"online": "no", "source": "in-person required by law"}, "online", "no", False, "in_person_by_law"),
        ({"helper": "no"}, "helper", "no", False, "not_with_helper"),
        ({"counter": "no"}, "counter", "no", False, "no_counter"),
        ({"counters": ()}, "counter", "no", False, "no_counter"),
        ({"counters": ("unknown",)}, "counter", "no", False, "no_counter"),
        ({"counter": "partial"}, "counter", "partial", True, "partly"),
    ],
)
def test_each_channel_says_whether_and_why(
    changes: dict[str, object], channel: str, possible: str, ready: bool, reason: str
) -> None:
    comparison = compare_channels(make_procedure(**changes), COUNTERS, [make_availability()], NOW)
    option = next(option for option in comparison.options if option.channel == channel)
    assert (option.possible, option.ready, option.reason) == (possible, ready, reason)


@pytest.mark.parametrize(
    ("procedure", "ready", "in_min", "suggested", "why"),
    [
        (make_procedure(), {"counter"}, 60, "counter", {"only_one_ready", "together"}),
        (make_procedure(), ALL, 60, "online", {"earliest", "short"}),
        (make_procedure(online="partial"), ALL, 60, "counter", {"whole_procedure", "together"}),
        (make_procedure(online="no", helper="no"), ALL, None, "counter", {"only_one_ready", "together"}),
        (make_procedure(counter="no", helper="yes", online="no"), {"counter"}, 60, None, set()),
        (make_procedure(counter_minutes=5, bring=()), {"counter"}, 60, "counter",
         {"only_one_ready", "together", "short", "nothing_to_bring"}),
        # Money has to be brought too.
        (make_procedure(counter_minutes=5, bring=(), fee_yen=500), {"counter"}, 60, "counter",
         {"only_one_ready", "together", "short"}),
    ],
)  # fmt: skip
def test_one_channel_is_suggested_with_reasons(
    procedure: Procedure, ready: set[str], in_min: int | None, suggested: str | None, why: set[str]
) -> None:
    chosen = frozenset(ready)
    comparison = compare_channels(
        procedure,
        COUNTERS,
        [make_availability(in_min=in_min)],
        NOW,
        ready=chosen,  # type: ignore[arg-type]
    )
    assert comparison.suggested == suggested
    assert set(comparison.why) == why


def test_the_earliest_helper_is_found_over_all_venues() -> None:
    procedure = make_procedure(counters=("7",))
    seen = [make_availability("HALL", in_min=None), make_availability("SHED", in_min=90), make_availability(in_min=5)]
    option = compare_channels(procedure, COUNTERS | VENUES, seen, NOW).option("helper")
    assert (option.possible, option.ready, option.reason) == ("yes", True, "possible")
    assert (option.earliest, option.earliest_at) == ("at", NOW + timedelta(minutes=90))
    assert option.counter == VENUES["SHED"]
    full = [make_availability(code, in_min=None) for code in VENUES]
    assert compare_channels(procedure, COUNTERS | VENUES, full, NOW).option("helper").earliest == "full"
    assert compare_channels(procedure, COUNTERS | VENUES, [], NOW).option("helper").earliest == "unknown"


def test_a_procedure_without_a_helper_has_none_at_any_venue() -> None:
    seen = [make_availability("HALL", in_min=90)]
    option = compare_channels(make_procedure(helper="no"), COUNTERS | VENUES, seen, NOW).option("helper")
    assert (option.possible, option.ready, option.earliest) == ("no", False, "never")


def test_what_to_bring_is_the_towns_own_data() -> None:
    procedure = make_procedure()
    assert things_to_bring(procedure, "counter") == ("bankbook", "identity")
    assert things_to_bring(procedure, "helper") == ("own_phone", "bankbook", "identity")
    assert things_to_bring(procedure, "online") == ("identity_later", "mynumber_card_pin", "bankbook")


def test_online_the_office_checks_who_it_is_afterwards_unless_nobody_need_know() -> None:
    assert things_to_bring(make_procedure(identity="none", bring_online=()), "online") == ()


def test_a_procedure_with_a_notice_of_its_own_has_its_own_earliest_time() -> None:
    """Seen to fail where the counter's earliest time is told for every procedure."""
    later = NOW + timedelta(days=3)
    told = msgspec.structs.replace(make_availability(), own={"CHI02": later, "RES01": None})
    counters = {"7": make_counter()}

    def counter_of(code: str) -> ChannelOption:
        return compare_channels(make_procedure(code=code), counters, [told], NOW).option("counter")

    assert (counter_of("CHI02").earliest, counter_of("CHI02").earliest_at) == ("at", later)
    assert (counter_of("RES01").earliest, counter_of("RES01").earliest_at) == ("full", None)
    assert counter_of("RES02").earliest_at == told.earliest_at


def test_the_towns_own_minutes_are_said_and_a_procedures_own_come_first() -> None:
    rules = ChannelRules(online_base_min=10, online_per_item_min=2, helper_extra_min=30)
    seen = [make_availability()]

    def minutes(channel: Channel, given: Given = NOTHING_GIVEN, **changes: Any) -> int | None:
        procedure = make_procedure(items=("name", "phone", "address"), **changes)
        return (
            compare_channels(procedure, COUNTERS | VENUES, seen, NOW, rules=rules, given=given).option(channel).minutes
        )

    assert minutes("online") == 10 + 3 * 2
    assert minutes("online", Given(form=("name",))) == 10 + 2 * 2
    assert minutes("online", online_minutes=4) == 4
    assert minutes("online", Given(form=("name", "phone")), online_minutes=4) == 1
    assert minutes("helper") == 20 + 30
    assert minutes("helper", counter="no") == 20
    own = compare_channels(make_procedure(online_minutes=4), COUNTERS, seen, NOW).option("online")
    assert "minutes_estimated" not in own.doubts
