"""How booking's pages call a counter, a place and a near day."""

from datetime import date, datetime

from services.booking.queries.appointments import AppointmentView
from services.booking.queries.rules import YEAR_END_NAME_JA
from services.booking.queries.slots import CounterView
from shared.clock import jst_day
from shared.web.i18n import gettext as _
from shared.web.places import counter_label, place_label, short_counter_label, venue_label
from shared.web.templating import duration, jst_date, jst_datetime, jst_time
from shared.web.town_texts import town_text

DAY_IN_LIEU = " 振替休日"
DAY_MIN = 24 * 60

__all__ = [
    "closing_reason",
    "closure_reason",
    "counter_label",
    "language_name",
    "minute_label",
    "notice_label",
    "pattern_label",
    "place_label",
    "say_day",
    "say_when",
    "short_counter_label",
    "time_left",
    "venue_label",
    "weekday_name",
    "where_for_others",
    "where_is",
    "where_to_go",
]


def weekday_name(weekday: int) -> str:
    """An ISO weekday."""
    return [_("月曜日"), _("火曜日"), _("水曜日"), _("木曜日"), _("金曜日"), _("土曜日"), _("日曜日")][weekday - 1]


def pattern_label(pattern: str) -> str:
    """In which weeks: ``毎週``, ``2週に1回``, ``毎月 第1・第3``."""
    kind = pattern.rstrip("0123456789")
    digits = pattern.removeprefix(kind)
    if kind == "nth":
        numbers = [_("第%(number)s", number=digit) for digit in digits]
        return _("毎月 %(numbers)s", numbers="・".join(numbers))
    return _("毎週") if digits == "1" else _("%(weeks)s週に1回", weeks=digits)


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


def closure_reason(name: str) -> str:
    """Why a day is closed: a national holiday (as `jpholiday` names it), the year's end, or the town's own words."""
    holidays = {
        "元日": _("元日"),
        "成人の日": _("成人の日"),
        "建国記念の日": _("建国記念の日"),
        "天皇誕生日": _("天皇誕生日"),
        "春分の日": _("春分の日"),
        "昭和の日": _("昭和の日"),
        "憲法記念日": _("憲法記念日"),
        "みどりの日": _("みどりの日"),
        "こどもの日": _("こどもの日"),
        "海の日": _("海の日"),
        "山の日": _("山の日"),
        "敬老の日": _("敬老の日"),
        "秋分の日": _("秋分の日"),
        "スポーツの日": _("スポーツの日"),
        "文化の日": _("文化の日"),
        "勤労感謝の日": _("勤労感謝の日"),
        "国民の休日": _("国民の休日"),
        YEAR_END_NAME_JA: _("年末年始"),
    }
    holiday = name.removesuffix(DAY_IN_LIEU)
    if holiday != name and holiday in holidays:
        return _("%(holiday)sの振替休日", holiday=holidays[holiday])
    return holidays.get(name) or town_text(name)


def where_is(found: AppointmentView) -> str:
    """The place of an appointment."""
    return place_label(found.counter_place, found.counter_number, found.counter_name)


def where_for_others(found: AppointmentView) -> str:
    """The place as others may read it, in a shared calendar: a counter's name may tell what it is about."""
    # A venue has no number, and its name tells no more than its address.
    name = "" if found.discreet and found.counter_number else found.counter_name
    return place_label(found.counter_place, found.counter_number, name)


def say_when(moment: datetime, *, now: datetime) -> str:
    """``今日 午前10時``, ``あした 午前10時``, ``11月27日（金）午前10時``."""
    days = (jst_day(moment) - jst_day(now)).days
    near = {0: _("今日 %(time)s", time=jst_time(moment)), 1: _("あした %(time)s", time=jst_time(moment))}
    return near.get(days) or jst_datetime(moment, year=False)


def say_day(day: date, *, today: date) -> str:
    """``今日 6月1日（月）``, ``あした 6月2日（火）``, ``6月8日（月）``."""
    said = jst_date(day, year=False)
    near = {0: _("今日 %(day)s", day=said), 1: _("あした %(day)s", day=said)}
    return near.get((day - today).days, said)


def time_left(until: datetime, *, now: datetime) -> str:
    """``あと3時間``, whole hours; of the last one ``あと20分``."""
    minutes = max(int((until - now).total_seconds() // 60), 0)
    hours = minutes // 60
    return _("あと%(hours)s時間", hours=hours) if hours else _("あと%(minutes)s分", minutes=minutes)


def closing_reason(reason: str) -> str:
    """Why a counter is closed for a time."""
    return {"weather": _("台風や大雪など"), "power": _("停電"), "illness": _("担当者の急病"), "other": _("その他")}[
        reason
    ]


def notice_label(notice_min: int) -> str:
    """How long before: ``3日``, or shorter than a day ``2時間``."""
    days, rest_min = divmod(notice_min, DAY_MIN)
    return _("%(days)s日", days=days) if days and not rest_min else duration(notice_min)


def where_to_go(where: str, counter: CounterView | None) -> str:
    """Another time's place, and how far it is from the one that was wanted: ``7番窓口（子育て）・同じ建物``."""
    far = {"same_counter": _("同じ場所"), "same_building": _("同じ建物"), "elsewhere": _("別の建物")}[where]
    if counter is None:
        return far
    return _("%(place)s・%(far)s", place=counter_label(counter.number, counter.name_ja), far=far)
