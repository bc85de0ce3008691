"""Bounces (戻ってきたメール): a mail that could not be delivered is a receipt like any other."""

from datetime import datetime
from typing import Final

from services.notifications.commands.receipts import record_receipt
from services.notifications.domain.bounces import Bounce, read_bounce
from services.notifications.domain.outcomes import HARD_BOUNCE, SOFT_BOUNCE
from services.notifications.domain.receipts import ReceiptStatus
from shared.db import Database

# What each says, and why; a delay says nothing yet.
_MEANS: Final[dict[str, tuple[ReceiptStatus, str | None]]] = {
    "hard": ("failed", HARD_BOUNCE),
    "soft": ("failed", SOFT_BOUNCE),
    "delivered": ("delivered", None),
}


async def record_bounce(db: Database, raw: bytes, *, now: datetime) -> Bounce | None:
    """Note what a mail says about a notice of ours, in its town's transaction; None if it says nothing.

    Raises:
        ValueError: it is no mail.
    """
    bounce = read_bounce(raw)
    if bounce is None:
        return None
    if bounce.kind in _MEANS:
        status, reason = _MEANS[bounce.kind]
        async with db.begin(bounce.municipality) as session:
            about = (bounce.municipality, bounce.notice_id, status)
            await record_receipt(session, *about, way_no=bounce.way_no, now=now, reason=reason)
    return bounce
