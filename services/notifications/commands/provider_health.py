"""How providers do (送り先の調子), as each sending process sees it. No town's own: nothing of a town is in it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.providers.provider import Health
from shared.db import Prepared

# What a process told that is gone since.
FORGOTTEN_AFTER = timedelta(hours=1)
_COLUMNS = (
    "provider", "way", "state", "since", "accepted", "temporary", "permanent", "unknown", "took_p95_ms",
    "last_error", "last_error_at",
)  # fmt: skip

_FORGET = Prepared("DELETE FROM notifications.provider_health WHERE process = :process OR written_at < :long_ago")
_KEEP = Prepared(f"""
    INSERT INTO notifications.provider_health (process, written_at, {", ".join(_COLUMNS)})
    VALUES (:process, :now, {", ".join(f":{name}" for name in _COLUMNS)})
""")


async def keep_health(session: AsyncSession, process: UUID, healths: Sequence[Health], *, now: datetime) -> None:
    """Write down what a process sees, in place of what it saw before."""
    await _FORGET.row(session, {"process": process, "long_ago": now - FORGOTTEN_AFTER})
    for health in healths:
        values = {name: getattr(health, name) for name in _COLUMNS}
        await _KEEP.row(session, {"process": process, "now": now} | values)
