"""Two weeks of days, and the times of one of them, for choosing and for changing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import days_between
from services.booking.domain.rules import last_day
from services.booking.pages.wording import closure_reason
from services.booking.queries.rules import get_rules, list_closed_days
from services.booking.queries.slots import (
    CounterView,
    OpenSlot,
    ProcedureView,
    is_open_on,
    list_counters,
    list_slots,
)
from shared.clock import JST, jst_day
from shared.web.i18n import gettext as _

FEW_MAX = 2
DAY_LENGTH = 10
# Whole calendar weeks, so that weekdays stand below one another.
SHOWN_DAYS = 14


class DayCell(msgspec.Struct, frozen=True, kw_only=True):
    """One day of the strip; `over` is today after its last time. `mark` is more than the usual words, or None."""

    day: date
    state: Literal["open", "few", "full", "over", "closed"]
    mark: str | None = None


class CounterTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a day at one counter."""

    counter: CounterView
    slots: Sequence[OpenSlot]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page for choosing a time shows.

    `days` are two weeks of those that can be booked; `earlier` and `later` begin the weeks beside them. `earliest` is
    the first free slot of all. `closed_because` explains an empty day.
    """

    days: Sequence[DayCell]
    earlier: date | None
    later: date | None
    day: date
    closed_because: str | None
    times: Sequence[CounterTimes]
    earliest: OpenSlot | None


async def read_choice(
    session: AsyncSession,
    municipality: str,
    procedure: ProcedureView,
    *,
    typed_day: str,
    typed_from: str = "",
    without: UUID | None = None,
    now: datetime,
) -> Choice:
    """The two weeks with the wanted day or from the wanted one, else those with the first free place; and its times."""
    rules = await get_rules(session, municipality)
    first, last = jst_day(now), last_day(rules.policy, now)
    slots = [
        slot
        for slot in await list_slots(
            session, municipality, procedure.counters, rules.policy, first=first, last=last, now=now
        )
        if slot.slot_id != without
    ]
    by_day: dict[date, list[OpenSlot]] = defaultdict(list)
    for slot in slots:
        by_day[slot.starts_at.astimezone(JST).date()].append(slot)
    earliest = next((slot for slot in slots if slot.free), None)

    wanted = read_day(typed_day, first=first, last=last)
    wanted_from = read_day(typed_from, first=first, last=last)
    first_free = earliest.starts_at.astimezone(JST).date() if earliest else first
    begin, end = two_weeks(wanted or wanted_from or first_free, first=first, last=last)
    days = list(days_between(begin, end))
    names = await list_closed_days(session, municipality, rules, days, counters=procedure.counters)
    closed = {day: closure_reason(name) for day, name in names.items()}
    over = first if first in days and await is_open_on(session, municipality, procedure.counters, first) else None
    cells = [_cell(day, by_day.get(day, ()), closed, over=over) for day in days]
    free_here = next((cell.day for cell in cells if cell.state in ("open", "few")), None)
    day = wanted or free_here or begin
    is_full = wanted is None and free_here is None and earliest is not None
    return Choice(
        days=cells,
        earlier=max(begin - timedelta(days=SHOWN_DAYS), first) if begin > first else None,
        later=end + timedelta(days=1) if end < last else None,
        day=day,
        closed_because=_("この2週間に、空いている時間はありません。ほかの週を見てください。")
        if is_full
        else _explain(cells[(day - begin).days], closed),
        times=() if is_full else _times(by_day.get(day, ()), await list_counters(session, municipality)),
        earliest=earliest,
    )


def two_weeks(day: date, *, first: date, last: date) -> tuple[date, date]:
    """The first and last day of the two calendar weeks that hold a day, counted from the week of `first` on."""
    monday = first - timedelta(days=first.weekday())
    begin = monday + (day - monday) // timedelta(days=SHOWN_DAYS) * timedelta(days=SHOWN_DAYS)
    return max(begin, first), min(begin + timedelta(days=SHOWN_DAYS - 1), last)


def read_day(typed: str, *, first: date, last: date) -> date | None:
    """A day of an address, if it is one and can be booked."""
    try:
        day = date.fromisoformat(typed[:DAY_LENGTH])
    except ValueError:
        return None
    return day if first <= day <= last else None


def is_day(typed: str) -> bool:
    """Whether a text is a day as our own pages write it."""
    try:
        return date.fromisoformat(typed).isoformat() == typed
    except ValueError:
        return False


def _cell(day: date, slots: Sequence[OpenSlot], closed: Mapping[date, str], *, over: date | None) -> DayCell:
    free = sum(slot.free for slot in slots)
    if free:
        return DayCell(day=day, state="few" if free <= FEW_MAX else "open", mark=_("のこり%(free)s", free=free))
    if slots:
        return DayCell(day=day, state="full", mark=_("満席"))
    if day in closed:
        return DayCell(day=day, state="closed", mark=closed[day])
    return DayCell(day=day, state="over" if day == over else "closed")


def _explain(cell: DayCell, closed: Mapping[date, str]) -> str | None:
    if cell.state == "full":
        return _("この日は満席です。ほかの日を選んでください。")
    if cell.state == "over":
        return _("この日の受付は終わりました。ほかの日を選んでください。")
    if cell.state != "closed":
        return None
    if cell.day in closed:
        return _("この日は%(reason)sのため、お休みです。ほかの日を選んでください。", reason=closed[cell.day])
    return _("この日は受け付けていません。ほかの日を選んでください。")


def _times(slots: Sequence[OpenSlot], counters: Mapping[str, CounterView]) -> list[CounterTimes]:
    by_counter: dict[str, list[OpenSlot]] = defaultdict(list)
    for slot in slots:
        by_counter[slot.counter].append(slot)
    return [
        CounterTimes(
            counter=counters.get(code) or CounterView(code=code, number=code, name_ja=code, office="", place_ja=""),
            slots=found,
        )
        for code, found in sorted(by_counter.items())
    ]
