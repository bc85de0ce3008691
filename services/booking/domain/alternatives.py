"""Which free times come nearest to one that is gone: first in time, then in place."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Nearness = Literal["same_counter", "same_building", "elsewhere"]
_FROM_NEAR_TO_FAR: tuple[Nearness, ...] = ("same_counter", "same_building", "elsewhere")


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A time at a counter or venue, and the building that it is in; an empty one is not known."""

    slot_id: UUID
    counter: str
    building: str
    starts_at: datetime


def building_of(counter: str, kind: str, place_ja: str) -> str:
    """The building of a counter: the first word of its place (町役場 1階 3番). A venue is a building of its own."""
    if kind == "venue":
        return f"venue {counter}"
    return next(iter(place_ja.split()), "")


def how_near(wanted: Spot, other: Spot) -> Nearness:
    """How far one has to go from the one place to the other."""
    if other.counter == wanted.counter:
        return "same_counter"
    return "same_building" if wanted.building and other.building == wanted.building else "elsewhere"


def list_nearest(wanted: Spot, free: Iterable[Spot], *, most: int) -> list[tuple[Spot, Nearness]]:
    """The `most` nearest to the wanted one, nearest first: in time, then in place, then the earlier one."""

    def distance(near: tuple[Spot, Nearness]) -> tuple[float, int, datetime, str]:
        spot, where = near
        apart_s = abs((spot.starts_at - wanted.starts_at).total_seconds())
        return apart_s, _FROM_NEAR_TO_FAR.index(where), spot.starts_at, spot.counter

    return sorted(((spot, how_near(wanted, spot)) for spot in free), key=distance)[:most]
