"""Decisions: how an SMS is counted, when a reminder is due, when to try again, and what to do with a notice."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.notices import (
    Decision,
    Kind,
    Leave,
    LookAgain,
    Newest,
    Reach,
    Send,
    Settle,
    State,
    Waiting,
    decide,
    occasion_of,
    useful_until,
)
from services.notifications.domain.outcomes import Delivery, is_forward
from services.notifications.domain.quiet_hours import after_quiet, before_quiet, is_quiet
from services.notifications.domain.reminders import (
    ReminderRule,
    remind_again_at,
    reminder_time,
    rule_for_before,
    rule_for_trial,
)
from services.notifications.domain.retries import PAUSES, TRIES_MAX, next_try
from services.notifications.domain.sms import domestic_number
from shared.sms_parts import count_parts

JST = ZoneInfo("Asia/Tokyo")
DAY_BEFORE = rule_for_before(1_440)


def jst(text: str) -> datetime:
    """A moment on Tokyo's clock, as the services know it: in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=JST).astimezone(UTC)


NOW = jst("2026-11-24 10:00")
START = jst("2026-11-25 10:00")


# ---- SMS


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("あ" * 70, 1),
        ("あ" * 71, 2),
        ("あ" * 134, 2),
        ("あ" * 135, 3),
        ("𠮷" * 35, 1),
        ("𠮷" * 36, 2),
        # 33 pairs fill 66 of 67 units: the next pair is not cut in half.
        ("𠮷" * 67, 3),
    ],
)
def test_an_sms_is_counted_in_ucs2_units(text: str, parts: int) -> None:
    assert count_parts(text) == parts


@given(st.text(min_size=1, max_size=700))
def test_no_part_of_an_sms_is_too_long(text: str) -> None:
    units = len(text.encode("utf-16-le", errors="surrogatepass")) // 2
    parts = count_parts(text)
    assert parts == 1 if units <= 70 else -(-units // 67) <= parts <= -(-units // 66)


def test_gateways_get_domestic_numbers() -> None:
    assert domestic_number("+819012345678") == "09012345678"
    assert domestic_number("+8260123456") == "+8260123456"


# ---- Quiet hours


@pytest.mark.parametrize(
    ("moment", "quiet", "before", "after"),
    [
        ("2026-11-24 20:59:59", False, None, None),
        ("2026-11-24 21:00", True, "2026-11-24 21:00", "2026-11-25 08:00"),
        ("2026-11-24 23:59:59", True, "2026-11-24 21:00", "2026-11-25 08:00"),
        ("2026-11-25 00:00", True, "2026-11-24 21:00", "2026-11-25 08:00"),
        ("2026-11-25 07:59:59", True, "2026-11-24 21:00", "2026-11-25 08:00"),
        ("2026-11-25 08:00", False, None, None),
        ("2026-12-31 23:30", True, "2026-12-31 21:00", "2027-01-01 08:00"),
        ("2027-01-01 00:30", True, "2026-12-31 21:00", "2027-01-01 08:00"),
        ("2028-02-28 22:00", True, "2028-02-28 21:00", "2028-02-29 08:00"),
    ],
)
def test_quiet_hours_go_over_midnight(moment: str, quiet: bool, before: str | None, after: str | None) -> None:
    at = jst(moment)
    assert is_quiet(at) is quiet
    assert before_quiet(at) == (jst(before) if before else at)
    assert after_quiet(at) == (jst(after) if after else at)


# ---- Reminders


@pytest.mark.parametrize(
    ("starts_at", "before_min", "due_at"),
    [
        ("2026-11-25 10:00", 1_440, "2026-11-24 10:00"),
        # Over the end of a month, of a year, and of February.
        ("2026-12-01 09:30", 1_440, "2026-11-30 09:30"),
        ("2027-01-01 09:30", 1_440, "2026-12-31 09:30"),
        ("2028-03-01 09:30", 1_440, "2028-02-29 09:30"),
        # Would be due at night: in the morning, if that is early enough …
        ("2026-11-25 10:00", 240, "2026-11-25 08:00"),
        ("2026-11-25 09:00", 600, "2026-11-25 08:00"),
        # … and else on the evening before, over the end of a month, too.
        ("2026-11-25 08:30", 60, "2026-11-24 20:45"),
        ("2026-12-01 08:30", 60, "2026-11-30 20:45"),
        ("2027-01-04 08:45", 600, "2027-01-03 20:45"),
    ],
)
def test_a_reminder_is_due_before_the_start_and_never_at_night(starts_at: str, before_min: int, due_at: str) -> None:
    start = jst(starts_at)
    booked = start - timedelta(days=10)
    assert reminder_time(rule_for_before(before_min), booked_at=booked, starts_at=start, now=booked) == jst(due_at)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - as it wants
    st.integers(min_value=1, max_value=20_160),
)
def test_no_reminder_is_planned_at_night_or_after_the_start(start: datetime, before_min: int) -> None:
    booked = start - timedelta(days=30)
    due_at = reminder_time(rule_for_before(before_min), booked_at=booked, starts_at=start, now=booked)
    assert due_at is not None
    assert due_at < start
    assert not is_quiet(due_at)


