"""What is said of a request for help: when, where, with whom, and why somebody was chosen."""

from collections.abc import Iterable

from services.booking.domain.help_requests import WEEKDAYS
from services.booking.domain.matching import HelpWindow, Need, Reason
from services.booking.domain.shifts import DAY_MIN
from services.booking.pages.wording import language_name, weekday_name
from services.booking.queries.help_requests import RequestView
from shared.web.i18n import gettext as _
from shared.web.templating import jst_date

NOON_MIN = 12 * 60
# Hours at which somebody may wish to begin.
FIRST_HOUR, LAST_HOUR = 9, 16
PARTS: dict[str, tuple[int, int]] = {
    "any": (0, DAY_MIN),
    "morning": (0, NOON_MIN),
    "afternoon": (NOON_MIN, DAY_MIN),
    **{str(hour): (hour * 60, hour * 60 + 60) for hour in range(FIRST_HOUR, LAST_HOUR + 1)},
}


def part_options() -> list[dict[str, str]]:
    """What can be chosen of a day."""
    named = {"any": _("いつでもよい"), "morning": _("午前だけ"), "afternoon": _("午後だけ")}
    return [
        {"value": part, "label": named.get(part) or _("%(hour)s時ごろ", hour=minutes[0] // 60)}
        for part, minutes in PARTS.items()
    ]


def say_help_window(window: HelpWindow) -> str:
    """``6月2日（火）から 6月9日（火）まで、午前だけ``."""
    first, last = jst_date(window.first_day, year=False), jst_date(window.last_day, year=False)
    days = first if first == last else _("%(first)sから %(last)sまで", first=first, last=last)
    part = next((part for part, minutes in PARTS.items() if minutes == (window.from_min, window.to_min)), "any")
    label = next(option["label"] for option in part_options() if option["value"] == part)
    weekdays = (
        "" if set(window.weekdays) == set(WEEKDAYS) else "・".join(weekday_name(each) for each in window.weekdays)
    )
    return "、".join(each for each in (days, weekdays, label) if each)


def say_wishes(found: RequestView) -> str:
    """The language, sign language and a class, as far as they were asked for."""
    said = []
    if found.language_need != "none" and found.language != "ja":
        said.append(f"{language_name(found.language)}{_need(found.language_need)}")
    if found.sign_need != "none":
        said.append(_("手話") + _need(found.sign_need))
    if found.in_class != "no":
        said.append(_("教室がよい") if found.in_class == "only" else _("教室でもよい"))
    return "、".join(said)


def say_venues(found: RequestView) -> str:
    """Where they would like it."""
    if not found.venue_names:
        return _("どこでもよい")
    names = "・".join(found.venue_names)
    return names if found.only_there else _("%(places)s（ほかでもよい）", places=names)


def _need(need: Need) -> str:
    return _("（かならず）") if need == "needed" else _("（できれば）")


def say_reasons(reasons: Iterable[Reason]) -> str:
    """``手話ができる・前にも会った・今月いちばん少ない``: why somebody was chosen."""
    named: dict[Reason, str] = {
        "skill": _("この内容を教えられる"),
        "language": _("ことばが通じる"),
        "sign": _("手話ができる"),
        "venue": _("希望の会場"),
        "known": _("前にも会った"),
        "least_load": _("今月いちばん少ない"),
    }
    return "・".join(named[reason] for reason in reasons)
