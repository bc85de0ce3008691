"""How booking's pages call a counter, a place and a near day."""

from datetime import datetime

from services.booking.queries.appointments import AppointmentView
from shared.clock import jst_day
from shared.web.i18n import gettext as _
from shared.web.places import counter_label, place_label
from shared.web.templating import jst_datetime, jst_time

__all__ = ["counter_label", "place_label", "say_when", "where_for_others", "where_is"]


def where_is(found: AppointmentView) -> str:
    """The place of an appointment."""
    return place_label(found.counter_place, found.counter_number, found.counter_name)


def where_for_others(found: AppointmentView) -> str:
    """The place as others may read it, in a shared calendar: a counter's name may tell what it is about."""
    return place_label(found.counter_place, found.counter_number, "" if found.discreet else found.counter_name)


def say_when(moment: datetime, *, now: datetime) -> str:
    """``きょう 午前10時``, ``あした 午前10時``, ``11月27日（金）午前10時``."""
    days = (jst_day(moment) - jst_day(now)).days
    near = {0: _("きょう %(time)s", time=jst_time(moment)), 1: _("あした %(time)s", time=jst_time(moment))}
    return near.get(days) or jst_datetime(moment, year=False)