def test_a_reminder_whose_time_is_past_is_not_planned() -> None:
    assert reminder_time(DAY_BEFORE, booked_at=NOW, starts_at=NOW + timedelta(hours=3), now=NOW) is None


def test_the_trial_reminder_follows_the_booking_at_any_hour() -> None:
    night = jst("2026-11-24 23:00")
    trial = rule_for_trial(60)
    at = night + timedelta(seconds=60)
    assert reminder_time(trial, booked_at=night, starts_at=START, now=night) == at
    assert reminder_time(trial, booked_at=night, starts_at=START, now=at) is None
    assert remind_again_at(trial, starts_at=START, now=at) is None


def test_a_reminder_that_comes_late_at_night_waits_for_the_morning() -> None:
    night = jst("2026-11-24 22:00")
    assert remind_again_at(DAY_BEFORE, starts_at=START, now=night) == jst("2026-11-25 08:00")
    assert remind_again_at(DAY_BEFORE, starts_at=START, now=NOW) is None
    early = jst("2026-11-25 07:30")
    assert remind_again_at(DAY_BEFORE, starts_at=early, now=night) is None


def test_rules_have_names_that_tell_them_apart() -> None:
    assert {rule_for_before(60).rule, rule_for_before(1_440).rule, rule_for_trial(60).rule} == {
        "before60",
        "before1440",
        "trial60",
    }
    assert not ReminderRule(rule="trial60", after_booking_s=60).keeps_quiet


# ---- Retries


def test_retries_come_ever_later() -> None:
    waits = []
    for tries in range(1, 8):
        at = next_try(tries, now=NOW, useful_until=NOW + timedelta(days=1), chance=0.5)
        assert at is not None
        waits.append((at - NOW).total_seconds())
    assert waits == [5, 30, 120, 600, 3_600, 3_600, 3_600]


@given(st.integers(1, TRIES_MAX - 1), st.floats(0, 1))
def test_jitter_stays_within_a_fifth(tries: int, chance: float) -> None:
    at = next_try(tries, now=NOW, useful_until=NOW + timedelta(days=1), chance=chance)
    pause = PAUSES[min(tries, len(PAUSES)) - 1]
    assert at is not None
    assert pause * 0.79 <= at - NOW <= pause * 1.21


def test_nothing_is_tried_again_once_it_has_lost_its_use() -> None:
    assert next_try(1, now=NOW, useful_until=NOW + timedelta(seconds=5), chance=0.5) is None
    assert next_try(TRIES_MAX, now=NOW, useful_until=NOW + timedelta(days=9), chance=0.5) is None


# ---- Notices


