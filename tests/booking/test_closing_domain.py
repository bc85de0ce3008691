"""Rules of closings: what reaches into a closed time, and until when a place is kept."""

from datetime import UTC, datetime, timedelta

import pytest

from services.booking.domain.calendar import SlotTime
from services.booking.domain.closings import (
    OFFER_AT_LEAST_MIN,
    OFFER_LIFETIME,
    ClosedTime,
    is_closed,
    offer_until,
    offering,
)
from services.booking.domain.rules import Policy, earliest_start, refuse_too_late
from shared.errors import Refusal

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOON = NOW + timedelta(hours=3)
MICRO = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "expected"),
    [
        (NOON - HOUR, NOON, False),
        (NOON - HOUR, NOON + MICRO, True),
        (NOON, NOON + HOUR, True),
        (NOON + HOUR - MICRO, NOON + HOUR + HOUR, True),
        (NOON + HOUR, NOON + HOUR + HOUR, False),
    ],
)
@pytest.mark.parametrize("counter", ["7", None])
def test_a_slot_is_closed_when_a_moment_of_it_is(
    starts_at: datetime, ends_at: datetime, expected: bool, counter: str | None
) -> None:
    closed = [ClosedTime(counter=counter, starts_at=NOON, ends_at=NOON + HOUR)]
    assert is_closed("7", SlotTime(starts_at, ends_at), closed) is expected


def test_another_counter_is_open() -> None:
    closed = [ClosedTime(counter="3", starts_at=NOON, ends_at=NOON + HOUR)]
    assert not is_closed("7", SlotTime(NOON, NOON + HOUR), closed)


def test_a_place_is_kept_a_day_or_until_it_could_not_be_booked_any_more() -> None:
    policy = Policy(notice_min=60)
    end = NOW + OFFER_LIFETIME
    assert offer_until(policy, starts_at=end + HOUR, now=NOW) == end
    assert offer_until(policy, starts_at=end + HOUR - MICRO, now=NOW) == end - MICRO


def test_what_is_looked_for_can_be_kept_long_enough() -> None:
    policy = Policy(notice_min=60)
    first = earliest_start(offering(policy), NOW)
    assert offer_until(policy, starts_at=first, now=NOW) == NOW + timedelta(minutes=OFFER_AT_LEAST_MIN)


def test_what_is_closed_can_be_moved_when_its_time_has_passed() -> None:
    policy = Policy(cancel_until_min=60)
    refuse_too_late(policy, state="booked", starts_at=NOW, closed=True, now=NOW + HOUR)
    with pytest.raises(Refusal, match="appointment_started"):
        refuse_too_late(policy, state="checked_in", starts_at=NOW, closed=True, now=NOW)
    with pytest.raises(Refusal, match="appointment_cancelled"):
        refuse_too_late(policy, state="cancelled", starts_at=NOW, closed=True, now=NOW)
