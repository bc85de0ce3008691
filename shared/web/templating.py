"""The one Jinja environment: autoescape, strict names, translated text, and Japanese dates.

Instants arrive as aware UTC datetimes and are shown in Asia/Tokyo; a plain `date` (a birthday, a deadline) is shown as
it is. A naive datetime is a bug and raises ValueError, because nobody can say which day it falls on.
"""

import re
import unicodedata
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from babel.dates import format_date, format_time
from markupsafe import Markup

from shared.reference_number import show_number
from shared.web.assets import asset
from shared.web.i18n import (
    LANGUAGES,
    SOURCE,
    Language,
    current_language,
    gettext,
    translate,
    translate_plural,
    with_readings,
)
from shared.web.readings import with_ruby
from shared.web.town_texts import town_name, town_text

TOKYO = ZoneInfo("Asia/Tokyo")
TEMPLATE_DIR = Path(__file__).with_name("templates")
WEEKDAYS = "月火水木金土日"
NOON_HOUR = 12
BEFORE_MEIJI = 1867
HOUR_MIN = 60
# Of one process: several lists of some hundred entries.
DRAWN_MAX = 4_000
DRAWN_AT_ONCE = 20
_PHONE = re.compile(r"[+(]?\d[\d() -]*")
_NOT_DIALLED = re.compile(r"[^\d+]")

# First day of each era (元号法 and the imperial ordinances before it); Meiji from the Gregorian calendar's adoption on.
ERAS = (
    (date(2019, 5, 1), "令和", "Reiwa"),
    (date(1989, 1, 8), "平成", "Heisei"),
    (date(1926, 12, 25), "昭和", "Showa"),
    (date(1912, 7, 30), "大正", "Taisho"),
    (date(1873, 1, 1), "明治", "Meiji"),
)


class Page(jinja2.Template):
    """A template whose texts may bring readings: they become elements when the page is finished."""

    def render(self, *args: Any, **kwargs: Any) -> str:
        return with_ruby(super().render(*args, **kwargs))


class Pages(jinja2.Environment):
    """Where pages come from."""

    template_class = Page


