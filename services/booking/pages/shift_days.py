"""A single day at a venue, beyond a helper's rhythm: the form for it, and taking it back, for them and coordinators."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from litestar import Request
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.shifts import AddShift
from services.booking.domain.shifts import DAYS_AHEAD_MAX, day_span
from services.booking.pages.wording import minute_label, venue_label
from services.booking.queries.helpers import ShiftView, VenueView, list_shifts
from services.booking.queries.own import VisitView, list_visits
from shared.web.forms import DATE_PARTS, Form
from shared.web.pages import page

# Half hours of the day in which venues are open anywhere.
FIRST_MIN, LAST_MIN, STEP_MIN = 8 * 60, 21 * 60, 30
TIMES = tuple(str(minute) for minute in range(FIRST_MIN, LAST_MIN + 1, STEP_MIN))
USUAL = {"from": str(10 * 60), "to": str(12 * 60), "venue": ""}
VENUE_MAX_LENGTH = 20


def time_label(shift: ShiftView) -> str:
    """``10:00〜12:00``."""
    return f"{minute_label(shift.from_min)}〜{minute_label(shift.to_min)}"


def read_day(form: Form, *, today: date) -> AddShift | None:
    """The day, times and venue of the form; None: something is missing, and the form has the words."""
    day = form.day("day", earliest=today, latest=today + DAYS_AHEAD_MAX)
    from_min, to_min = form.choice("from", TIMES), form.choice("to", TIMES)
    if not form.ok:
        return None
    only_on = date.fromisoformat(day)
    return AddShift(
        venue=form.value("venue")[:VENUE_MAX_LENGTH],
        weekday=only_on.isoweekday(),
        from_min=int(from_min),
        to_min=int(to_min),
        only_on=only_on,
    )


def day_form(action: str, venues: Sequence[VenueView], form: Form | None) -> dict[str, Any]:
    """The form, as it was filled in."""
    return {
        "action": action,
        "times": time_options(FIRST_MIN, LAST_MIN),
        "venues": [{"value": venue.code, "label": venue_label(venue.name_ja, venue.place_ja)} for venue in venues],
        "day": {part: form.value(f"day_{part}") for part in DATE_PARTS} if form else {},
        "typed": {name: (form.value(name) if form else "") or usual for name, usual in USUAL.items()},
    }


def time_options(first_min: int, last_min: int) -> list[dict[str, str]]:
    """Half hours, from the first to the last."""
    return [{"value": str(each), "label": minute_label(each)} for each in range(first_min, last_min + 1, STEP_MIN)]


def days_ahead(shifts: Sequence[ShiftView], *, today: date) -> list[dict[str, Any]]:
    """The single days among shifts that are not past."""
    return [
        {"id": each.shift_id, "day": each.only_on, "time": time_label(each), "venue": each.venue_name}
        for each in shifts
        if each.only_on is not None and each.only_on >= today
    ]


async def find_shift(
    session: AsyncSession, municipality: str, helper_ref: str, shift_id: UUID
) -> tuple[ShiftView, list[VisitView]] | None:
    """A helper's time, and the visits in it, if it is a single day; None: it is not there any more."""
    found = [each for each in await list_shifts(session, municipality, helper_ref) if each.shift_id == shift_id]
    for shift in found:
        if shift.only_on is None:
            return shift, []
        starts_at, ends_at = day_span(shift.only_on, shift.from_min, shift.to_min)
        visits = await list_visits(session, municipality, helper_ref, first=shift.only_on, last=shift.only_on)
        within = [each for each in visits if each.starts_at < ends_at and starts_at < each.ends_at]
        return shift, [each for each in within if each.venue == shift.venue]
    return None


def remove_day_page(
    request: Request[Any, Any, Any],
    shift: ShiftView,
    visits: Sequence[VisitView],
    *,
    action: str,
    back: str,
    now: datetime,
    whose: str = "",
) -> Template:
    """Really take the day back? And what becomes of its visits. A coordinator sees `whose` it is."""
    return page(
        request,
        "shift_day_remove.html",
        day=shift.only_on,
        time=time_label(shift),
        venue=shift.venue_name,
        visits=[each for each in visits if each.starts_at > now],
        action=action,
        back=back,
        whose=whose,
    )