def make_waiting(
    *,
    kind: Kind = "confirmation",
    state: State = "pending",
    reach: Reach | None = "email",
    age: timedelta = timedelta(),
    sequence: int = 0,
    in_flight: bool = False,
    has_words: bool = True,
    keeps_quiet: bool = False,
    now: datetime = NOW,
    until: datetime | None = None,
) -> Waiting:
    return Waiting(
        kind=kind,
        state=state,
        sequence=sequence,
        created_at=now - age,
        useful_until=until or START,
        keeps_quiet=keeps_quiet,
        reach=reach,
        in_flight=in_flight,
        has_words=has_words,
    )


def make_newest(state: str = "booked", sequence: int = 0, starts_at: datetime = START) -> Newest:
    return Newest(state=state, sequence=sequence, starts_at=starts_at)


@pytest.mark.parametrize(
    ("waiting", "newest", "decision"),
    [
        (make_waiting(), make_newest(), Send()),
        (make_waiting(state="unknown"), make_newest(), Send()),
        # A worker died with it.
        (make_waiting(state="sending"), make_newest(), Send()),
        (make_waiting(state="sending", in_flight=True), make_newest(), Leave()),
        (make_waiting(state="sent"), make_newest(), Leave()),
        (make_waiting(), make_newest("cancelled"), Settle("superseded", "overtaken")),
        (make_waiting(), make_newest(sequence=1), Settle("superseded", "overtaken")),
        (make_waiting(kind="change", sequence=1), make_newest(sequence=1), Send()),
        (make_waiting(kind="reminder"), make_newest("checked_in"), Settle("superseded", "overtaken")),
        (make_waiting(kind="cancellation"), make_newest("cancelled"), Send()),
        (make_waiting(reach="none"), make_newest(), Settle("printed_slip", "chosen")),
        (make_waiting(reach=None), make_newest(), LookAgain(NOW + timedelta(seconds=5))),
        (make_waiting(has_words=False), make_newest(), LookAgain(NOW + timedelta(seconds=5))),
        (
            make_waiting(reach=None, age=timedelta(minutes=10)),
            make_newest(),
            Settle("undeliverable", "contact_missing", task=True),
        ),
        (make_waiting(until=NOW), make_newest(), Settle("undeliverable", "too_late", task=True)),
        (make_waiting(kind="reminder"), make_newest(starts_at=NOW), Settle("superseded", "begun")),
    ],
)
def test_a_notice_follows_the_newest_state(waiting: Waiting, newest: Newest, decision: Decision) -> None:
    assert decide(waiting, newest, now=NOW) == decision


def test_at_night_a_reminder_waits_and_a_confirmation_does_not() -> None:
    night = jst("2026-11-24 22:00")
    assert decide(make_waiting(now=night), make_newest(), now=night) == Send()
    reminder = make_waiting(kind="reminder", keeps_quiet=True, now=night)
    assert decide(reminder, make_newest(), now=night) == LookAgain(jst("2026-11-25 08:00"))


def test_a_message_is_useful_until_the_start_but_a_cancellation_for_a_day() -> None:
    assert useful_until("confirmation", starts_at=START - timedelta(hours=1), now=NOW) == START - timedelta(hours=1)
    assert useful_until("confirmation", starts_at=NOW + timedelta(days=20), now=NOW) == NOW + timedelta(days=1)
    assert useful_until("reminder", starts_at=START, now=NOW) == START
    assert useful_until("cancellation", starts_at=NOW - timedelta(hours=1), now=NOW) == NOW + timedelta(days=1)


def test_occasions_tell_notices_apart() -> None:
    assert occasion_of("confirmation", sequence=0) == occasion_of("confirmation", sequence=3)
    assert occasion_of("change", sequence=1) != occasion_of("change", sequence=2)
    assert occasion_of("reminder", sequence=0, rule="before60") != occasion_of("reminder", sequence=0, rule="trial60")


@pytest.mark.parametrize(
    ("known", "told", "forward"),
    [
        (None, "accepted", True),
        ("accepted", "accepted", False),
        ("accepted", "delivered", True),
        ("delivered", "not_delivered", False),
        ("not_delivered", "delivered", True),
        ("delivered", "accepted", False),
    ],
)
def test_a_receipt_only_moves_forward(known: str | None, told: Delivery, forward: bool) -> None:
    assert is_forward(known, told) is forward
