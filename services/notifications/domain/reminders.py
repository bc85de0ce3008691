"""When a reminder (リマインド) goes out, and whether it still should."""

from datetime import datetime, time, timedelta

import msgspec

from services.notifications.domain.quiet_hours import JST, TOWN_QUIET, Quiet, after_quiet, before_quiet, is_quiet

# A reminder that would come later than this before the appointment comes on the evening before instead.
LATEST_BEFORE_START = timedelta(minutes=60)
# The minutes before the quiet hours in which such a reminder is due.
EVENING_MARGIN = timedelta(minutes=15)
# Of a class, in the afternoon before.
DAY_BEFORE_AT = time(17)


class ReminderRule(msgspec.Struct, frozen=True, kw_only=True):
    """One of a town's rules: minutes before the start, or (for trying it out) seconds after the booking."""

    rule: str
    before_min: int | None = None
    after_booking_s: int | None = None

    @property
    def keeps_quiet(self) -> bool:
        """Whether quiet hours apply. Not to the trial, which follows at once what the person just did."""
        return self.after_booking_s is None


def rule_for_before(before_min: int) -> ReminderRule:
    """The rule "so many minutes before the start"."""
    return ReminderRule(rule=f"before{before_min}", before_min=before_min)


def rule_for_trial(after_booking_s: int) -> ReminderRule:
    """The rule "so many seconds after booking", for trying it out."""
    return ReminderRule(rule=f"trial{after_booking_s}", after_booking_s=after_booking_s)


def reminder_time(
    rule: ReminderRule, *, booked_at: datetime, starts_at: datetime, quiet: Quiet = TOWN_QUIET, now: datetime
) -> datetime | None:
    """When to remind, or None when the time has passed already: then the confirmation was reminder enough."""
    if rule.after_booking_s is not None:
        due_at = booked_at + timedelta(seconds=rule.after_booking_s)
    else:
        due_at = _out_of_quiet(starts_at - timedelta(minutes=rule.before_min or 0), starts_at, quiet)
    return due_at if now < due_at < starts_at else None


def remind_again_at(rule: ReminderRule, *, starts_at: datetime, now: datetime) -> datetime | None:
    """A reminder's time came late, inside the quiet hours: when to come back. None means now is right."""
    if not rule.keeps_quiet or not is_quiet(now):
        return None
    later = after_quiet(now)
    return later if later < starts_at else None


def day_before(starts_at: datetime) -> datetime:
    """The afternoon of the day before, in Japan."""
    day = starts_at.astimezone(JST).date() - timedelta(days=1)
    return datetime.combine(day, DAY_BEFORE_AT, JST).astimezone(starts_at.tzinfo)


def _out_of_quiet(moment: datetime, starts_at: datetime, quiet: Quiet) -> datetime:
    later = after_quiet(moment, quiet)
    if later <= starts_at - LATEST_BEFORE_START or not is_quiet(moment, quiet):
        return later
    return before_quiet(moment, quiet) - EVENING_MARGIN
