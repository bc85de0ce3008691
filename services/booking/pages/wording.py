"""How booking's pages call a counter, a place and a near day."""

import unicodedata
from datetime import datetime

from services.booking.queries.appointments import AppointmentView
from shared.clock import jst_day
from shared.web.i18n import gettext as _
from shared.web.templating import jst_datetime, jst_time


def counter_label(number: str, name: str) -> str:
    """``7番窓口（子育て）``; a counter whose number is a name (相談室) is called by it, a venue by its name alone."""
    if not number:
        return name
    if number.isascii() and number.isdigit():
        return _("%(number)s番窓口（%(name)s）", number=number, name=name)
    return f"{number}（{name}）"


def short_counter_label(number: str) -> str:
    """``7番窓口``; a counter whose number is a name (相談室) is called by it."""
    return _("%(number)s番窓口", number=number) if number.isascii() and number.isdigit() else number


def place_label(place: str, number: str, name: str) -> str:
    """``町役場 2階 7番窓口（子育て）``, also where the catalogue's place ends with the counter's number already."""
    if not number:
        return venue_label(name, place)
    words = place.split()
    if words and unicodedata.normalize("NFKC", words[-1]) in (number, f"{number}番", f"{number}番窓口"):
        words.pop()
    return " ".join([*words, counter_label(number, name)])


def venue_label(name: str, place: str) -> str:
    """``公民館（町民センター 2階）``."""
    return f"{name}（{place}）" if place else name


def weekday_name(weekday: int) -> str:
    """An ISO weekday."""
    return [_("月曜日"), _("火曜日"), _("水曜日"), _("木曜日"), _("金曜日"), _("土曜日"), _("日曜日")][weekday - 1]


def minute_label(minute: int) -> str:
    """Minutes from midnight as a time: ``9:30``."""
    return f"{minute // 60}:{minute % 60:02}"


def language_name(code: str) -> str:
    """A language in the reader's own words; what is not known stays a code."""
    names = {
        "ja": _("日本語"),
        "ja-easy": _("やさしい日本語"),
        "en": _("英語"),
        "zh": _("中国語"),
        "ko": _("韓国語"),
        "pt": _("ポルトガル語"),
        "es": _("スペイン語"),
        "vi": _("ベトナム語"),
        "tl": _("タガログ語"),
    }
    return names.get(code, code)


def where_is(found: AppointmentView) -> str:
    """The place of an appointment."""
    return place_label(found.counter_place, found.counter_number, found.counter_name)


def say_when(moment: datetime, *, now: datetime) -> str:
    """``きょう 午前10時``, ``あした 午前10時``, ``11月27日（金）午前10時``."""
    days = (jst_day(moment) - jst_day(now)).days
    near = {0: _("きょう %(time)s", time=jst_time(moment)), 1: _("あした %(time)s", time=jst_time(moment))}
    return near.get(days) or jst_datetime(moment, year=False)
