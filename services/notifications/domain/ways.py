"""The ways (送り方) by which somebody can be reached, and which of them a notice takes."""

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from services.notifications.domain.sms import domestic_number

# What a provider takes at once; a letter is printed by staff, and called is whoever wants to be called.
WayKind = Literal["email", "sms", "line", "letter", "call"]
# `dead`: what we sent came back for good. It is not tried again before the person has said that it works.
WayState = Literal["good", "dead"]

# The way that was given with the contact. Others have numbers of their own, which are never given twice.
FIRST_WAY = 1
# Two of one's own, and somebody of the family: more would be noise.
WAYS_MAX = 5
# In the place of what is not shown.
HIDDEN = "****"


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way of a contact. `is_relay`: it leads to somebody else, who passes on what they read. One that is not
    `proved` is used for its code alone."""

    way_no: int
    kind: WayKind
    state: WayState = "good"
    is_relay: bool = False
    is_proved: bool = True


def ways_left(ways: Sequence[Way], failed: Collection[int]) -> list[Way]:
    """Those that are proved, not dead, and have not `failed` for this notice, in the person's order: the first is
    taken."""
    return [way for way in ways if way.is_proved and way.state != "dead" and way.way_no not in failed]


def hint_of(kind: WayKind, address: str) -> str:
    """By which its owner knows an address, and nobody else learns it: `090-****-5678`, `h****@example.jp`."""
    if kind == "email":
        local, _at, host = address.rpartition("@")
        return f"{local[:1]}{HIDDEN}@{host}"
    if kind in ("sms", "call"):
        digits = domestic_number(address)
        return f"{digits[:3]}-{HIDDEN}-{digits[-4:]}"
    # Of a postal address the code, which a whole quarter has; of an id nothing.
    return f"{address.splitlines()[0]} {HIDDEN}" if kind == "letter" else HIDDEN
