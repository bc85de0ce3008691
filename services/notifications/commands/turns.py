"""Whose turn at a counter is near is told once, as long as they wait."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.notices import SEND, TURN_NEAR, useful_until
from services.notifications.tables import SERVICE
from shared.db import Prepared
from shared.events.booking import TurnNear
from shared.messaging.due import schedule

# Whoever was called meanwhile, as far as we have heard, need not be told. That they have come may arrive after this.
_ADD_NOTICE = Prepared(f"""
    INSERT INTO {SERVICE}.notice (
        municipality, notice_id, kind, appointment_id, occasion, sequence, appointment_version, contact_ref, state,
        keeps_quiet, bulk, created_at, useful_until, turn_before, turn_ticket)
    SELECT a.municipality, :notice_id, '{TURN_NEAR}', a.appointment_id, 'once', a.sequence, a.version, a.contact_ref,
           'pending', false, false, :now, :useful_until, :before, :ticket
    FROM {SERVICE}.appointment a
    WHERE (a.municipality, a.appointment_id) = (:municipality, :appointment_id) AND a.contact_ref IS NOT NULL
      AND (a.version < :version OR a.state = 'checked_in')
    ON CONFLICT DO NOTHING RETURNING notice_id
""")


async def follow_turn(session: AsyncSession, event: TurnNear, *, now: datetime) -> None:
    """Tell whoever waits that only so many are before them."""
    values = {
        "municipality": event.municipality,
        "appointment_id": event.appointment_id,
        "version": event.aggregate_version,
        "notice_id": uuid4(),
        "before": event.before,
        "ticket": event.ticket,
        "now": now,
        "useful_until": useful_until(TURN_NEAR, starts_at=None, now=event.occurred_at),
    }
    if (added := await _ADD_NOTICE.row(session, values)) is not None:
        ref = str(added.notice_id)
        await schedule(session, SERVICE, municipality=event.municipality, kind=SEND, ref=ref, due_at=now)
