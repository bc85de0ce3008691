"""How well the channels serve (サービス設計12箇条 第9条): what is counted, and what of it may be published.

Only counts are kept, by month, procedure and channel. A count of few people is published nowhere, and neither is what
would lead to it (`docs/decisions/0042-quality-figures.md`).
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from datetime import date, timedelta
from typing import Generic, Literal, TypeVar

import msgspec

# Fewer people than these are nobody's business.
FEWEST = 5
APRIL, MARCH = 4, 3
MONTHS_A_YEAR = 12

Channel = Literal["online", "counter", "helper"]
CHANNELS: tuple[Channel, ...] = ("online", "counter", "helper")

# A case was begun; sent or booked; done; nothing came of it; went on by another channel; had items that were not asked
# again. The rest is what people said afterwards.
Kind = Literal[
    "started", "sent", "finished", "given_up", "switched", "spared", "easy", "fair", "hard", "worked", "not_worked"
]
KINDS: tuple[Kind, ...] = (
    "started", "sent", "finished", "given_up", "switched", "spared", "easy", "fair", "hard", "worked", "not_worked",
)  # fmt: skip
# Times are kept as the first of these that is not less, in minutes: an hour is 60, a day 1440. The last is "longer".
BOUNDS_MIN = (
    5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 360, 720, 1_440, 2_880, 4_320, 7_200, 10_080, 14_400, 20_160, 30_240,
    43_200, 64_800, 86_400, 129_600, 525_600,
)  # fmt: skip
# Nothing was done in a case for so long, nothing is sent, and no appointment is ahead. A guest's session is over by
# then: nobody can come back to it.
GIVEN_UP_AFTER = timedelta(days=30)

# Whoever says something answers both questions: the answers to either come to the same.
OPINIONS: tuple[Kind, ...] = ("easy", "fair", "hard", "worked", "not_worked")
FEEDBACK_MAX_LENGTH = 1_000
ANSWER_MAX_LENGTH = 1_000
PUBLISHED_MAX_LENGTH = 500
# So long it can be changed; then it is counted.
CHANGEABLE_FOR = timedelta(days=7)
# What was written, as items of the vault: by the person, and by the office.
FEEDBACK, FEEDBACK_ANSWER = "feedback", "feedback_answer"
FEEDBACK_TEXTS = (FEEDBACK, FEEDBACK_ANSWER)

K = TypeVar("K", bound=Hashable)
N = TypeVar("N", bound=Hashable)


class Line(msgspec.Struct, Generic[K], frozen=True, kw_only=True):
    """Parts of a total as they may be published. `rest`: what the hidden parts come to; None, it is hidden as well."""

    shown: dict[K, int]
    hidden: frozenset[K]
    rest: int | None

    @property
    def total(self) -> int | None:
        """The whole, if it may be published."""
        return None if self.rest is None else sum(self.shown.values()) + self.rest


def fiscal_year(day: date) -> int:
    """年度: from April to March, by the year in which it begins."""
    return day.year if day.month >= APRIL else day.year - 1


def months_of(year: int) -> list[date]:
    """The first days of the months of a 年度."""
    return [date(year + (month > MONTHS_A_YEAR), (month - 1) % MONTHS_A_YEAR + 1, 1) for month in range(4, 16)]


def finished_months(year: int, today: date, since: date | None = None) -> list[date]:
    """Those of a 年度 that are over, from the first that was counted on: what is published never changes."""
    return [first for first in months_of(year) if (since or first) <= first < today.replace(day=1)]


def is_over(year: int, today: date) -> bool:
    """Whether a 年度 is over."""
    return fiscal_year(today) > year


def tells(hidden: Collection[int]) -> bool:
    """Whether hidden counts could be told from what they come to together.

    One alone could, and so could several of which each is at its least (1) or at its most (`FEWEST` - 1). Whoever
    knows the sum must not even be sure that a hidden count is small.
    """
    if not hidden:
        return False
    total, count = sum(hidden), len(hidden)
    return count == 1 or total < FEWEST + count - 1 or total == count * (FEWEST - 1)


def publish_in_turn(counts: Mapping[K, int], order: Iterable[K], *, with_total: bool) -> Line[K]:
    """Parts that are published one after the other and never taken back, such as months; the total comes at the end.

    Which are hidden depends on earlier ones only: whoever kept an earlier state learns nothing from a later one.
    """
    return publish_in_turn_together({"": counts}, order, with_total=with_total)[""]


def publish_in_turn_together(
    lines: Mapping[N, Mapping[K, int]], order: Iterable[K], *, with_total: bool
) -> dict[N, Line[K]]:
    """Lines of which each could be told from the others: what is hidden in one is hidden in all, the total too."""
    shown: list[K] = []
    hidden: list[K] = []
    for key in order:
        counts = [line.get(key, 0) for line in lines.values()]
        if any(counts) and (any(0 < count < FEWEST for count in counts) or _tell(lines, hidden)):
            hidden.append(key)
        else:
            shown.append(key)
    is_safe = with_total and not _tell(lines, hidden)
    return {name: _line(line, shown, hidden, with_rest=is_safe) for name, line in lines.items()}


def publish_at_once(counts: Mapping[K, int], *, is_total_known: bool) -> Line[K]:
    """Parts of a total that is known already, such as the procedures of a 年度; the hidden ones are called "others".

    As many as are needed are hidden besides the small ones, the smallest first. When the total is hidden, nothing is
    shown.
    """
    return publish_at_once_together({"": counts}, is_total_known=is_total_known)[""]


def publish_at_once_together(lines: Mapping[N, Mapping[K, int]], *, is_total_known: bool) -> dict[N, Line[K]]:
    """The same of lines of which each could be told from the others: what is hidden in one is hidden in all."""
    sizes: dict[K, int] = defaultdict(int)
    for line in lines.values():
        for key, count in line.items():
            sizes[key] += count
    by_size = sorted((key for key in sizes if sizes[key]), key=lambda key: (sizes[key], str(key)))
    if not is_total_known:
        return {name: _line(line, [], by_size, with_rest=False) for name, line in lines.items()}
    hidden = [key for key in by_size if any(0 < line.get(key, 0) < FEWEST for line in lines.values())]
    more = [key for key in by_size if key not in hidden]
    while more and _tell(lines, hidden):
        # Equal ones together: which of them was taken would tell of the others.
        taken = sizes[more[0]]
        while more and sizes[more[0]] == taken:
            hidden.append(more.pop(0))
    return {name: _line(line, more, hidden, with_rest=True) for name, line in lines.items()}


def median_bound(times: Mapping[int, int]) -> int | None:
    """Within how many minutes half of them were done: the bound of the one in the middle. Of few people nothing."""
    count = sum(times.values())
    if count < FEWEST:
        return None
    seen = 0
    for bound in sorted(times):
        seen += times[bound]
        if seen * 2 >= count:
            return bound
    return None


def _tell(lines: Mapping[N, Mapping[K, int]], hidden: Collection[K]) -> bool:
    return any(tells([line[key] for key in hidden if line.get(key)]) for line in lines.values())


def _line(counts: Mapping[K, int], shown: Iterable[K], hidden: Iterable[K], *, with_rest: bool) -> Line[K]:
    return Line(
        shown={key: counts.get(key, 0) for key in shown},
        hidden=frozenset(hidden),
        rest=sum(counts.get(key, 0) for key in hidden) if with_rest else None,
    )
