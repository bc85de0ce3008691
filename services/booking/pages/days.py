"""The calendar strip and the times of a day, for choosing and for changing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import days_between
from services.booking.domain.rules import last_day
from services.booking.queries.rules import get_rules, list_closed_days
from services.booking.queries.slots import CounterView, OpenSlot, ProcedureView, list_counters, list_slots
from shared.clock import JST, jst_day
from shared.web.i18n import gettext as _

FEW_MAX = 2
DAY_LENGTH = 10


class DayCell(msgspec.Struct, frozen=True, kw_only=True):
    """One day of the strip. `mark` says why it is closed, or None for the usual words."""

    day: date
    state: Literal["open", "few", "full", "closed"]
    mark: str | None = None


class CounterTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a day at one counter."""

    counter: CounterView
    slots: Sequence[OpenSlot]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page for choosing a time shows. `closed_because` explains an empty day."""

    days: Sequence[DayCell]
    day: date
    closed_because: str | None
    times: Sequence[CounterTimes]
    any_free: bool


async def read_choice(
    session: AsyncSession,
    municipality: str,
    procedure: ProcedureView,
    typed_day: str,
    *,
    without: UUID | None = None,
    now: datetime,
) -> Choice:
    """The days up to the horizon, and the times of the wanted day, or of the first that has a free place."""
    rules = await get_rules(session, municipality)
    first, last = jst_day(now), last_day(rules.policy, now)
    days = list(days_between(first, last))
    closed = await list_closed_days(session, municipality, rules, days)
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
    cells = [_cell(day, by_day.get(day, ()), closed, today=first) for day in days]
    free_days = [cell.day for cell in cells if cell.state in ("open", "few")]
    day = read_day(typed_day, first=first, last=last) or (free_days[0] if free_days else first)
    cell = cells[(day - first).days]
    counters = await list_counters(session, municipality)
    return Choice(
        days=cells,
        day=day,
        closed_because=_explain(cell, closed),
        times=_times(by_day.get(day, ()), counters),
        any_free=bool(free_days),
    )


def read_day(typed: str, *, first: date, last: date) -> date | None:
    """A day of an address, if it is one and can be booked."""
    try:
        day = date.fromisoformat(typed[:DAY_LENGTH])
    except ValueError:
        return None
    return day if first <= day <= last else None


def counter_label(number: str, name: str) -> str:
    """``7番窓口（子育て）``; a counter whose number is a name (相談室) is called by it."""
    if number.isascii() and number.isdigit():
        return _("%(number)s番窓口（%(name)s）", number=number, name=name)
    return f"{number}（{name}）"


def _cell(day: date, slots: Sequence[OpenSlot], closed: Mapping[date, str], *, today: date) -> DayCell:
    free = sum(slot.free for slot in slots)
    if free:
        return DayCell(day=day, state="few" if free <= FEW_MAX else "open", mark=_("のこり%(free)s", free=free))
    if slots:
        return DayCell(day=day, state="full", mark=_("満席"))
    if day in closed:
        return DayCell(day=day, state="closed", mark=closed[day])
    return DayCell(day=day, state="closed", mark=_("受付終了") if day == today else None)


def _explain(cell: DayCell, closed: Mapping[date, str]) -> str | None:
    if cell.state == "full":
        return _("この日は満席です。ほかの日を選んでください。")
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
