"""Somebody waits longer than the town promises: an alarm for their counter, until nobody there does.

It is raised by the worker and kept: whether anybody looked is seen afterwards.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import LOOK_EVERY, WAIT_WATCH
from services.booking.queries.queue import NOT_CALLED_ELSEWHERE
from services.booking.queries.rules import get_rules
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.messaging.due import schedule
from shared.tokens import Identity

# Whoever was set aside (保留), or is served elsewhere, is not waiting to be called; who came early is not yet.
_LATE = f"""
    SELECT a.counter FROM appointment a
    WHERE a.municipality = :municipality AND a.day = :day AND a.state = 'checked_in' AND a.parked_at IS NULL
      AND {NOT_CALLED_ELSEWHERE}
    GROUP BY a.counter HAVING min(greatest(a.queued_at, a.starts_at)) < :since"""
_OVER = text(f"""
    UPDATE wait_alarm SET over_at = :now
    WHERE municipality = :municipality AND over_at IS NULL AND (day <> :day OR counter NOT IN ({_LATE}))
""")
_RAISE = text(f"""
    INSERT INTO wait_alarm (municipality, alarm_id, counter, day, promise_min, raised_at)
    SELECT :municipality, gen_random_uuid(), late.counter, :day, :promise_min, :now FROM ({_LATE}) AS late
    ON CONFLICT (municipality, counter) WHERE over_at IS NULL DO NOTHING
""")
_SOMEBODY = text("""
    SELECT EXISTS (SELECT 1 FROM appointment
                   WHERE municipality = :municipality AND day = :day AND state = 'checked_in')
""")
_SEEN = text("""
    UPDATE wait_alarm SET seen_at = :now, seen_by = :by
    WHERE (municipality, alarm_id) = (:municipality, :alarm_id) AND seen_at IS NULL RETURNING counter
""")
_KNOWN = text("SELECT 1 FROM wait_alarm WHERE (municipality, alarm_id) = (:municipality, :alarm_id)")


async def on_wait_watch_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `wait_watch`: raise and end alarms, and look again while somebody waits."""
    day, promise_min = jst_day(now), (await get_rules(session, municipality)).queue.promise_min
    asked = {"municipality": municipality, "day": day, "since": now - timedelta(minutes=promise_min), "now": now}
    await session.execute(_OVER, asked)
    await session.execute(_RAISE, asked | {"promise_min": promise_min})
    if (await session.execute(_SOMEBODY, asked)).scalar_one():
        await schedule(session, "booking", municipality=municipality, kind=WAIT_WATCH, ref=ref, due_at=now + LOOK_EVERY)


async def see_alarm(session: AsyncSession, actor: Identity, alarm_id: UUID, *, now: datetime) -> None:
    """Somebody of the staff has seen an alarm: no tablet sounds it any more. The first who did is kept.

    Raises:
        Refusal: `alarm_unknown` (404).
    """
    key = {"municipality": actor.municipality, "alarm_id": alarm_id}
    seen = (await session.execute(_SEEN, key | {"now": now, "by": actor.ref})).one_or_none()
    if seen is not None:
        await record_deed(session, actor, "see-alarm", alarm_id, now=now)
    elif (await session.execute(_KNOWN, key)).one_or_none() is None:
        raise Refusal("alarm_unknown", 404)
