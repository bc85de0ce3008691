"""How long people wait: when each would be called, if everybody takes as long as people took today."""

import heapq
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

# What the catalogue says counts as much as so many people who were served today.
CATALOGUE_WEIGHT = 3
# Of somebody who takes longer than expected, nobody knows how much longer: this part of it, at least.
STILL_LEFT = 0.25
# Waits are told in steps of so many minutes: nobody knows them better.
WAIT_STEP_MIN = 5

# How full a counter is, as a lamp says it: waits are short, long, or longer than the town promises.
Lamp = Literal["quiet", "busy", "full"]


class Taking(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody at the counter, or called to it, since `since`; they take `minutes`."""

    since: datetime
    minutes: float


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose turn is still to come. `not_before`: they booked, and are called at that time at the earliest,
    then before those who have no time; None: when it is their turn in the line."""

    appointment_id: UUID | None
    minutes: float
    not_before: datetime | None = None


def mean_minutes(catalogue: int, taken: Sequence[float]) -> float:
    """How long somebody takes: what the catalogue says at first, and more and more what today's people took."""
    return (max(1, catalogue) * CATALOGUE_WEIGHT + sum(taken)) / (CATALOGUE_WEIGHT + len(taken))


def forecast_calls(
    taking: Sequence[Taking],
    line: Sequence[Turn],
    *,
    staff: int,
    open_spans: Sequence[tuple[datetime, datetime]],
    now: datetime,
) -> list[tuple[Turn, datetime]]:
    """When each of the line is called, in this order; nobody is called in a break, and all are served at the end.

    Those who booked may stand anywhere in it: at their time they come first. Of those who are called or served, who
    is one too many for the `staff` is served when one of them is free. Where nobody serves, nobody can say.
    """
    if staff < 1:
        return []
    here = sorted(taking, key=lambda each: each.since)
    free = [_done_at(each, now) for each in here[:staff]]
    free += [now] * (staff - len(free))
    heapq.heapify(free)
    for each in here[staff:]:
        heapq.heapreplace(free, free[0] + timedelta(minutes=each.minutes))
    timed = sorted((each for each in line if each.not_before is not None), key=lambda each: each.not_before or now)
    others = [each for each in line if each.not_before is None]
    next_timed, next_other = 0, 0
    called: list[tuple[Turn, datetime]] = []
    while len(called) < len(line):
        at = _when_open(heapq.heappop(free), open_spans)
        first = timed[next_timed] if next_timed < len(timed) else None
        if first is not None and (first.not_before is None or first.not_before <= at or next_other == len(others)):
            at, next_timed = max(at, first.not_before or at), next_timed + 1
            turn = first
        else:
            turn = others[next_other]
            next_other += 1
        called.append((turn, at))
        heapq.heappush(free, at + timedelta(minutes=turn.minutes))
    return called


def told_min(wait: timedelta) -> int:
    """A wait as it is told, in whole steps: rather too long than too short."""
    return max(0, math.ceil(wait / timedelta(minutes=WAIT_STEP_MIN))) * WAIT_STEP_MIN


def lamp_of(wait_min: int, promise_min: int) -> Lamp:
    """Over what the town promises it is `full`; over half of it, `busy`."""
    if wait_min > promise_min:
        return "full"
    return "busy" if wait_min * 2 > promise_min else "quiet"


def _done_at(each: Taking, now: datetime) -> datetime:
    length = timedelta(minutes=each.minutes)
    return max(each.since + length, now + length * STILL_LEFT)


def _when_open(at: datetime, open_spans: Sequence[tuple[datetime, datetime]]) -> datetime:
    """The next moment at which somebody can be called; after the last hours, who waits is served."""
    for starts_at, ends_at in open_spans:
        if at < starts_at:
            return starts_at
        if at < ends_at:
            return at
    return at
