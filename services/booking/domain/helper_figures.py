"""Figures of helping: shares, times, and how evenly the visits are spread; small numbers are not published."""

from collections.abc import Sequence
from math import ceil

# Of fewer, a reader might know who they were.
SMALL = 5
# How many visits of a month: the last has no end.
LOADS: tuple[tuple[int, int | None], ...] = ((0, 0), (1, 2), (3, 5), (6, 10), (11, None))


def share_percent(part: int, whole: int) -> int | None:
    """A part in whole percent; of nothing there is none."""
    return round(100 * part / whole) if whole else None


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The smallest of the values that so many percent do not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]


def spread(visits: Sequence[int]) -> list[int]:
    """How many helpers have how many visits, by `LOADS`; nothing of who they are."""
    return [sum(low <= count and (high is None or count <= high) for count in visits) for low, high in LOADS]


def published(count: int | None) -> str:
    """A count as anybody may see it: fewer than `SMALL` are not told apart."""
    if count is None:
        return ""
    return f"<{SMALL}" if 0 < count < SMALL else str(count)
