"""Pure rules: numbers, calendars, policies, the line."""

import random
import re
from datetime import UTC, date, datetime, timedelta

import jpholiday
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.booking.domain.calendar import (
    JST,
    closure_names,
    days_between,
    is_year_end,
)
from services.booking.domain.line import ACTIONS, Progress, next_state, possible_actions, show_ticket
from services.booking.domain.rules import Policy, refuse_too_late, refuse_unbookable
from services.booking.pages.wording import closure_reason, place_label
from shared.errors import Refusal
from shared.reference_number import ALPHABET, APPOINTMENT_LENGTH, make_number, read_code, read_number, show_number
from shared.web.addresses import network_of
from shared.web.i18n import use_language

numbers = st.integers(0, 2**32).map(lambda seed: make_number(random.Random(seed).choice))
NOON = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)


@given(numbers)
def test_a_number_reads_back_however_it_is_typed(number: str) -> None:
    assert len(number) == APPOINTMENT_LENGTH
    full_width = "".join(chr(ord(sign) + 0xFEE0) for sign in number)
    spaced, dashed = f" {number[:2]} {number[2:]}　", f"{number[:3]}ー{number[3:]}"
    for typed in (number, number.lower(), show_number(number), spaced, full_width, dashed):
        assert read_number(typed) == number


