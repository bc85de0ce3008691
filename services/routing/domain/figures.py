"""What once-only spares (再利用の効果): counted items, and an estimate of minutes with its assumption."""

from collections.abc import Iterable

import msgspec

# An assumption, not a measurement: finding the paper, reading it and writing one item of a form.
SECONDS_AN_ITEM = 20
NO_CHANNEL = ""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Items of one procedure by one channel: typed, used again, refused by the person, and changed since a yes."""

    procedure: str
    channel: str
    collected: int = 0
    reused: int = 0
    declined: int = 0
    stale: int = 0


def total(figures: Iterable[Figure]) -> Figure:
    """All of them together."""
    listed = list(figures)
    return Figure(
        procedure="",
        channel=NO_CHANNEL,
        collected=sum(figure.collected for figure in listed),
        reused=sum(figure.reused for figure in listed),
        declined=sum(figure.declined for figure in listed),
        stale=sum(figure.stale for figure in listed),
    )


def minutes_saved(reused: int) -> int:
    """Whole minutes that people did not spend writing, by the assumption; rounded down, so as not to boast."""
    return reused * SECONDS_AN_ITEM // 60


def reused_percent(figure: Figure) -> int | None:
    """Of the items that forms needed, how many were not asked again; None when there were none."""
    needed = figure.collected + figure.reused
    return figure.reused * 100 // needed if needed else None
