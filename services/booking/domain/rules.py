"""The town's policy: which slots may be given out now, and until when an appointment may be moved or cancelled."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shared.errors import Refusal

JST = ZoneInfo("Asia/Tokyo")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A town's booking rules; minutes and days. The defaults are the town pack's."""

    horizon_days: int = 45
    notice_min: int = 60
    cancel_until_min: int = 0
    hold_min: int = 10
    max_open_appointments: int = 5


class SlotTaken(Refusal):
    """The last place is somebody else's. `counters` and `policy` say where and when there may be another.

    `minutes` are needed in one piece; None: a time of a counter, as it is.
    """

    def __init__(self, counters: Sequence[str], policy: Policy, *, minutes: int | None = None) -> None:
        super().__init__("slot_taken", 409)
        self.counters = tuple(counters)
        self.policy = policy
        self.minutes = minutes


def policy_for(town: Policy, *, notice_min: int | None, horizon_days: int | None) -> Policy:
    """The town's policy for a procedure that may have a notice or a horizon of its own; None: it has the town's.

    Beyond the town's horizon there are no times, whatever a procedure says.
    """
    return msgspec.structs.replace(
        town,
        notice_min=town.notice_min if notice_min is None else notice_min,
        horizon_days=town.horizon_days if horizon_days is None else min(horizon_days, town.horizon_days),
    )


def earliest_start(policy: Policy, now: datetime) -> datetime:
    """Nothing that starts before this can be booked any more."""
    return now + timedelta(minutes=policy.notice_min)


def last_day(policy: Policy, now: datetime) -> date:
    """The last day, in Japan, that can be booked."""
    return now.astimezone(JST).date() + timedelta(days=policy.horizon_days)


def refuse_unbookable(policy: Policy, *, starts_at: datetime, withdrawn: bool, now: datetime) -> None:
    """Whether a slot may be given out now, apart from being free.

    Raises:
        Refusal: `slot_too_soon`, `slot_too_far`, `slot_closed` (409).
    """
    if starts_at < earliest_start(policy, now):
        raise Refusal("slot_too_soon", 409, notice_min=policy.notice_min)
    if starts_at.astimezone(JST).date() > last_day(policy, now):
        raise Refusal("slot_too_far", 409, last_day=last_day(policy, now).isoformat())
    if withdrawn:
        raise Refusal("slot_closed", 409)


def refuse_too_late(policy: Policy, *, state: str, starts_at: datetime, closed: bool = False, now: datetime) -> None:
    """Whether an appointment may still be moved or cancelled by the resident; one that a closing covers, at any time.

    Raises:
        Refusal: `appointment_cancelled`, `appointment_started` or `change_too_late` (409).
    """
    if state == "cancelled":
        raise Refusal("appointment_cancelled", 409)
    if closed and state == "booked":
        return
    if state != "booked" or now >= starts_at:
        raise Refusal("appointment_started", 409)
    if now > starts_at - timedelta(minutes=policy.cancel_until_min):
        raise Refusal("change_too_late", 409, cancel_until_min=policy.cancel_until_min)
