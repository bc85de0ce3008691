"""What became of one attempt."""

from typing import Literal

import msgspec

OutcomeKind = Literal["accepted", "temporary", "permanent", "unknown", "not_started"]
Delivery = Literal["accepted", "not_delivered", "delivered"]

# Codes of what says that this address takes nothing, now or later: no such mailbox or number, or nobody who follows.
NO_NUMBER, LINE_UNREACHABLE, LINE_UNFOLLOWED, HARD_BOUNCE = (
    "sms_number",
    "line_unreachable",
    "line_unfollowed",
    "bounced",
)
# The mailbox is there: full, or away for too long.
SOFT_BOUNCE = "bounced_soft"
_DEAD = frozenset(
    {"smtp_550", "smtp_551", "smtp_553", NO_NUMBER, "form_101", LINE_UNREACHABLE, LINE_UNFOLLOWED, HARD_BOUNCE}
)

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
    """`unknown`: the provider may or may not have accepted. `error_code` is a code, never the provider's own words."""

    kind: OutcomeKind
    provider_ref: str | None = None
    error_code: str | None = None


def is_dead(error_code: str | None) -> bool:
    """Whether the address itself is to be asked anew: nothing else that is sent there arrives either."""
    return error_code in _DEAD


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
