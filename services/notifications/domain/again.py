"""Telling again (もう一度送る): what staff may have sent once more of the same matter, and until when."""

from datetime import datetime

from services.notifications.domain.notices import CONTACT_CODE, SIGN_IN, TURN_NEAR, Kind, State, useful_until

# How the occasion of what is told again begins: its number follows, so that two taps make one notice.
AGAIN = "again:"
# Of one matter; whoever was not reached by then is called.
AGAIN_MAX_A_DAY = 3
# A code opens for minutes, and whoever waits for it asks for another.
NEVER_AGAIN: tuple[Kind, ...] = (CONTACT_CODE, SIGN_IN)
# What has ended, however it did, and what nobody knows of; not what is on its way, overtaken, or wanted on paper.
MAY_BE_AGAIN: tuple[State, ...] = ("sent", "failed", "undeliverable", "unknown")
# Why a notice that nobody knew of is waited for no longer.
SENT_AGAIN = "sent_again"


def again_occasion(number: int) -> str:
    """The occasion of what is told again for the `number`th time."""
    return f"{AGAIN}{number}"


def again_until(
    kind: Kind,
    first: datetime,
    *,
    is_told: bool,
    starts_at: datetime | None,
    offer_until: datetime | None,
    now: datetime,
) -> datetime | None:
    """Until when sending it again makes sense; None: it does not any more.

    `first`: until when the notice itself was of use. What was told by itself (`is_told`) is forgotten then, and whose
    turn was near has been called.
    """
    until = first
    if not is_told and kind != TURN_NEAR:
        until = useful_until(kind, starts_at=starts_at, offer_until=offer_until, now=now)
    is_over = starts_at is not None and now >= starts_at
    return None if is_over or now >= until else until
