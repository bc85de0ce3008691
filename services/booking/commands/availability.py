"""Publishing the earliest free public place of a counter, whenever it changed."""

from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.help_matching import ask_for_matching
from services.booking.commands.marks import AVAILABILITY_CHECK, SETTLE
from services.booking.commands.waitlist_offers import ask_for_look
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import find_earliest, list_own_windows
from services.booking.tables import outbox
from shared.db import Prepared
from shared.events.booking import AvailabilityChanged, OwnEarliest
from shared.messaging.due import schedule

# However quiet a counter is, it is looked at again, and says anew that what it said still holds.
LOOK_AGAIN = timedelta(minutes=1)
SAY_AGAIN = timedelta(minutes=10)

_KNOWN = text("""
    SELECT version, earliest_at, own, published_at FROM counter_version
    WHERE municipality = :municipality AND counter = :counter FOR UPDATE
""")
_PUBLISHED = text("""
    INSERT INTO counter_version (municipality, counter, version, earliest_at, own, published_at)
    VALUES (:municipality, :counter, 1, :earliest_at, CAST(:own AS jsonb), :now)
    ON CONFLICT (municipality, counter) DO UPDATE
    SET (version, earliest_at, own, published_at) =
        (counter_version.version + 1, excluded.earliest_at, excluded.own, excluded.published_at)
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
    await ask_for_matching(session, municipality, ref, now=now)
    await schedule(session, "booking", municipality=municipality, kind=AVAILABILITY_CHECK, ref=ref, due_at=now + SETTLE)


async def on_availability_check_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `availability_check`: looks, and asks to look again when the earliest passes or a hold lapses."""
    next_look = await publish_availability(session, municipality, ref, now=now)
    await ask_for_look(session, municipality, ref, now=now)
    await ask_for_matching(session, municipality, ref, lapsed=now - LOOK_AGAIN, now=now)
    await schedule(session, "booking", municipality=municipality, kind=AVAILABILITY_CHECK, ref=ref, due_at=next_look)


async def publish_availability(session: AsyncSession, municipality: str, counter: str, *, now: datetime) -> datetime:
    """Compute the earliest free place and publish it if it changed; return when it can change by itself.

    The town's, and that of each procedure with a notice or a horizon of its own.
    """
    key = {"municipality": municipality, "counter": counter}
    known = (await session.execute(_KNOWN, key)).one_or_none()
    town = (await get_rules(session, municipality)).policy
    windows = await list_own_windows(session, municipality, counter, town)
    earliest = {
        policy: await find_earliest(session, municipality, counter, policy, now=now)
        for policy in dict.fromkeys((town, *windows.values()))
    }
    own = {code: earliest[policy] for code, policy in windows.items()}
    is_same = known is not None and (known.earliest_at, known.own) == (earliest[town], msgspec.to_builtins(own))
    if known is None or not is_same or now - known.published_at >= SAY_AGAIN:
        told = {"earliest_at": earliest[town], "own": msgspec.json.encode(own).decode(), "now": now}
        version = (await session.execute(_PUBLISHED, key | told)).scalar_one()
        await outbox.publish(
            session,
            AvailabilityChanged(
                event_id=uuid4(),
                municipality=municipality,
                aggregate_id=counter,
                aggregate_version=version,
                occurred_at=now,
                counter=counter,
                earliest_at=earliest[town],
                as_of=now,
                own=tuple(OwnEarliest(procedure=code, earliest_at=first) for code, first in own.items()),
            ),
        )
    look_again = now + LOOK_AGAIN
    lapse = await _NEXT_LAPSE.row(session, key | {"now": now, "look_again": look_again})
    passes = [
        first - timedelta(minutes=policy.notice_min) + SETTLE for policy, first in earliest.items() if first is not None
    ]
    moments = [lapse.held_until if lapse else look_again, *passes, look_again]
    return max(min(moments), now + SETTLE)
