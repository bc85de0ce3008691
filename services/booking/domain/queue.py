"""Whose turn it is: one line of those who booked and those who walked in, in an order that the town's rules say.

Nothing of it is stored: who waits since when is, and the order follows from that and the time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from services.booking.domain.opening import DayPlan
from services.booking.domain.rules import JST
from shared.town_pack import QueueRules

# Before the doors open a ticket can be had for so long.
TICKETS_BEFORE = timedelta(minutes=30)

# Who is called before whom. `due`: whoever booked, at their time; `late`: who came after it; `walk_in`: who has no
# time, or lost it; `early`: whose time is still to come. Preferred and parked are before and after all of them.
Lane = Literal["preferred", "due", "late", "walk_in", "early", "parked"]
Tickets = Literal["given", "not_yet", "over", "none_today"]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who waits to be called at a counter, since `queued_at` in its line; who walked in has no other time."""

    appointment_id: UUID
    kind: Literal["booked", "walk_in"]
    starts_at: datetime
    queued_at: datetime
    ticket_no: int | None
    is_preferred: bool
    is_parked: bool


def order_line(
    waiting: Iterable[Waiting], rules: QueueRules, *, booked_in_a_row: int = 0, now: datetime
) -> list[Waiting]:
    """A counter's line in the order in which it is called now; who is parked comes last, and is not called.

    `booked_in_a_row` of those who were called last had booked, one after another.
    """
    lanes: dict[Lane, list[Waiting]] = {}
    for each in waiting:
        lanes.setdefault(lane_of(each, rules, now=now), []).append(each)
    for lane, people in lanes.items():
        by_time = lane in ("due", "early")
        people.sort(key=lambda each: _place(each, rules, by_time=by_time))
    line = lanes.get("preferred", [])
    in_a_row = booked_in_a_row
    for each in line:
        in_a_row = in_a_row + 1 if each.kind == "booked" else 0
    booked = [*lanes.get("due", []), *lanes.get("late", [])]
    line += _merge(booked, lanes.get("walk_in", []), rules, in_a_row)
    return [*line, *lanes.get("early", []), *lanes.get("parked", [])]


def lane_of(each: Waiting, rules: QueueRules, *, now: datetime) -> Lane:
    """Where somebody waits."""
    if each.is_parked:
        return "parked"
    if each.is_preferred and rules.preferred == "first":
        return "preferred"
    if each.kind == "walk_in" or waits_as_walk_in(each, rules):
        return "walk_in"
    if now < each.starts_at:
        return "walk_in" if each.is_preferred else "early"
    return "late" if _is_late(each, rules) else "due"


def waits_as_walk_in(each: Waiting, rules: QueueRules) -> bool:
    """Whether somebody who booked came so late that they wait as if they had not."""
    return each.kind == "booked" and rules.late == "last" and _is_late(each, rules)


def tickets_now(plan: DayPlan, rules: QueueRules, *, now: datetime) -> Tickets:
    """Whether a machine gives out tickets: from a while before the counter opens until a while before it closes.

    Through lunch, too: whoever comes then waits. A counter whose hours nobody wrote down has no such times.
    """
    spans = open_spans(plan)
    if not spans:
        return "none_today"
    if now < spans[0][0] - TICKETS_BEFORE:
        return "not_yet"
    return "over" if now >= spans[-1][1] - timedelta(minutes=rules.last_ticket_min) else "given"


def open_spans(plan: DayPlan) -> list[tuple[datetime, datetime]]:
    """From when to when a counter serves on a day, one time after another, in order."""
    spans = []
    for hours in plan.hours:
        starts_at = datetime.combine(plan.day, hours.opens_at, JST)
        ends_at = datetime.combine(plan.day, hours.closes_at, JST)
        # Until 00:00 is until midnight.
        spans.append((starts_at, ends_at if ends_at > starts_at else ends_at + timedelta(days=1)))
    for closed in plan.closed_times:
        spans = [
            part
            for starts_at, ends_at in spans
            for part in ((starts_at, min(ends_at, closed.starts_at)), (max(starts_at, closed.ends_at), ends_at))
            if part[0] < part[1]
        ]
    return sorted(set(spans))


def _merge(booked: Sequence[Waiting], walk_ins: Sequence[Waiting], rules: QueueRules, in_a_row: int) -> list[Waiting]:
    """Those whose time it is before those who have none; after so many in a row one of the others all the same."""
    line: list[Waiting] = []
    next_booked, next_walk_in = 0, 0
    while next_booked < len(booked) or next_walk_in < len(walk_ins):
        has_waited = 0 < rules.booked_in_a_row <= in_a_row
        if next_booked == len(booked) or (has_waited and next_walk_in < len(walk_ins)):
            line.append(walk_ins[next_walk_in])
            next_walk_in, in_a_row = next_walk_in + 1, 0
        else:
            line.append(booked[next_booked])
            next_booked, in_a_row = next_booked + 1, in_a_row + 1
    return line


def _is_late(each: Waiting, rules: QueueRules) -> bool:
    return each.queued_at > each.starts_at + timedelta(minutes=rules.late_min)


def _place(each: Waiting, rules: QueueRules, *, by_time: bool) -> tuple[bool, datetime, datetime, int, UUID]:
    is_first = each.is_preferred and rules.preferred == "walk_in" and not by_time
    since = each.starts_at if by_time else each.queued_at
    return not is_first, since, each.queued_at, each.ticket_no or 0, each.appointment_id
