"""What became of one attempt."""

from typing import Literal

import msgspec

OutcomeKind = Literal["accepted", "temporary", "permanent", "unknown", "not_started"]
Delivery = Literal["accepted", "not_delivered", "delivered"]

_FORWARD: tuple[Delivery, ...] = ("accepted", "not_delivered", "delivered")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`unknown`: the provider may or may not have accepted. `error_code` is a code, never the provider's own words.

    `is_dead`: it is the address that is no good, whatever is sent there.
    """

    kind: OutcomeKind
    is_dead: bool = False
    provider_ref: str | None = None
    error_code: str | None = None


def is_forward(known: str | None, told: Delivery) -> bool:
    """Whether a receipt says something newer: gateways repeat receipts, and send them in any order."""
    return known is None or _FORWARD.index(told) > _FORWARD.index(known)
