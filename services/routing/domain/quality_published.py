"""A 年度 as everybody may see it, out of what was counted."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import msgspec

from services.routing.domain.quality import (
    CHANNELS,
    FEWEST,
    KINDS,
    OPINIONS,
    Channel,
    K,
    Kind,
    Line,
    median_bound,
    publish_at_once_together,
    publish_in_turn_together,
)

Move = tuple[str, str]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """So many cases of a month, with how many items."""

    month: date
    procedure: str
    channel: str
    kind: Kind
    to_channel: str
    step: str
    took_min: int
    people: int
    amount: int


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of one channel in a 年度, as everybody may see it. `moves`: of switches, where to and from which step.

    Items are told of months that many people had a part in, times as a bound that half of them stayed within.
    """

    channel: Channel
    kind: Kind
    months: Line[date]
    procedures: Line[str]
    moves: Line[Move]
    items_by_month: Mapping[date, int]
    took_by_month: Mapping[date, int]
    took_by_procedure: Mapping[str, int]
    took: int | None


def publish(counts: Sequence[Count], months: Sequence[date], *, with_total: bool) -> list[Published]:
    """What of these counts may be published. `months` are over, the first one first."""
    sorted_out: dict[tuple[str, str], list[Count]] = defaultdict(list)
    for count in counts:
        sorted_out[count.channel, count.kind].append(count)
    # Of the answers to two questions none may be told from the others.
    groups = [*((kind,) for kind in KINDS if kind not in OPINIONS), OPINIONS]
    return [
        published
        for channel in CHANNELS
        for group in groups
        if any(sorted_out[channel, kind] for kind in group)
        for published in _publish_together(
            channel, {kind: sorted_out[channel, kind] for kind in group}, months, with_total=with_total
        )
    ]


def _publish_together(
    channel: Channel, counts: Mapping[Kind, Sequence[Count]], months: Sequence[date], *, with_total: bool
) -> list[Published]:
    by_month = {kind: _sums((count.month, count.people) for count in found) for kind, found in counts.items()}
    by_procedure = {kind: _sums((count.procedure, count.people) for count in found) for kind, found in counts.items()}
    by_move = {
        kind: _sums(((count.to_channel, count.step), count.people) for count in found if count.to_channel)
        for kind, found in counts.items()
    }
    lines = publish_in_turn_together(by_month, months, with_total=with_total)
    # Totals of a group are hidden together.
    is_known = all(line.total is not None for line in lines.values())
    procedures = publish_at_once_together(by_procedure, is_total_known=is_known)
    moves = publish_at_once_together(by_move, is_total_known=is_known)
    return [
        _publish_one(channel, kind, found, lines[kind], procedures[kind], moves[kind]) for kind, found in counts.items()
    ]


def _publish_one(
    channel: Channel, kind: Kind, counts: Sequence[Count], line: Line[date], procedures: Line[str], moves: Line[Move]
) -> Published:
    items: dict[date, int] = defaultdict(int)
    month_times: dict[date, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    procedure_times: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    times: dict[int, int] = defaultdict(int)
    for count in counts:
        items[count.month] += count.amount
        if count.took_min:
            month_times[count.month][count.took_min] += count.people
            procedure_times[count.procedure][count.took_min] += count.people
            times[count.took_min] += count.people
    return Published(
        channel=channel,
        kind=kind,
        months=line,
        procedures=procedures,
        moves=moves,
        items_by_month={
            month: items[month] for month, people in line.shown.items() if items[month] and people >= FEWEST
        },
        took_by_month=_medians(month_times, line.shown),
        took_by_procedure=_medians(procedure_times, procedures.shown),
        took=median_bound(times),
    )


def _sums(parts: Iterable[tuple[K, int]]) -> dict[K, int]:
    sums: dict[K, int] = defaultdict(int)
    for key, people in parts:
        sums[key] += people
    return sums


def _medians(times: Mapping[K, Mapping[int, int]], shown: Mapping[K, int]) -> dict[K, int]:
    medians = {key: median_bound(times[key]) for key in shown if key in times}
    return {key: bound for key, bound in medians.items() if bound is not None}
