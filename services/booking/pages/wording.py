"""How booking's pages call a counter, a place and a near day."""

import unicodedata
from datetime import datetime

from services.booking.queries.appointments import AppointmentView
from shared.clock import jst_day
from shared.web.i18n import gettext as _
from shared.web.templating import jst_datetime, jst_time


def counter_label(number: str, name: str) -> str:
    """``7番窓口（子育て）``; a counter whose number is a name (相談室) is called by it."""
    if number.isascii() and number.isdigit():
        return _("%(number)s番窓口（%(name)s）", number=number, name=name)
    return f"{number}（{name}）"


def place_label(place: str, number: str, name: str) -> str:
    """``町役場 2階 7番窓口（子育て）``, also where the catalogue's place ends with the counter's number already."""
    words = place.split()
    if words and unicodedata.normalize("NFKC", words[-1]) in (number, f"{number}番", f"{number}番窓口"):
        words.pop()
    return " ".join([*words, counter_label(number, name)])


def where_is(found: AppointmentView) -> str:
    """The place of an appointment."""
    return place_label(found.counter_place, found.counter_number, found.counter_name)


def say_when(moment: datetime, *, now: datetime) -> str:
    """``きょう 午前10時``, ``あした 午前10時``, ``11月27日（金）午前10時``."""
    days = (jst_day(moment) - jst_day(now)).days
    near = {0: _("きょう %(time)s", time=jst_time(moment)), 1: _("あした %(time)s", time=jst_time(moment))}
    return near.get(days) or jst_datetime(moment, year=False)
