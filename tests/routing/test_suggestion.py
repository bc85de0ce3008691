"""The comparison for a person in their situation: a table of what is suggested and why, and what holds of every one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import Any

import msgspec
import pytest

from services.routing.domain.catalogue import CHANNELS, Counter
from services.routing.domain.channels import OLD_AFTER, Availability, Comparison, Given, compare_channels
from services.routing.domain.situation import NEEDS, PHONE_USES, UNTIL, Situation, limit_of, read_situation
from tests.routing.makers import NOW, make_availability, make_counter, make_procedure, make_venue

ALL_THERE = ("step_free", "sign", "writing", "interpreter")
ONLINE_NO = {"online": "no"}
ONLINE_PARTIAL = {"online": "partial"}
NO_HELPER = {"helper": "no"}
NO_COUNTER = {"counter": "no"}
HOUR, DAYS = 60, 24 * 60
# Nothing is free, at the counter or with a helper.
FULL, UNKNOWN = None, "unknown"


def place(code: str, *access: str) -> Counter:
    made = make_venue(code) if code == "HALL" else make_counter(code)
    return msgspec.structs.replace(made, access=access)


def compare(
    said: Situation,
    changes: dict[str, Any] | None = None,
    *,
    counter_min: int | str | None = HOUR,
    helper_min: int | str | None = 2 * HOUR,
    counter_has: Sequence[str] = (),
    venue_has: Sequence[str] = (),
    **more: Any,
) -> Comparison:
    """A procedure that can be done in all three ways, unless told otherwise."""
    places = {"7": place("7", *counter_has), "HALL": place("HALL", *venue_has)}
    told = [
        make_availability(code, in_min=minutes)
        for code, minutes in (("7", counter_min), ("HALL", helper_min))
        if not isinstance(minutes, str)
    ]
    return compare_channels(make_procedure(**(changes or {})), places, told, NOW, situation=said, **more)


def said(until: str = "", phone: str = "", needs: str = "") -> Situation:
    return read_situation(until, phone, needs)


# What was said; the procedure and the times; the suggestion, one of its reasons, and what is said at other channels.
TABLE: list[tuple[Situation, dict[str, Any], dict[str, Any], str | None, str | None, dict[str, set[str]]]] = [
    # Nothing said: what is whole, not full and soonest.
    (said(), {}, {}, "online", "earliest", {"counter": set(), "helper": set(), "online": set()}),
    (said(), ONLINE_NO, {}, "counter", "earliest", {"online": set()}),
    (said(), ONLINE_NO, {"counter_min": 3 * HOUR}, "helper", "earliest", {}),
    (said(), ONLINE_PARTIAL, {}, "counter", "whole_procedure", {}),
    (said(), ONLINE_PARTIAL, {"counter_min": FULL, "helper_min": FULL}, "counter", "together", {}),
    (said(), ONLINE_NO, {"counter_min": FULL}, "helper", "earliest", {}),
    (said(), ONLINE_NO, {"counter_min": UNKNOWN}, "helper", "earliest", {}),
    (said(), ONLINE_NO, {"counter_min": UNKNOWN, "helper_min": UNKNOWN}, "counter", "together", {}),
    (said(), ONLINE_NO, {"counter_min": HOUR, "helper_min": HOUR}, "counter", "together", {}),
    (said(), ONLINE_NO | NO_HELPER, {}, "counter", "only_one_ready", {}),
    (said(), ONLINE_NO | NO_COUNTER, {}, "helper", "only_one_ready", {}),
    (said(), NO_COUNTER | NO_HELPER, {}, "online", "only_one_ready", {}),
    (said(), ONLINE_NO | NO_COUNTER | NO_HELPER, {}, None, None, {}),
    (said(), NO_COUNTER | {"bring_online": (), "identity": "none"}, {}, "online", "nothing_to_bring", {}),
    (said(), {}, {"ready": frozenset({"counter"})}, "counter", "only_one_ready", {}),
    (said(), {}, {"ready": frozenset()}, None, None, {}),
    # By when.
    (said("any_day"), {}, {}, "online", "earliest", {"counter": set()}),
    (said("tomorrow"), {}, {}, "online", "in_time", {"counter": set()}),
    (said("tomorrow"), {}, {"counter_min": 3 * DAYS}, "online", "in_time", {"counter": {"late"}, "helper": set()}),
    (said("tomorrow"), ONLINE_NO, {"counter_min": 3 * DAYS}, "helper", "in_time", {"counter": {"late"}}),
    (said("tomorrow"), ONLINE_NO, {"counter_min": 3 * DAYS, "helper_min": 4 * DAYS}, "counter", "earliest",
     {"counter": {"late"}, "helper": {"late"}}),
    (said("tomorrow"), ONLINE_PARTIAL, {"counter_min": 3 * DAYS, "helper_min": FULL}, "online", "in_time",
     {"counter": {"late"}, "helper": {"late"}}),
    (said("tomorrow"), ONLINE_NO, {"counter_min": UNKNOWN, "helper_min": 3 * DAYS}, "counter", "together",
     {"counter": {"time_unknown"}, "helper": {"late"}}),
    (said("tomorrow"), ONLINE_NO, {"counter_min": FULL, "helper_min": UNKNOWN}, "helper", "together",
     {"counter": {"late"}, "helper": {"time_unknown"}}),
    (said("week"), ONLINE_PARTIAL, {"counter_min": 3 * DAYS}, "helper", "in_time", {"counter": set()}),
    (said("week"), ONLINE_PARTIAL, {"counter_min": 9 * DAYS, "helper_min": 9 * DAYS}, "online", "in_time",
     {"counter": {"late"}, "helper": {"late"}}),
    (said("week"), ONLINE_NO, {"counter_min": 9 * DAYS, "helper_min": 6 * DAYS}, "helper", "in_time",
     {"counter": {"late"}}),
    # With a smartphone or a computer.
    (said(phone="alone"), {}, {}, "online", "own_phone", {"online": set()}),
    (said(phone="alone"), ONLINE_PARTIAL, {}, "counter", "whole_procedure", {"online": set()}),
    (said(phone="together"), {}, {}, "helper", "with_practice", {"online": {"by_yourself"}, "counter": set()}),
    (said(phone="together"), NO_HELPER, {}, "counter", "together", {"online": {"by_yourself"}}),
    (said(phone="together"), NO_HELPER | NO_COUNTER, {}, "online", "only_one_ready", {"online": {"by_yourself"}}),
    (said(phone="together"), {}, {"helper_min": FULL}, "helper", "with_practice", {}),
    (said("week", "together"), {}, {"helper_min": FULL}, "counter", "in_time", {"helper": {"late"}}),
    (said("week", "together"), {}, {"helper_min": 8 * DAYS, "counter_min": 9 * DAYS}, "online", "in_time",
     {"helper": {"late"}, "counter": {"late"}, "online": {"by_yourself"}}),
    (said(phone="none"), {}, {}, "counter", "no_phone_needed", {"online": {"needs_phone"}, "helper": {"needs_phone"}}),
    (said(phone="none"), {}, {"counter_min": FULL}, "counter", "no_phone_needed", {}),
    (said(phone="none"), NO_COUNTER, {}, "helper", "together", {"helper": {"needs_phone"}}),
    (said(phone="none"), NO_COUNTER | NO_HELPER, {}, "online", "only_one_ready", {"online": {"needs_phone"}}),
    (said("tomorrow", "none"), {}, {"counter_min": 3 * DAYS}, "counter", "no_phone_needed", {"counter": {"late"}}),
    (said("tomorrow", "none"), NO_HELPER, {"counter_min": UNKNOWN}, "counter", "no_phone_needed",
     {"counter": {"time_unknown"}}),
    # What has to be there.
    (said(needs="step_free"), {}, {}, "online", "need_step_free",
     {"counter": {"ask_step_free"}, "helper": {"ask_step_free"}, "online": set()}),
    (said(needs="step_free"), ONLINE_NO, {"venue_has": ("step_free",)}, "helper", "need_step_free",
     {"counter": {"ask_step_free"}, "helper": set()}),
    (said(needs="step_free"), ONLINE_NO, {"counter_has": ("step_free",), "counter_min": 9 * DAYS}, "counter",
     "need_step_free", {"helper": {"ask_step_free"}}),
    (said(needs="step_free"), ONLINE_PARTIAL, {}, "online", "need_step_free", {"counter": {"ask_step_free"}}),
    (said(needs="step_free"), ONLINE_PARTIAL, {"counter_has": ("step_free",)}, "counter", "need_step_free", {}),
    (said(needs="step_free"), ONLINE_NO, {}, "counter", "together", {"counter": {"ask_step_free"}}),
    (said(needs="sign"), {}, {}, "online", "need_sign", {"counter": {"ask_sign"}}),
    (said(needs="sign"), ONLINE_NO, {"venue_has": ("sign",)}, "helper", "need_sign", {"counter": {"ask_sign"}}),
    (said(needs="sign", phone="none"), {}, {"counter_has": ("sign",)}, "counter", "need_sign",
     {"online": {"needs_phone"}, "helper": {"ask_sign", "needs_phone"}}),
    (said(needs="writing"), {}, {"counter_has": ALL_THERE}, "online", "need_writing", {"helper": {"ask_writing"}}),
    (said(needs="writing"), ONLINE_NO, {"counter_has": ALL_THERE}, "counter", "need_writing",
     {"helper": {"ask_writing"}}),
    (said(needs="interpreter"), {}, {}, "online", "earliest",
     {"online": {"site_languages"}, "counter": {"ask_interpreter"}, "helper": {"ask_interpreter"}}),
    (said(needs="interpreter"), {}, {"counter_has": ("interpreter",)}, "counter", "need_interpreter",
     {"online": {"site_languages"}, "counter": set()}),
    (said(needs="interpreter"), {}, {"venue_has": ("interpreter",)}, "helper", "need_interpreter", {}),
    (said("tomorrow", needs="interpreter"), {}, {"counter_has": ("interpreter",), "counter_min": 3 * DAYS}, "counter",
     "need_interpreter", {"counter": {"late"}}),
    (said(needs="stay_home"), {}, {}, "online", "need_stay_home",
     {"counter": {"go_out"}, "helper": {"go_out"}, "online": set()}),
    (said(needs="stay_home"), ONLINE_PARTIAL, {}, "online", "earliest",
     {"online": {"go_out_later"}, "counter": {"go_out"}}),
    (said(needs="stay_home"), ONLINE_NO, {}, "counter", "together", {"counter": {"go_out"}, "online": set()}),
    (said(needs="stay_home", phone="together"), {}, {}, "online", "need_stay_home", {"online": {"by_yourself"}}),
    (said(needs="stay_home", phone="none"), {}, {}, "counter", "no_phone_needed",
     {"online": {"needs_phone"}, "counter": {"go_out"}, "helper": {"go_out", "needs_phone"}}),
    (said(needs="stay_home", phone="none"), NO_COUNTER, {}, "online", "need_stay_home", {}),
    # Several at once. Who has no phone is not sent online because the town says nothing of steps or interpreters.
    (said(phone="none", needs="step_free sign"), {}, {"counter_min": UNKNOWN}, "counter", "no_phone_needed",
     {"counter": {"ask_step_free", "ask_sign"}, "online": {"needs_phone"}}),
    (said(needs="step_free sign"), {}, {"counter_has": ("step_free",)}, "online", "need_sign",
     {"counter": {"ask_sign"}, "helper": {"ask_step_free", "ask_sign"}}),
    (said(needs="step_free sign"), ONLINE_NO, {"counter_has": ("step_free",), "venue_has": ALL_THERE}, "helper",
     "need_sign", {"counter": {"ask_sign"}, "helper": set()}),
    (said("week", "none", "step_free"), {}, {"counter_has": ("step_free",)}, "counter", "in_time",
     {"online": {"needs_phone"}, "helper": {"ask_step_free", "needs_phone"}}),
    (said("week", "alone", "step_free sign writing interpreter stay_home"), {}, {"counter_has": ALL_THERE}, "online",
     "own_phone", {"online": {"site_languages"}, "counter": {"go_out"}}),
    (said(needs=" ".join(NEEDS)), ONLINE_NO, {"venue_has": ALL_THERE}, "helper", "need_interpreter",
     {"helper": {"go_out"}, "counter": {f"ask_{need}" for need in ALL_THERE} | {"go_out"}}),
]  # fmt: skip


def test_the_table_is_long_enough_to_be_one() -> None:
    assert len(TABLE) >= 60


@pytest.mark.parametrize(("what", "changes", "times", "suggested", "reason", "cautions"), TABLE)
def test_what_is_suggested_why_and_what_does_not_fit(
    what: Situation,
    changes: dict[str, Any],
    times: dict[str, Any],
    suggested: str | None,
    reason: str | None,
    cautions: dict[str, set[str]],
) -> None:
    comparison = compare(what, changes, **times)
    assert comparison.suggested == suggested
    assert reason is None or reason in comparison.why
    for channel in CHANNELS:
        if channel in cautions:
            assert set(comparison.option(channel).cautions) == cautions[channel], channel


# --- what holds of every comparison ---

SITUATIONS = [
    Situation(until=until, phone=phone, needs=needs)
    for until, phone, needs in product(
        (None, *UNTIL), (None, *PHONE_USES), ((), *((need,) for need in NEEDS), ("step_free", "sign"), NEEDS)
    )
]
TIMES: tuple[dict[str, Any], ...] = (
    {},
    {"counter_min": 3 * DAYS, "helper_min": FULL, "counter_has": ("step_free",)},
    {"counter_min": UNKNOWN, "helper_min": 9 * DAYS, "venue_has": ALL_THERE},
)
WORLDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"online": online, "counter": counter, "helper": helper}, times)
    for online, counter, helper, times in product(("yes", "partial", "no"), ("yes", "no"), ("yes", "no"), TIMES)
]


@pytest.mark.parametrize(("changes", "times"), WORLDS)
def test_no_channel_is_hidden_and_the_suggestion_is_possible_and_explained(
    changes: dict[str, Any], times: dict[str, Any]
) -> None:
    """Over every situation. Seen to fail with a suggestion of what cannot be used, without the reasons for everybody,
    and where a channel that does not fit cannot be chosen."""
    plain = compare(Situation(), changes, **times)
    for what in SITUATIONS:
        comparison = compare(what, changes, **times)
        assert tuple(option.channel for option in comparison.options) == CHANNELS
        for option in comparison.options:
            # What was said changes the suggestion and the cautions, never what a channel is or whether it is there.
            assert msgspec.structs.replace(option, cautions=()) == plain.option(option.channel)
        usable = [option.channel for option in comparison.options if option.usable]
        assert (comparison.suggested in usable) if usable else (comparison.suggested is None)
        assert bool(comparison.why) == bool(usable)
        assert len(set(comparison.why)) == len(comparison.why)
        assert comparison == compare(what, changes, **times)


def test_the_order_of_questions_and_answers_does_not_matter() -> None:
    """Seen to fail where needs are kept as they were ticked."""
    for ticked in permutations(NEEDS):
        what = read_situation("week", "together", " ".join(ticked))
        assert what == Situation(until="week", phone="together", needs=NEEDS)
    for until, phone, needs in product(("", *UNTIL), ("", *PHONE_USES), ("", *NEEDS)):
        answered = [("until", until), ("phone", phone), ("needs", needs)]
        assert len({read_situation(**dict(order)) for order in permutations(answered)}) == 1


def test_the_order_of_what_booking_said_does_not_matter() -> None:
    places = {"7": place("7"), "8": place("8"), "HALL": place("HALL")}
    told: list[Availability] = [make_availability(code, in_min=90) for code in places]
    procedure = make_procedure(counters=("7", "8"))
    assert len({compare_channels(procedure, places, order, NOW) for order in permutations(told)}) == 1


@pytest.mark.parametrize("garbage", ["", "x", "TOMORROW", "\x00", "week'; --", "step_free" * 500, "車いす"])
def test_whatever_is_no_answer_of_ours_counts_as_none(garbage: str) -> None:
    assert read_situation(garbage, garbage, garbage) == Situation()
    assert not read_situation(garbage, garbage, garbage).is_said
    assert read_situation(garbage, garbage, f"{garbage} sign").needs == ("sign",)


# --- boundaries ---


@pytest.mark.parametrize(
    ("until", "now", "limit"),
    [
        # 24 November 2026, 9:10 in Japan, and around midnight there.
        ("tomorrow", NOW, datetime(2026, 11, 25, 15, tzinfo=UTC)),
        ("tomorrow", datetime(2026, 11, 24, 14, 59, 59, tzinfo=UTC), datetime(2026, 11, 25, 15, tzinfo=UTC)),
        ("tomorrow", datetime(2026, 11, 24, 15, tzinfo=UTC), datetime(2026, 11, 26, 15, tzinfo=UTC)),
        ("week", NOW, datetime(2026, 12, 1, 15, tzinfo=UTC)),
        ("any_day", NOW, None),
        (None, NOW, None),
    ],
)
def test_the_limit_is_the_end_of_a_day_in_japan(until: Any, now: datetime, limit: datetime | None) -> None:
    assert limit_of(until, now) == limit


@pytest.mark.parametrize(("before_s", "cautions"), [(1, ()), (0, ("late",))])
def test_the_first_moment_after_the_limit_is_late(before_s: int, cautions: tuple[str, ...]) -> None:
    limit = limit_of("tomorrow", NOW)
    assert limit is not None
    told = Availability(counter="7", earliest_at=limit - timedelta(seconds=before_s), as_of=NOW)
    comparison = compare_channels(make_procedure(), {"7": place("7")}, [told], NOW, situation=said("tomorrow"))
    assert comparison.option("counter").cautions == cautions


# --- what else is compared ---


@pytest.mark.parametrize(
    ("age", "in_min", "doubts", "sure"),
    [
        (timedelta(0), 60, (), "sure"),
        (OLD_AFTER, 60, (), "sure"),
        (OLD_AFTER + timedelta(microseconds=1), 60, ("times_old",), "roughly"),
        (OLD_AFTER + timedelta(days=9), None, ("times_old",), "roughly"),
        (timedelta(0), -1, ("times_missing",), "ask"),
    ],
)
def test_old_or_missing_times_are_said_to_be_so(
    age: timedelta, in_min: int | None, doubts: tuple[str, ...], sure: str
) -> None:
    told = msgspec.structs.replace(make_availability(in_min=in_min), as_of=NOW - age)
    option = compare_channels(make_procedure(), {"7": place("7")}, [told], NOW).option("counter")
    assert (option.doubts, option.sure) == (doubts, sure)


def test_without_any_news_every_channel_can_still_be_chosen() -> None:
    comparison = compare(said(), counter_min=UNKNOWN, helper_min=UNKNOWN)
    assert [option.usable for option in comparison.options] == [True, True, True]
    assert [option.sure for option in comparison.options] == ["roughly", "ask", "ask"]
    assert compare(said(), {"source": "general"}).option("counter").doubts == ("unconfirmed",)


def test_what_was_given_before_is_not_typed_again_and_takes_no_time() -> None:
    fresh = compare(said()).option("online")
    given = Given(form=("name",), booking=("name", "kana"))
    comparison = compare(said(), given=given)
    assert comparison.option("online").reused == ("name",)
    assert comparison.option("online").minutes == (fresh.minutes or 0) - 1
    assert comparison.option("counter").reused == comparison.option("helper").reused == ("name", "kana")


def test_how_a_fee_is_paid_is_said_only_where_there_is_one_and_of_all_places() -> None:
    places = {
        "7": msgspec.structs.replace(place("7"), payment=("cash", "credit", "code")),
        "8": msgspec.structs.replace(place("8"), payment=("code", "cash")),
    }
    procedure = make_procedure(counters=("7", "8"), fee_yen=300)
    comparison = compare_channels(procedure, places, [], NOW, online_payment=("credit",))
    assert comparison.option("counter").payment == ("cash", "code")
    assert comparison.option("online").payment == ("credit",)
    free = compare_channels(make_procedure(counters=("7", "8")), places, [], NOW, online_payment=("credit",))
    assert free.option("counter").payment == free.option("online").payment == ()


def test_what_only_some_places_have_is_neither_promised_nor_denied() -> None:
    places = {"7": place("7", "step_free", "sign"), "8": place("8", "step_free")}
    comparison = compare_channels(
        make_procedure(counters=("7", "8")), places, [], NOW, situation=said(needs="step_free sign writing")
    )
    option = comparison.option("counter")
    assert (option.access, option.access_somewhere) == (("step_free",), ("step_free", "sign"))
    assert option.cautions == ("some_sign", "ask_writing")
