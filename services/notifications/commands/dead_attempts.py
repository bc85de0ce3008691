"""Attempts whose worker died: what became of them, as far as anybody knows."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.receipts import settle_as_told
from services.notifications.tables import SERVICE
from shared.db import Prepared

_CLOSE = Prepared(f"""
    UPDATE {SERVICE}.attempt SET outcome = CASE WHEN delivery IS NULL THEN 'unknown' ELSE 'accepted' END,
        finished_at = :now, error_code = 'lease_expired'
    WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[])) AND outcome IS NULL
    RETURNING notice_id, delivery
""")
_ASK_AGAIN = Prepared(f"""
    UPDATE {SERVICE}.notice SET tries = tries + 1, state = 'unknown'
    WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))
""")


async def close_dead(
    session: AsyncSession, municipality: str, notice_ids: Sequence[UUID], *, now: datetime
) -> set[UUID]:
    """End the open attempts at these notices, which are locked; return those that are settled by it.

    Of one a receipt has come, so its provider has it, whoever died. Of another nobody knows whether it was accepted: it
    is tried again under the same key, which its provider may know.
    """
    if not notice_ids:
        return set()
    dead = {"municipality": municipality, "notices": list(notice_ids), "now": now}
    closed = await _CLOSE.rows(session, dead)
    told = {row.notice_id: row.delivery for row in closed if row.delivery is not None}
    await _ASK_AGAIN.row(session, dead | {"notices": [each for each in notice_ids if each not in told]})
    for notice_id, delivery in told.items():
        await settle_as_told(session, municipality, notice_id, delivery, now=now)
    return set(told)
