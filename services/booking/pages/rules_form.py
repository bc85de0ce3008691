"""The form for opening rules: a line of text for each weekday, and one for each day that is not as the others."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta

from services.booking.domain.opening import (
    AHEAD_MAX,
    HOURS_PER_DAY_MAX,
    PLACES_MAX,
    REASON_MAX_LENGTH,
    SLOT_MIN_MAX,
    SLOT_MIN_MIN,
    SPECIAL_DAYS_MAX,
    Hours,
    OpeningRule,
    Rhythm,
    SpecialDay,
    Version,
    WeekdayHours,
    are_sound,
)
from services.booking.queries.rules import Kind
from shared.web.forms import Form
from shared.web.i18n import gettext as _

WEEKDAYS = range(1, 8)
HOURS_MAX_LENGTH = 120
SPECIAL_LINES_MAX_LENGTH = 6_000
CLOSED_WORDS = ("休み", "お休み", "休")
USUAL_PATTERNS = ("every1", "every2", "every3", "every4", "nth1", "nth2", "nth3", "nth4", "nth13", "nth24")
# What counting weeks begins with: far enough back for a rhythm that is old.
FIRST_WEEK_BACK = timedelta(days=3_650)

_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_BETWEEN = re.compile(r"[、,\s]+")
_TILDES = "〜～~−–—‐ー"
_SPECIAL = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?\s+(\S+)(?:\s+(.*))?")


def read_version(form: Form, kind: Kind, *, today: date) -> Version | None:
    """The version that was typed; None when something is wrong, which the form's errors say."""
    first = form.day("valid_from", earliest=today + timedelta(days=1), latest=today + AHEAD_MAX)
    week = [read for weekday in WEEKDAYS if (read := _read_weekday(form, weekday)) is not None]
    counts_weeks = any(each.every_weeks > 1 for each in week)
    first_week = (
        form.day("first_week", earliest=today - FIRST_WEEK_BACK, latest=today + AHEAD_MAX) if counts_weeks else ""
    )
    slot_min = form.number("slot_min", lowest=SLOT_MIN_MIN, highest=SLOT_MIN_MAX)
    places = form.number("places", lowest=1, highest=PLACES_MAX) if kind == "counter" else "0"
    staff_only = form.number("staff_only_places", lowest=0, highest=PLACES_MAX) if kind == "counter" else "0"
    kiosk = form.number("kiosk_places", lowest=0, highest=PLACES_MAX) if kind == "counter" else "0"
    if places and staff_only and int(staff_only) > int(places):
        form.errors["staff_only_places"] = _("席の数までで入力してください。")
    elif places and staff_only and kiosk and int(staff_only) + int(kiosk) > int(places):
        form.errors["kiosk_places"] = _("職員だけが使う席と合わせて、席の数までで入力してください。")
    special_days = _read_special_days(form)
    if not form.ok:
        return None
    rule = OpeningRule(
        slot_min=int(slot_min),
        places=int(places),
        staff_only_places=int(staff_only),
        kiosk_places=int(kiosk),
        week=tuple(week),
        first_week=date.fromisoformat(first_week) if first_week else None,
        special_days=special_days,
    )
    return Version(valid_from=date.fromisoformat(first), rule=rule)


def fields_of(rule: OpeningRule, *, first: date) -> dict[str, str]:
    """What the form shows for a rule that is to be changed from a day on."""
    fields = {
        "slot_min": str(rule.slot_min),
        "places": str(rule.places),
        "staff_only_places": str(rule.staff_only_places),
        "kiosk_places": str(rule.kiosk_places),
        "special_days": "\n".join(special_line(special) for special in rule.special_days if special.day >= first),
        **_date_fields("valid_from", first),
        **(_date_fields("first_week", rule.first_week) if rule.first_week else {}),
    }
    for each in rule.week:
        fields[f"hours_{each.weekday}"] = show_hours(each.hours)
        fields[f"pattern_{each.weekday}"] = pattern_of(each)
    return fields


def pattern_of(each: Rhythm) -> str:
    """In which weeks, as the form sends it: ``every2``, ``nth13``."""
    return f"nth{''.join(map(str, each.nth))}" if each.nth else f"every{each.every_weeks}"


def read_pattern(pattern: str) -> tuple[int, tuple[int, ...]]:
    """Every how many weeks, and which of a month; of no pattern at all: every week."""
    numbers = tuple(int(digit) for digit in pattern if digit.isdigit())
    if pattern.startswith("nth"):
        return 1, numbers
    return (numbers[0] if numbers else 1), ()


