"""The ways (送り方) by which somebody can be reached, and which of them a notice takes."""

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

# What a provider takes at once; a letter is printed by staff, and called is whoever wants to be called.
WayKind = Literal["email", "sms", "line", "letter", "call"]
# `dead`: what we sent came back for good. It is not tried again before the person has said that it works.
WayState = Literal["good", "dead"]

# The way that was given with the contact. Others have numbers of their own, which are never given twice.
FIRST_WAY = 1
# Two of one's own, and somebody of the family: more would be noise.
WAYS_MAX = 5


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way of a contact. `is_relay`: it leads to somebody else, who passes on what they read."""

    way_no: int
    kind: WayKind
    state: WayState = "good"
    is_relay: bool = False


def ways_left(ways: Sequence[Way], failed: Collection[int]) -> list[Way]:
    """Those that are not dead and have not `failed` for this notice, in the person's order: the first is taken."""
    return [way for way in ways if way.state != "dead" and way.way_no not in failed]
