"""How staff read opening rules, and what a new version would do."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from services.booking.domain.calendar import SlotTime
from services.booking.domain.opening import OpeningRule, SpecialDay, WeekdayHours
from services.booking.pages.rules_form import pattern_of, show_hours
from services.booking.pages.wording import pattern_label, weekday_name
from services.booking.queries.opening import Preview
from shared.clock import JST
from shared.reference_number import show_number
from shared.web.i18n import gettext as _
from shared.web.templating import jst_date, jst_time, jst_weekday

# A preview of months names the first days of each kind, and counts the rest.
DAYS_SHOWN_MAX = 14
SOME_MONDAY = date(2024, 1, 1)


def week_lines(rule: OpeningRule) -> list[dict[str, str]]:
    """The week as it is read: weekdays with the same hours on one line."""
    lines: dict[tuple[str, str], list[WeekdayHours]] = defaultdict(list)
    for each in rule.week:
        if each.hours:
            lines[pattern_of(each), show_hours(each.hours)].append(each)
    return [
        {
            "days": "・".join(jst_weekday(SOME_MONDAY + timedelta(days=each.weekday - 1)) for each in found)
            if len(found) > 1
            else weekday_name(found[0].weekday),
            "pattern": "" if pattern == "every1" else pattern_label(pattern),
            "hours": hours,
        }
        for (pattern, hours), found in lines.items()
    ]


def special_lines(specials: Sequence[SpecialDay], *, today: date) -> list[str]:
    """The days that are not as the others, from today on."""
    return [
        _(
            "%(day)s %(hours)s（%(reason)s）",
            day=jst_date(special.day),
            hours=show_hours(special.hours) or _("休み"),
            reason=special.reason_ja,
        )
        for special in specials
        if special.day >= today
    ]


def rule_view(rule: OpeningRule, *, today: date) -> dict[str, Any]:
    """A rule for a page."""
    return {
        "week": week_lines(rule),
        "slot_min": rule.slot_min,
        "places": rule.places,
        "staff_only_places": rule.staff_only_places,
        "kiosk_places": rule.kiosk_places,
        "first_week": rule.first_week,
        "special_days": special_lines(rule.special_days, today=today),
    }


def preview_view(preview: Preview) -> dict[str, Any]:
    """What a new version would do, in counts and days."""
    return {
        "first": preview.first,
        "last": preview.last,
        "is_beyond": preview.first > preview.last,
        "appearing": _days_of(preview.appearing),
        "appearing_count": len(preview.appearing),
        "disappearing": _days_of(preview.disappearing),
        "disappearing_count": len(preview.disappearing),
        "resized": _days_of([change.before for change in preview.resized]),
        "resized_count": len(preview.resized),
        "conflicts": [
            {"number": show_number(found.number), "starts_at": found.starts_at, "procedure": found.procedure}
            for found in preview.conflicts
        ],
    }


def _days_of(slots: Sequence[SlotTime]) -> dict[str, Any]:
    """The first days on which these slots are, with their times, and how many days are left out."""
    by_day: dict[date, list[str]] = defaultdict(list)
    for slot in slots:
        local = slot.starts_at.astimezone(JST)
        by_day[local.date()].append(jst_time(local, short=True))
    days = [{"day": day, "times": "、".join(times)} for day, times in list(by_day.items())[:DAYS_SHOWN_MAX]]
    return {"days": days, "more": max(0, len(by_day) - DAYS_SHOWN_MAX)}