@given(numbers, st.integers(0, APPOINTMENT_LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_wrong_sign_is_found(number: str, position: int, sign: str) -> None:
    wrong = number[:position] + sign + number[position + 1 :]
    assert (read_number(wrong) == number) if wrong == number else (read_number(wrong) is None)


@given(numbers, st.integers(0, APPOINTMENT_LENGTH - 2))
def test_two_signs_exchanged_are_found(number: str, position: int) -> None:
    wrong = number[:position] + number[position + 1] + number[position] + number[position + 2 :]
    assert wrong == number or read_number(wrong) is None


@given(st.text(max_size=200))
def test_garbage_is_no_number_and_no_code_and_no_error(typed: str) -> None:
    read = read_number(typed)
    assert read is None or len(read) == APPOINTMENT_LENGTH
    code = read_code(typed)
    assert code is None or len(code) == 6


def test_look_alikes_are_understood() -> None:
    number = next(
        made for seed in range(10_000) if {"2", "5", "8"} <= set(made := make_number(random.Random(seed).choice))
    )
    assert read_number(number.replace("2", "z").replace("5", "S").replace("8", "B")) == number


def test_a_code_is_read_in_any_width() -> None:
    assert read_code("１２３ ４５６") == "123456"
    assert read_code("12345") is None
    assert read_code("१२३४५६") is None


def test_the_years_end_is_closed_from_1229_to_0103() -> None:
    days = list(days_between(date(2026, 12, 27), date(2027, 1, 5)))
    assert [day.isoformat() for day in days if is_year_end(day)] == [
        "2026-12-29", "2026-12-30", "2026-12-31", "2027-01-01", "2027-01-02", "2027-01-03",
    ]  # fmt: skip


def test_a_closure_names_its_reason_first() -> None:
    days = [date(2027, 1, 1), date(2027, 1, 2), date(2027, 1, 4)]
    names = closure_names(
        days,
        closures=[(date(2027, 1, 4), date(2027, 1, 4), "点検")],
        holidays={date(2027, 1, 1): "元日"},
        year_end="年末年始",
    )
    assert names == {days[0]: "元日", days[1]: "年末年始", days[2]: "点検"}


@pytest.mark.parametrize(
    ("starts_at", "withdrawn", "code"),
    [
        (NOON + timedelta(minutes=59), False, "slot_too_soon"),
        (NOON - timedelta(days=1), False, "slot_too_soon"),
        (datetime(2026, 7, 17, 0, 0, tzinfo=JST), False, "slot_too_far"),
        (NOON + timedelta(days=1), True, "slot_closed"),
    ],
)
def test_what_may_not_be_booked_says_why(starts_at: datetime, withdrawn: bool, code: str) -> None:
    with pytest.raises(Refusal, match=code):
        refuse_unbookable(Policy(), starts_at=starts_at, withdrawn=withdrawn, now=NOON)


def test_the_last_day_counts_in_japan() -> None:
    late = datetime(2026, 7, 16, 23, 30, tzinfo=JST)
    refuse_unbookable(Policy(), starts_at=late, withdrawn=False, now=NOON)
    # At 0:10 in Japan it is still yesterday in UTC, and the horizon has moved on all the same.
    after_midnight = datetime(2026, 6, 2, 0, 10, tzinfo=JST)
    refuse_unbookable(Policy(), starts_at=late + timedelta(days=1), withdrawn=False, now=after_midnight)


def test_changing_ends_with_the_limit() -> None:
    policy = Policy(cancel_until_min=60)
    refuse_too_late(policy, state="booked", starts_at=NOON + timedelta(minutes=60), now=NOON)
    for state, starts_at, code in (
        ("booked", NOON + timedelta(minutes=59), "change_too_late"),
        ("booked", NOON, "appointment_started"),
        ("done", NOON + timedelta(days=1), "appointment_started"),
        ("cancelled", NOON + timedelta(days=1), "appointment_cancelled"),
    ):
        with pytest.raises(Refusal, match=code):
            refuse_too_late(policy, state=state, starts_at=starts_at, now=NOON)


def progress(state: str, kind: str = "booked", *reached: str, starts_at: datetime = NOON) -> Progress:
    was_called = "called_at" in reached
    return Progress(kind=kind, state=state, was_called=was_called, starts_at=starts_at)  # type: ignore[arg-type]


def after(at: Progress, action: str) -> str:
    return next_state(at, action, now=NOON)  # type: ignore[arg-type]


def test_the_line_goes_from_reception_to_done() -> None:
    state = "booked"
    steps = {"check-in": "checked_in", "call": "called", "start": "serving", "done": "done"}
    for action, expected in steps.items():
        state = after(progress(state), action)
        assert state == expected
    assert after(progress("called"), "call") == "called"


def test_undo_is_offered_for_as_long_as_there_is_a_step() -> None:
    at = progress("called", "booked", "checked_in_at")
    assert "undo" not in possible_actions(at, now=NOON)
    assert "undo" in possible_actions(msgspec.structs.replace(at, can_undo=True), now=NOON)


def test_who_is_parked_or_preferred_is_so_once() -> None:
    at = progress("checked_in", "walk_in", "checked_in_at")
    for once, again in (("park", "resume"), ("prefer", "unprefer")):
        is_so = msgspec.structs.replace(at, is_parked=True, is_preferred=True)
        assert after(at, once) == after(is_so, again) == "checked_in"
        for wrong, of in ((again, at), (once, is_so)):
            with pytest.raises(Refusal, match="step_impossible"):
                after(of, wrong)


@pytest.mark.parametrize("kind", ["booked", "walk_in"])
@pytest.mark.parametrize("starts_at", [NOON, NOON + timedelta(minutes=1)])
@pytest.mark.parametrize("state", ["booked", "checked_in", "called", "serving", "done", "no_show", "cancelled"])
def test_what_is_offered_is_what_is_possible(state: str, starts_at: datetime, kind: str) -> None:
    at = progress(state, kind, starts_at=starts_at)
    offered = possible_actions(at, now=NOON)
    for action in (action for action in ACTIONS if action != "undo"):
        if action in offered:
            after(at, action)
        else:
            with pytest.raises(Refusal, match=r"step_impossible|no_show_too_early"):
                after(at, action)


def test_nobody_is_absent_before_their_time_unless_they_were_called() -> None:
    later = NOON + timedelta(minutes=1)
    for state in ("booked", "checked_in"):
        with pytest.raises(Refusal, match="no_show_too_early"):
            after(progress(state, starts_at=later), "no-show")
        assert after(progress(state, starts_at=NOON), "no-show") == "no_show"
    assert after(progress("called", "booked", "checked_in_at", "called_at", starts_at=later), "no-show") == "no_show"
    # Whoever walked in has no time of their own that could pass.
    with pytest.raises(Refusal, match="no_show_too_early"):
        after(progress("checked_in", "walk_in", "checked_in_at", starts_at=NOON), "no-show")
    assert after(progress("called", "walk_in", "checked_in_at", "called_at"), "no-show") == "no_show"


def test_a_ticket_is_short() -> None:
    assert show_ticket("7", 12) == "7-012"


@pytest.mark.parametrize(
    ("place", "number", "name", "said"),
    [
        ("町役場 2階 7番", "7", "子育て", "町役場 2階 7番窓口（子育て）"),
        ("町役場 2階 ７番", "7", "子育て", "町役場 2階 7番窓口（子育て）"),
        ("町役場 2階", "7", "子育て", "町役場 2階 7番窓口（子育て）"),
        ("町役場 1階 17番", "7", "子育て", "町役場 1階 17番 7番窓口（子育て）"),
        ("町役場 1階 相談室", "相談室", "福祉", "町役場 1階 相談室（福祉）"),
        ("", "3", "届出", "3番窓口（届出）"),
    ],
)
def test_a_place_says_the_number_of_its_counter_once(place: str, number: str, name: str, said: str) -> None:
    assert place_label(place, number, name) == said


def test_an_address_counts_with_its_network() -> None:
    assert network_of("203.0.113.7") == network_of("::ffff:203.0.113.7") != network_of("203.0.113.8")
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::1")
    assert network_of("testclient") == "testclient"


@pytest.mark.parametrize(
    ("name", "english", "plain"),
    [
        ("勤労感謝の日", "Labour Thanksgiving Day", "勤労感謝の 日"),
        ("文化の日 振替休日", "the day off for Culture Day", "文化の 日の かわりの 休み"),
        ("年末年始", "the New Year break", "年末年始"),
        ("臨時休業", "臨時休業", "臨時休業"),
    ],
)
def test_a_closed_day_says_why_in_the_readers_language(name: str, english: str, plain: str) -> None:
    for language, said in (("en", english), ("ja-easy", plain)):
        with use_language(language):
            assert closure_reason(name) == said


def test_every_holiday_that_the_library_knows_has_words() -> None:
    """Seen to fail with one of them left out."""
    names = {name for year in range(2026, 2036) for _day, name in jpholiday.year_holidays(year)}
    kana_or_kanji = re.compile("[ぁ-んァ-ヶ一-龯]")
    with use_language("en"):
        assert {name for name in names if kana_or_kanji.search(closure_reason(name))} == set()
