"""Publishing the earliest free public place of a counter, whenever it changed."""

from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import AVAILABILITY_CHECK, SETTLE
from services.booking.commands.waitlist_offers import ask_for_look
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import find_earliest
from services.booking.tables import outbox
from shared.db import Prepared
from shared.events.booking import AvailabilityChanged
from shared.messaging.due import schedule

# However quiet a counter is, it is looked at again, and says anew that what it said still holds.
LOOK_AGAIN = timedelta(minutes=1)
SAY_AGAIN = timedelta(minutes=10)

_KNOWN = text("""
    SELECT version, earliest_at, published_at FROM counter_version
    WHERE municipality = :municipality AND counter = :counter FOR UPDATE
""")
_PUBLISHED = text("""
    INSERT INTO counter_version (municipality, counter, version, earliest_at, published_at)
    VALUES (:municipality, :counter, 1, :earliest_at, :now)
    ON CONFLICT (municipality, counter) DO UPDATE
    SET version = counter_version.version + 1, earliest_at = excluded.earliest_at, published_at = excluded.published_at
    RETURNING version
""")
# The next hold of this counter that lapses before it is looked at anyway: in their order, by an index, and no further.
# The due row's lock is held meanwhile.
_NEXT_LAPSE = Prepared("""
    SELECT p.held_until FROM place p JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    WHERE p.municipality = :municipality AND p.held_until > :now AND p.held_until < :look_again
      AND s.counter = :counter AND s.starts_at > :now
    ORDER BY p.held_until LIMIT 1
""")


async def on_availability_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `availability`: something changed. Looks, and looks once more when it has settled."""
    await publish_availability(session, municipality, ref, now=now)
    await ask_for_look(session, municipality, ref, now=now)
    await schedule(session, "booking", municipality=municipality, kind=AVAILABILITY_CHECK, ref=ref, due_at=now + SETTLE)


async def on_availability_check_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `availability_check`: looks, and asks to look again when the earliest passes or a hold lapses."""
    next_look = await publish_availability(session, municipality, ref, now=now)
    await ask_for_look(session, municipality, ref, now=now)
    await schedule(session, "booking", municipality=municipality, kind=AVAILABILITY_CHECK, ref=ref, due_at=next_look)


async def publish_availability(session: AsyncSession, municipality: str, counter: str, *, now: datetime) -> datetime:
    """Compute the earliest free place and publish it if it changed; return when it can change by itself."""
    key = {"municipality": municipality, "counter": counter}
    known = (await session.execute(_KNOWN, key)).one_or_none()
    policy = (await get_rules(session, municipality)).policy
    earliest = await find_earliest(session, municipality, counter, policy, now=now)
    if known is None or known.earliest_at != earliest or now - known.published_at >= SAY_AGAIN:
        version = (await session.execute(_PUBLISHED, key | {"earliest_at": earliest, "now": now})).scalar_one()
        await outbox.publish(
            session,
            AvailabilityChanged(
                event_id=uuid4(),
                municipality=municipality,
                aggregate_id=counter,
                aggregate_version=version,
                occurred_at=now,
                counter=counter,
                earliest_at=earliest,
                as_of=now,
            ),
        )
    look_again = now + LOOK_AGAIN
    lapse = await _NEXT_LAPSE.row(session, key | {"now": now, "look_again": look_again})
    passes = earliest - timedelta(minutes=policy.notice_min) + SETTLE if earliest else None
    moments = [lapse.held_until if lapse else look_again, passes or look_again, look_again]
    return max(min(moments), now + SETTLE)
