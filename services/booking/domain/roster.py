"""The roster of a day at a venue: who is there when, and the hours in which nobody is.

A gap (空き) is a part of a venue's opening hours in which no helper is on shift who can be asked: who is away that day,
suspended or not trained yet leaves one.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Minutes from midnight in Japan."""

    from_min: int
    to_min: int


def gaps(hours: Iterable[Span], there: Iterable[Span]) -> list[Span]:
    """What of the opening hours nobody is there for, in the order of the day."""
    found: list[Span] = []
    people = sorted(there)
    for opens, closes in sorted(hours):
        at = opens
        for span in people:
            if span.to_min <= at or span.from_min >= closes:
                continue
            if span.from_min > at:
                found.append(Span(at, span.from_min))
            at = max(at, span.to_min)
        if at < closes:
            found.append(Span(at, closes))
    return found