@cache
def make_environment(*template_dirs: Path) -> jinja2.Environment:
    """Templates are looked for in the given folders first, then among the shared ones.

    One environment for the same folders: applications that come after each other in a process compile nothing again.
    """
    environment = Pages(
        loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(folder) for folder in (*template_dirs, TEMPLATE_DIR)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The extension adds this method at run time.
    environment.install_gettext_callables(translate, translate_plural, newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(
        jst_date=jst_date,
        jst_half=jst_half,
        jst_time=jst_time,
        jst_datetime=jst_datetime,
        jst_month=jst_month,
        jst_weekday=jst_weekday,
        iso=iso,
        wareki=wareki,
        yen=yen,
        duration=duration,
        tel=tel,
        asset=asset,
        reference=show_number,
        town_text=town_text,
        town_name=town_name,
    )
    environment.globals.update(
        static=asset,
        current_language=current_language,
        languages=tuple(LANGUAGES.values()),
        SOURCE_LANGUAGE=SOURCE,
        drawn=Drawn(),
    )
    return environment


class Drawn:
    """In a template, `for piece in drawn(macro, items)`: what the macro makes of the items, or made of equal ones.

    An item says what it was `made_of`, which is hashable: whatever is made of something equal is an equal item. For
    long lists of which little changes between one look and the next. The macro draws from its item alone, and the item
    names the town, if only by an id: words of ours differ between towns. It comes in pieces of several items: Jinja
    copies what it is given more than once, and copies of megabytes are what a long list is slow by.
    """

    def __init__(self, kept_max: int = DRAWN_MAX) -> None:
        self._kept: dict[tuple[str, str, Hashable], Markup] = {}
        self._kept_max = kept_max

    def __call__(self, macro: Any, items: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
        language = current_language().code
        for start in range(0, len(items), DRAWN_AT_ONCE):
            piece = items[start : start + DRAWN_AT_ONCE]
            yield Markup("\n").join(self._draw(macro, item, (macro.name, language, item["made_of"])) for item in piece)

    def _draw(self, macro: Any, item: Mapping[str, Any], key: tuple[str, str, Hashable]) -> Markup:
        drawn = self._kept.pop(key, None)
        if drawn is None:
            # A long list is sent to many screens: its rows are not indented as their templates are.
            drawn = Markup("\n").join(line.strip() for line in macro(item).splitlines())
            if len(self._kept) >= self._kept_max:
                # The one that nobody has asked for the longest.
                del self._kept[next(iter(self._kept))]
        self._kept[key] = drawn
        return drawn


def to_jst(moment: datetime) -> datetime:
    """An aware instant as Tokyo's wall clock. Raises ValueError when it is naive."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no day in Tokyo: pass an aware one")
    return moment.astimezone(TOKYO)


def to_day(value: date | datetime) -> date:
    """The calendar day in Tokyo."""
    return to_jst(value).date() if isinstance(value, datetime) else value


def jst_date(value: date | datetime, *, year: bool = True, weekday: bool = True, era: bool = False) -> str:
    """``2026年11月24日（火）``; without year ``11月24日（火）``; with era ``2026年（令和8年）11月24日（火）``."""
    day, language = to_day(value), current_language()
    if not _is_japanese(language):
        skeleton = ("EEE, " if weekday else "") + "d MMM" + (" y" if year else "")
        return format_date(day, skeleton, locale=language.babel)
    text = f"{day.month}月{day.day}日"
    if year:
        text = f"{day.year}年{f'（{wareki(day, year_only=True)}）' if era else ''}{text}"
    return text + (f"（{WEEKDAYS[day.weekday()]}）" if weekday else "")


def jst_weekday(value: date | datetime) -> str:
    """``火`` or ``Tue``."""
    day, language = to_day(value), current_language()
    return WEEKDAYS[day.weekday()] if _is_japanese(language) else format_date(day, "EEE", locale=language.babel)


def jst_month(value: date | datetime) -> str:
    """``2026年11月``, for the heading of a calendar."""
    day, language = to_day(value), current_language()
    return f"{day.year}年{day.month}月" if _is_japanese(language) else format_date(day, "MMMM y", locale=language.babel)


def jst_half(moment: datetime) -> str:
    """``午前`` or ``午後``, to be shown apart from ``jst_time(half=False)``; nothing at noon."""
    local, language = to_jst(moment), current_language()
    if not _is_japanese(language):
        return format_time(local.time(), "a", locale=language.babel)
    if (local.hour, local.minute) == (NOON_HOUR, 0):
        return ""
    return with_readings("午前" if local.hour < NOON_HOUR else "午後")


def jst_time(moment: datetime, *, short: bool = False, half: bool = True) -> str:
    """``午前9時30分``, ``午後2時``, ``正午`` (a bare ``午後0時`` is misread as midnight); short: ``9:30``.

    Without half ``9時30分``, for a list whose heading says 午前 or 午後.
    """
    local, language = to_jst(moment), current_language()
    if short:
        return f"{local.hour}:{local.minute:02}"
    if not _is_japanese(language):
        return format_time(local.time(), "h:mm a" if half else "h:mm", locale=language.babel)
    if (local.hour, local.minute) == (NOON_HOUR, 0):
        return with_readings("正午")
    return (
        (jst_half(moment) if half else "")
        + f"{local.hour % NOON_HOUR}時"
        + (f"{local.minute}分" if local.minute else "")
    )


def jst_datetime(moment: datetime, *, year: bool = True, era: bool = False, short: bool = False) -> str:
    """``2026年11月24日（火）午前9時30分``."""
    gap = " " if short or not _is_japanese(current_language()) else ""
    return jst_date(moment, year=year, era=era) + gap + jst_time(moment, short=short)


def iso(value: date | datetime) -> str:
    """For ``<time datetime>`` and ``data-until``: with Tokyo's offset, or a plain day."""
    return to_jst(value).isoformat(timespec="seconds") if isinstance(value, datetime) else value.isoformat()


def wareki(value: date | datetime, *, year_only: bool = False) -> str:
    """``令和8年11月24日`` or ``令和8年``; the first year is ``元年``. Before 1873 the Western year is given."""
    day = to_day(value)
    japanese = _is_japanese(current_language())
    for first_day, name, latin in ERAS:
        if day >= first_day:
            number = day.year - first_day.year + 1 if name != "明治" else day.year - BEFORE_MEIJI
            if not japanese:
                return f"{latin} {number}"
            year = with_readings(name) + (with_readings("元年") if number == 1 else f"{number}年")
            break
    else:
        year = f"{day.year}年" if japanese else str(day.year)
    return year if year_only or not japanese else f"{year}{day.month}月{day.day}日"


def yen(amount: int) -> str:
    """``1,200円``; nothing to pay is said in words."""
    if amount == 0:
        return gettext("無料")
    return f"{amount:,}円" if _is_japanese(current_language()) else f"¥{amount:,}"


def duration(length_min: int) -> str:
    """``20分``, ``1時間``, ``1時間30分``."""
    hours, minutes = divmod(length_min, HOUR_MIN)
    if hours and minutes:
        return gettext("%(hours)s時間%(minutes)s分", hours=hours, minutes=minutes)
    return gettext("%(hours)s時間", hours=hours) if hours else gettext("%(minutes)s分", minutes=minutes)


def tel(phone: str) -> str:
    """``tel:0463713311`` for ``0463-71-3311（代表）``: what a phone dials. What stands after the number is left out."""
    number = _PHONE.match(unicodedata.normalize("NFKC", phone).strip())
    return "tel:" + _NOT_DIALLED.sub("", number[0] if number else "")


def _is_japanese(language: Language) -> bool:
    return language.html_lang == "ja"
