"""The free times to choose from, for booking and for changing: a month and the times of a day, or a list."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import days_between
from services.booking.domain.rules import Policy, last_day
from services.booking.pages.look import Look
from services.booking.pages.wording import closure_reason
from services.booking.queries.free import After, DayCount, list_days, list_next_free
from services.booking.queries.rules import Rules, get_rules, list_closed_days
from services.booking.queries.runs import Need
from services.booking.queries.slots import CounterView, OpenSlot, ProcedureView, list_counters, list_slots
from shared.clock import jst_day
from shared.web.i18n import gettext as _

FEW_MAX = 2
# From half of a day's places on, there is plenty.
PLENTY_SHARE = 0.5
LISTED_MAX = 20
WEEK_DAYS = 7

State = Literal["plenty", "open", "few", "full", "over", "closed", "none"]


class DayCell(msgspec.Struct, frozen=True, kw_only=True):
    """One day of a month. `over`: its last time is, or is too near; `none`: past, or beyond the horizon.

    `mark` says more than the usual words: how many places are left, or why it is closed.
    """

    day: date
    state: State
    mark: str | None = None


class ClosedDays(msgspec.Struct, frozen=True, kw_only=True):
    """Days after one another that are closed for the same reason."""

    first: date
    last: date
    reason: str


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month in weeks from Monday on, None for a day of another month; and the months beside it, if they have days."""

    first: date
    weekdays: Sequence[date]
    weeks: Sequence[Sequence[DayCell | None]]
    closed: Sequence[ClosedDays]
    earlier: date | None
    later: date | None

    @property
    def states(self) -> set[State]:
        """What its legend has to explain."""
        return {cell.state for week in self.weeks for cell in week if cell}


class CounterTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a day at one counter."""

    counter: CounterView
    slots: Sequence[OpenSlot]


class DayTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The free times of a day in the list, with their counters."""

    day: date
    slots: Sequence[tuple[OpenSlot, CounterView]]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page for choosing a time shows.

    `places` are where it can be done, if there is more than one; `earliest` is the first free slot of them all.
    `closed_because` explains an empty day. `more` is the look with the list's next page.
    """

    look: Look
    places: Sequence[CounterView]
    earliest: OpenSlot | None
    earliest_at: CounterView | None
    last: date
    notice_min: int | None
    day: date
    month: Month | None = None
    closed_because: str | None = None
    times: Sequence[CounterTimes] = ()
    listed: Sequence[DayTimes] = ()
    more: Look | None = None


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the database: of these counters, by this policy, as of now."""

    municipality: str
    counters: Sequence[str]
    policy: Policy
    without: UUID | None
    need: Need | None
    now: datetime


async def read_choice(
    session: AsyncSession,
    municipality: str,
    procedure: ProcedureView,
    look: Look,
    *,
    without: UUID | None = None,
    need: Need | None = None,
    now: datetime,
) -> Choice:
    """The wanted look, as far as it can be booked; else the month with the first free place, and that day's times."""
    rules = await get_rules(session, municipality)
    names = await list_counters(session, municipality)
    look = msgspec.structs.replace(look, at=look.at if look.at in procedure.counters else "")
    asked = _Asked(
        municipality=municipality,
        counters=(look.at,) if look.at else procedure.counters,
        policy=procedure.policy(rules.policy),
        without=without,
        need=need,
        now=now,
    )
    everywhere = msgspec.structs.replace(asked, counters=procedure.counters)
    earliest = next(iter(await _next_free(session, everywhere, most=1)), None)
    choice = Choice(
        look=look,
        places=[_named(names, code) for code in procedure.counters] if len(procedure.counters) > 1 else (),
        earliest=earliest,
        earliest_at=_named(names, earliest.counter) if earliest else None,
        last=last_day(asked.policy, now),
        notice_min=procedure.notice_min,
        day=jst_day(now),
    )
    if look.view == "list":
        return await _with_list(session, choice, asked, names)
    return await _with_month(session, choice, asked, rules, names)


async def _with_list(session: AsyncSession, choice: Choice, asked: _Asked, names: Mapping[str, CounterView]) -> Choice:
    found = await _next_free(session, asked, most=LISTED_MAX + 1, after=choice.look.after)
    shown = found[:LISTED_MAX]
    by_day = groupby(shown, key=lambda slot: jst_day(slot.starts_at))
    return msgspec.structs.replace(
        choice,
        listed=[
            DayTimes(day=day, slots=[(slot, _named(names, slot.counter)) for slot in slots]) for day, slots in by_day
        ],
        more=msgspec.structs.replace(choice.look, after=After(shown[-1].starts_at, shown[-1].counter))
        if len(found) > LISTED_MAX
        else None,
    )


