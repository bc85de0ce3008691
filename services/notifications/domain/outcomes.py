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
# What staff found out by hand: a letter came back, or somebody else picks up.
LETTER_RETURNED, WRONG_NUMBER = "letter_returned", "wrong_number"
# Nobody picks up however often they are called; a letter lay until it was too late, or would be. The number is good.
NO_ANSWER, LETTER_LATE = "no_answer", "letter_late"
# Its owner took it away, or it turned out to be dead, while a letter waited to go there.
WAY_GONE = "way_gone"
# The mailbox is there: full, or away for too long.
SOFT_BOUNCE = "bounced_soft"
_DEAD = frozenset(
    {
        "smtp_550",
        "smtp_551",
        "smtp_553",
        NO_NUMBER,
        "form_101",
        LINE_UNREACHABLE,
        LINE_UNFOLLOWED,
        HARD_BOUNCE,
        LETTER_RETURNED,
        WRONG_NUMBER,
    }
)

# Of a provider's own making, whatever was asked of it: it is away, overloaded, or does not know us. A server that puts
# off one mailbox (450, 451, 452: also greylisting) does its work.
_FAULTS = frozenset({
    "connect", "no_answer", "disconnected", "garbage", "smtp_421", "smtp_454",
    "http_401", "http_403", "http_404", "http_408",
})  # fmt: skip
# It is well, and asks us to slow down.
TOO_MANY = frozenset({"http_429"})

# What staff are told as it is, where they are asked to call: it says what to do. Of all else, that it failed.
_SAID_TO_STAFF = frozenset(
    {LETTER_RETURNED, WRONG_NUMBER, NO_ANSWER, LETTER_LATE, "letter_glyph", "letter_address", "letter_length"}
)

_FORWARD: tuple[Delivery, ...] = ("accepted", "not_delivered", "delivered")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`unknown`: the provider may or may not have accepted. `error_code` is a code, never the provider's own words."""

    kind: OutcomeKind
    provider_ref: str | None = None
    error_code: str | None = None


def is_dead(error_code: str | None) -> bool:
    """Whether the address itself is to be asked anew: nothing else that is sent there arrives either."""
    return error_code in _DEAD


def task_reason(error_code: str | None, otherwise: str) -> str:
    """Why staff are asked to reach somebody, by the code of what failed last."""
    return error_code if error_code in _SAID_TO_STAFF else otherwise


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
