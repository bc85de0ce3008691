"""What became of one attempt."""

from typing import Literal

import msgspec

OutcomeKind = Literal["accepted", "temporary", "permanent", "unknown", "not_started"]
Delivery = Literal["accepted", "not_delivered", "delivered"]

# Of a provider's own making, whatever was asked of it: it is away, overloaded, or does not know us. A server that puts
# off one mailbox (450, 451, 452: also greylisting) does its work.
_FAULTS = frozenset({
    "connect", "no_answer", "disconnected", "garbage", "smtp_421", "smtp_454",
    "http_401", "http_403", "http_404", "http_408",
})  # fmt: skip
# It is well, and asks us to slow down.
TOO_MANY = frozenset({"http_429"})

_FORWARD: tuple[Delivery, ...] = ("accepted", "not_delivered", "delivered")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`unknown`: the provider may or may not have accepted. `error_code` is a code, never the provider's own words.

    `is_dead`: it is the address that is no good, whatever is sent there.
    """

    kind: OutcomeKind
    is_dead: bool = False
    provider_ref: str | None = None
    error_code: str | None = None


def is_providers_fault(outcome: Outcome) -> bool:
    """Whether it failed by the provider's own making, and not by the message's."""
    code = outcome.error_code or ""
    if outcome.kind not in ("temporary", "unknown"):
        return False
    # Temporary in spite of its code: that is our sender address, or our account.
    return code in _FAULTS or code.startswith(("http_5", "smtp_5"))


def is_forward(known: str | None, told: Delivery) -> bool:
    """Whether a receipt says something newer: gateways repeat receipts, and send them in any order."""
    return known is None or _FORWARD.index(told) > _FORWARD.index(known)