async def _with_month(
    session: AsyncSession, choice: Choice, asked: _Asked, rules: Rules, names: Mapping[str, CounterView]
) -> Choice:
    look, first, last = choice.look, jst_day(asked.now), choice.last
    wanted = look.day if look.day and first <= look.day <= last else None
    if wanted is None and look.month is None:
        # Where nothing is said, the month with something free.
        free = choice.earliest if not look.at else next(iter(await _next_free(session, asked, most=1)), None)
        wanted = jst_day(free.starts_at) if free else None
    begin = min(max(_month_of(wanted or look.month or first), _month_of(first)), _month_of(last))
    days = list(days_between(begin, _next_month(begin) - timedelta(days=1)))
    counts = await list_days(
        session,
        asked.municipality,
        asked.counters,
        asked.policy,
        first=max(begin, first),
        last=days[-1],
        without=asked.without,
        need=asked.need,
        now=asked.now,
    )
    closed_names = await list_closed_days(session, asked.municipality, rules, days, counters=asked.counters)
    closed = {day: closure_reason(name) for day, name in closed_names.items()}
    cells = [_cell(day, counts.get(day), closed.get(day), first=first, last=last) for day in days]
    free_here = next((cell.day for cell in cells if cell.state in ("plenty", "open", "few")), None)
    day = wanted or free_here or max(begin, first)
    is_full = wanted is None and free_here is None and choice.earliest is not None
    times = [] if is_full else await _times(session, asked, day, names)
    return msgspec.structs.replace(
        choice,
        day=day,
        month=Month(
            first=begin,
            weekdays=[_monday(begin) + timedelta(days=number) for number in range(WEEK_DAYS)],
            weeks=_weeks(cells),
            closed=_closed_days({day: reason for day, reason in closed.items() if day >= first}),
            earlier=_month_of(begin - timedelta(days=1)) if begin > first else None,
            later=_next_month(begin) if _next_month(begin) <= last else None,
        ),
        closed_because=_("この月に、空いている時間はありません。ほかの月を見てください。")
        if is_full
        else _explain(cells[day.day - 1], closed),
        times=times,
    )


async def _next_free(session: AsyncSession, asked: _Asked, *, most: int, after: After | None = None) -> list[OpenSlot]:
    return await list_next_free(
        session,
        asked.municipality,
        asked.counters,
        asked.policy,
        most=most,
        after=after,
        without=asked.without,
        need=asked.need,
        now=asked.now,
    )


async def _times(
    session: AsyncSession, asked: _Asked, day: date, names: Mapping[str, CounterView]
) -> list[CounterTimes]:
    by_counter: dict[str, list[OpenSlot]] = defaultdict(list)
    slots = await list_slots(
        session, asked.municipality, asked.counters, asked.policy, first=day, last=day, need=asked.need, now=asked.now
    )
    for slot in slots:
        if slot.slot_id != asked.without:
            by_counter[slot.counter].append(slot)
    return [CounterTimes(counter=_named(names, code), slots=found) for code, found in sorted(by_counter.items())]


def _named(names: Mapping[str, CounterView], code: str) -> CounterView:
    return names.get(code) or CounterView(code=code, number=code, name_ja=code, office="", place_ja="")


def _month_of(day: date) -> date:
    return day.replace(day=1)


def _next_month(first: date) -> date:
    return _month_of(first + timedelta(days=31))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _weeks(cells: Sequence[DayCell]) -> list[list[DayCell | None]]:
    filled: list[DayCell | None] = [None] * cells[0].day.weekday() + list(cells)
    filled += [None] * (-len(filled) % WEEK_DAYS)
    return [filled[at : at + WEEK_DAYS] for at in range(0, len(filled), WEEK_DAYS)]


def _closed_days(closed: Mapping[date, str]) -> list[ClosedDays]:
    found: list[ClosedDays] = []
    for day, reason in sorted(closed.items()):
        if found and found[-1].reason == reason and found[-1].last + timedelta(days=1) == day:
            found[-1] = msgspec.structs.replace(found[-1], last=day)
        else:
            found.append(ClosedDays(first=day, last=day, reason=reason))
    return found


def _cell(day: date, count: DayCount | None, closed: str | None, *, first: date, last: date) -> DayCell:
    if not first <= day <= last:
        return DayCell(day=day, state="none", mark=closed)
    if count is not None and count.free:
        if count.free <= FEW_MAX:
            return DayCell(day=day, state="few", mark=_("残り%(free)s", free=count.free))
        is_plenty = count.free >= count.places * PLENTY_SHARE
        return DayCell(day=day, state="plenty" if is_plenty else "open", mark=_("のこり%(free)s", free=count.free))
    if closed is not None:
        return DayCell(day=day, state="closed", mark=closed)
    if count is None:
        return DayCell(day=day, state="closed")
    return DayCell(day=day, state="full" if count.places else "over")


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