def show_hours(hours: Sequence[Hours]) -> str:
    """``8:30〜12:00、13:00〜17:15``."""
    return "、".join(f"{_show_time(span.opens_at)}〜{_show_end(span.closes_at)}" for span in hours)


def special_line(special: SpecialDay) -> str:
    """``2027-01-05 休み 棚卸し``."""
    hours = show_hours(special.hours).replace("、", ",") or CLOSED_WORDS[0]
    return f"{special.day.isoformat()} {hours} {special.reason_ja}".rstrip()


def parse_hours(typed: str) -> tuple[Hours, ...] | None:
    """Hours in any width and with any dash; None when they cannot be read, or do not follow one another."""
    plain = unicodedata.normalize("NFKC", typed)
    plain = "".join("-" if sign in _TILDES else sign for sign in plain)
    plain = re.sub(r"\s*-\s*", "-", plain).strip()
    hours = []
    for part in filter(None, _BETWEEN.split(plain)):
        found = _SPAN.fullmatch(part)
        times = (_time(found[1], found[2]), _time(found[3], found[4])) if found else (None, None)
        if times[0] is None or times[1] is None:
            return None
        hours.append(Hours(times[0], times[1]))
    return tuple(hours) if are_sound(hours) else None


def parse_special_day(typed: str) -> SpecialDay | None:
    """A line for one day: the day, its hours or 休み, and why; None when it cannot be read."""
    found = _SPECIAL.fullmatch(unicodedata.normalize("NFKC", typed).strip())
    if found is None:
        return None
    hours = () if found[4] in CLOSED_WORDS else parse_hours(found[4])
    reason = (found[5] or "").strip()
    if hours is None or (not hours and found[4] not in CLOSED_WORDS) or not 0 < len(reason) <= REASON_MAX_LENGTH:
        return None
    try:
        return SpecialDay(day=date(int(found[1]), int(found[2]), int(found[3])), hours=hours, reason_ja=reason)
    except ValueError:
        return None


def parts_of(fields: Mapping[str, str], name: str) -> dict[str, str]:
    """The parts of a date as `date_fields` shows them."""
    return {part: fields.get(f"{name}_{part}", "") for part in ("year", "month", "day")}


def _read_weekday(form: Form, weekday: int) -> WeekdayHours | None:
    name, pattern_name = f"hours_{weekday}", f"pattern_{weekday}"
    typed = form.text(name, max_length=HOURS_MAX_LENGTH, required=False)
    hours = parse_hours(typed)
    if hours is None:
        form.errors[name] = _(
            "「8:30〜12:00、13:00〜17:15」の形で、早い順に%(most)s個まで入力してください。", most=HOURS_PER_DAY_MAX
        )
    if not hours:
        return None
    every_weeks, nth = read_pattern(form.choice(pattern_name, USUAL_PATTERNS))
    return WeekdayHours(weekday=weekday, hours=hours, every_weeks=every_weeks, nth=nth)


def _read_special_days(form: Form) -> tuple[SpecialDay, ...]:
    typed = form.long_text("special_days", max_length=SPECIAL_LINES_MAX_LENGTH, required=False)
    found: list[SpecialDay] = []
    for number, line in enumerate(typed.split("\n"), start=1):
        if not line.strip():
            continue
        special = parse_special_day(line)
        if special is None:
            form.errors["special_days"] = _(
                "%(number)s行めを確かめてください。例：2027-01-05 休み 棚卸しのため", number=number
            )
            return ()
        found.append(special)
    if len({special.day for special in found}) < len(found):
        form.errors["special_days"] = _("同じ日が2回書かれています。")
    if len(found) > SPECIAL_DAYS_MAX:
        form.errors["special_days"] = _("%(most)s日までにしてください。", most=SPECIAL_DAYS_MAX)
    return tuple(sorted(found, key=lambda special: special.day))


def _date_fields(name: str, day: date) -> dict[str, str]:
    return {f"{name}_year": str(day.year), f"{name}_month": str(day.month), f"{name}_day": str(day.day)}


def _time(hour: str, minute: str) -> time | None:
    if (int(hour), int(minute)) == (24, 0):
        return time(0)
    return time(int(hour), int(minute)) if int(hour) < 24 and int(minute) < 60 else None


def _show_time(moment: time) -> str:
    return f"{moment.hour}:{moment.minute:02}"


def _show_end(moment: time) -> str:
    return "24:00" if moment == time(0) else _show_time(moment)
