"""What became of a notice is told to the system that asked for it, in the transaction in which it did.

Whoever moves a notice calls `tell_systems` with it. It reads what is so by then: several moves in one transaction are
told as the last of them. Of what was sent again, the newest notice alone says what is so.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.systems import outcome_of, reason_of
from services.notifications.newest_notice import newest_notice
from services.notifications.tables import SERVICE
from shared.db import Prepared
from shared.webhooks.endpoints import WEBHOOK

_MOVED = Prepared(f"""
    SELECT a.told_id, a.system_id, a.told_state, n.kind, n.state, n.delivery, n.reason, n.reach
    FROM {SERVICE}.api_notice a CROSS JOIN {newest_notice("a")} AS n
    WHERE a.municipality = :municipality AND n.notice_id = ANY (CAST(:notices AS uuid[]))
      AND a.told_id IN (SELECT m.told_id FROM {SERVICE}.notice m
                        WHERE m.municipality = :municipality AND m.notice_id = ANY (CAST(:notices AS uuid[])))
    ORDER BY a.told_id FOR UPDATE OF a
""")
# Whoever sends is woken, unless they are at it, or somebody else is just waking them: they look again by themselves.
_TELL = Prepared(f"""
    WITH moved AS (
        UPDATE {SERVICE}.api_notice a SET (told_state, version) = (new.outcome, a.version + 1)
        FROM unnest(CAST(:told_ids AS uuid[]), CAST(:outcomes AS text[]), CAST(:facts AS text[]),
                    CAST(:deliveries AS uuid[])) AS new(told_id, outcome, facts, delivery_id)
        WHERE a.municipality = :municipality AND a.told_id = new.told_id
        RETURNING a.told_id, a.system_id, a.version, new.outcome, new.facts, new.delivery_id),
    told AS (
        INSERT INTO {SERVICE}.webhook_delivery (
            municipality, delivery_id, endpoint_id, kind, about, version, facts, told_at, state, next_try_at)
        SELECT :municipality, m.delivery_id, e.endpoint_id, 'notice.' || m.outcome, m.told_id, m.version,
               CAST(m.facts AS jsonb), :now, 'waiting', :now
        FROM moved m JOIN {SERVICE}.webhook_endpoint e
            ON e.municipality = :municipality AND e.endpoint_id = m.system_id AND 'notice.' || m.outcome = ANY (e.kinds)
        RETURNING endpoint_id),
    sleeping AS (
        SELECT d.ref FROM {SERVICE}.due d
        WHERE d.municipality = :municipality AND d.kind = :webhook AND d.leased_until IS NULL AND d.due_at > :now
          AND d.ref IN (SELECT endpoint_id::text FROM told)
          AND EXISTS (SELECT 1 FROM {SERVICE}.webhook_endpoint e
                      WHERE e.municipality = d.municipality AND e.endpoint_id::text = d.ref AND e.state = 'active'
                        AND e.failures = 0)
        FOR UPDATE SKIP LOCKED)
    UPDATE {SERVICE}.due SET due_at = :now
    WHERE municipality = :municipality AND kind = :webhook AND ref IN (SELECT ref FROM sleeping)
""")


async def tell_systems(
    session: AsyncSession, municipality: str, notice_ids: Collection[UUID], *, now: datetime
) -> None:
    """Tell of these notices what is new; of what no system asked for, there is nothing to be told."""
    if not notice_ids:
        return
    news = []
    for row in await _MOVED.rows(session, {"municipality": municipality, "notices": list(notice_ids)}):
        outcome = outcome_of(row.state, row.delivery)
        # What goes on by another way after all is told once it has come to an end again.
        if outcome in (row.told_state, "waiting"):
            continue
        facts = {
            "kind": row.kind,
            "state": outcome,
            "way": row.reach if row.reach != "none" else None,
            "reason": reason_of(outcome, row.reason),
        }
        news.append((row.told_id, outcome, msgspec.json.encode(facts).decode(), uuid4()))
    if not news:
        return
    told_ids, outcomes, facts_of, deliveries = zip(*news, strict=True)
    told = {"told_ids": told_ids, "outcomes": outcomes, "facts": facts_of, "deliveries": deliveries}
    await _TELL.row(session, told | {"municipality": municipality, "now": now, "webhook": WEBHOOK})
