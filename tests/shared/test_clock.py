"""The time that processes agree on."""

from datetime import UTC, datetime, timedelta

from shared.clock import TOLERANCE, AgreedClock, utc_now
from shared.timekeeping import NOTICED_WITHIN_S, may_differ, may_outlive

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Pace:
    """A clock that nobody sets: seconds since some moment."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def heard(clock: AgreedClock, pace: Pace, told: datetime, *, way_s: float = 0.0) -> bool:
    """The database tells `told`, halfway of its way; whether that was a step."""
    return clock.agree(told, asked_at=pace.seconds - way_s / 2, answered_at=pace.seconds + way_s / 2)


def test_until_the_database_is_heard_it_is_the_machines() -> None:
    clock = AgreedClock()
    assert not clock.is_agreed
    before = utc_now()
    assert before <= clock() <= utc_now()


def test_it_runs_on_from_what_the_database_told() -> None:
    pace = Pace()
    clock = AgreedClock(pace=pace)
    heard(clock, pace, NOON)
    pace.seconds += 7.5
    assert clock() == NOON + timedelta(seconds=7.5)


def test_a_trial_has_another_day_and_the_same_pace() -> None:
    pace = Pace()
    clock = AgreedClock(shift=-HOUR, pace=pace)
    heard(clock, pace, NOON)
    pace.seconds += 1
    assert clock() == NOON - HOUR + timedelta(seconds=1)


def test_what_the_way_may_explain_changes_nothing() -> None:
    pace = Pace()
    clock = AgreedClock(pace=pace)
    heard(clock, pace, NOON)
    pace.seconds += 10
    heard(clock, pace, NOON + timedelta(seconds=10.3), way_s=0.6)
    assert clock() == NOON + timedelta(seconds=10)
    heard(clock, pace, NOON + timedelta(seconds=10) + 2 * TOLERANCE)
    assert clock() == NOON + timedelta(seconds=10) + 2 * TOLERANCE
    assert not clock.has_stepped_within(60), "that is no step"


def test_a_step_is_followed_and_remembered_for_a_while() -> None:
    pace = Pace()
    clock = AgreedClock(pace=pace)
    heard(clock, pace, NOON + HOUR)
    assert not clock.has_stepped_within(60), "the first word is no step, however far the machine is off"
    pace.seconds += 10
    assert heard(clock, pace, NOON + timedelta(seconds=10))
    assert clock() == NOON + timedelta(seconds=10)
    pace.seconds += 59
    assert clock.has_stepped_within(60)
    pace.seconds += 1
    assert not clock.has_stepped_within(60)


def test_a_slow_answer_tells_of_a_step_all_the_same() -> None:
    pace = Pace()
    clock = AgreedClock(pace=pace)
    heard(clock, pace, NOON)
    assert heard(clock, pace, NOON + HOUR, way_s=2.0)
    assert clock() == NOON + HOUR


def test_who_is_not_answered_may_have_missed_a_step() -> None:
    pace = Pace()
    clock = AgreedClock(pace=pace)
    assert may_differ(clock), "it never heard the time"
    heard(clock, pace, NOON)
    assert not may_differ(clock)
    assert may_outlive(clock, 30), "what was before it does not know"
    pace.seconds += NOTICED_WITHIN_S
    assert may_differ(clock)
    heard(clock, pace, NOON + timedelta(seconds=NOTICED_WITHIN_S))
    assert not may_differ(clock)
    pace.seconds += 30
    heard(clock, pace, NOON + timedelta(seconds=NOTICED_WITHIN_S + 30))
    assert not may_outlive(clock, 30)
    heard(clock, pace, NOON)
    assert may_differ(clock)
    assert may_outlive(clock, 30)
    pace.seconds += NOTICED_WITHIN_S
    heard(clock, pace, NOON + timedelta(seconds=NOTICED_WITHIN_S))
    assert not may_differ(clock)
    assert may_outlive(clock, 30)
