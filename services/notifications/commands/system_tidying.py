"""What is kept for other systems is forgotten in time: keys of requests, what was asked for, and what was told."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.systems import KEYS_KEPT, NOTICES_KEPT, USE_KEPT
from services.notifications.tables import SERVICE
from shared.messaging.due import schedule
from shared.webhooks.tries import MESSAGES_KEPT

DUE_TIDY_SYSTEMS = "tidy_systems"
EVERY, AGAIN_SOON = timedelta(hours=1), timedelta(seconds=10)
BATCH = 2_000

_OLD = f"""
    (SELECT {{key}} FROM {SERVICE}.{{table}}
     WHERE municipality = :municipality AND {{column}} < :before LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
"""


def _delete(table: str, key: str, column: str) -> str:
    old = _OLD.format(key=key, table=table, column=column)
    return f"DELETE FROM {SERVICE}.{table} WHERE municipality = :municipality AND ({key}) IN {old}"


_STATEMENTS = (
    (
        KEYS_KEPT,
        f"UPDATE {SERVICE}.api_notice SET (idempotency_key, request_hash) = (NULL, NULL) "
        "WHERE municipality = :municipality AND told_id IN "
        + _OLD.format(key="told_id", table="api_notice", column="idempotency_key IS NOT NULL AND accepted_at"),
    ),
    (NOTICES_KEPT, _delete("api_notice", "told_id", "accepted_at")),
    (NOTICES_KEPT, _delete("api_key", "key_id", "revoked_at")),
    (USE_KEPT, _delete("api_use", "system_id, span, starts_at", "starts_at")),
    (MESSAGES_KEPT, _delete("webhook_delivery", "delivery_id", "told_at")),
)


async def plan_tidying(session: AsyncSession, municipality: str, *, now: datetime) -> None:
    """Ask for the next round; an earlier one that was asked for stays."""
    planned = {"municipality": municipality, "kind": DUE_TIDY_SYSTEMS, "ref": municipality}
    await schedule(session, SERVICE, **planned, due_at=now + EVERY, keep=True)


async def tidy_systems(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: remove one batch of each kind, and plan the next round."""
    is_full = False
    for kept, statement in _STATEMENTS:
        values = {"municipality": municipality, "before": now - kept}
        removed = await session.execute(text(f"{statement} RETURNING municipality"), values)
        is_full = len(removed.all()) == BATCH or is_full
    due_at = now + (AGAIN_SOON if is_full else EVERY)
    await schedule(session, SERVICE, municipality=municipality, kind=DUE_TIDY_SYSTEMS, ref=ref, due_at=due_at)
