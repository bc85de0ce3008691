"""The identity step (本人確認): who has to take it, how long what was proven holds, and what may become of a try."""

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

# From leaving for the provider to coming back: finding the card, and a second try at its PIN.
ATTEMPT_LIFETIME = timedelta(minutes=15)
# From coming back to sending.
PROOF_LIFETIME = timedelta(hours=1)
ACR_MAX_LENGTH = 100
CLAIM_MAX_LENGTH = 200
# A text; or of an address the parts that OpenID Connect names.
Claim = str | dict[str, str]
# Of an item that came from a provider: where it was given, how it came, and the ledger's outcome.
STEP_IDENTITY = "identity"
FROM_PROVIDER: Final = "from_provider"
# Whom staff had before them at the desk, they looked at.
SEEN_AT_DESK = "desk"

# Why it did not come to a proof, as the page puts it into words.
Problem = Literal["away", "declined", "unknown", "late", "elsewhere", "used", "failed", "changed"]
PROBLEMS: tuple[Problem, ...] = ("away", "declined", "unknown", "late", "elsewhere", "used", "failed", "changed")
# How a provider says that the person themselves went no further (RFC 6749 4.1.2.1).
DECLINED = "access_denied"


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said: somebody, by the name that it has for them here, and how sure it is (`acr`)."""

    issuer: str
    subject: str
    acr: str
    # By item, as the provider writes them; only what the settings let us take over, and nowhere kept.
    claims: dict[str, Claim] = {}

    def __repr__(self) -> str:
        return "Proven()"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That it was proven, as it is shown. Nothing of the person."""

    provider: str
    acr: str
    proven_at: datetime
    expires_at: datetime


def asked_of(identity_step: str, behalf: str | None) -> str:
    """The provider that a case needs; empty: none."""
    return "" if behalf == SEEN_AT_DESK else identity_step
