"""The marks that a command leaves for later: that a counter's free places changed, or that somebody waits."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

AVAILABILITY, AVAILABILITY_CHECK = "availability", "availability_check"
WAIT_WATCH = "wait_watch"
# Free places are looked at again this long after a change, so at most once a second.
SETTLE = timedelta(seconds=1)
# A wait that has become too long is known so soon.
LOOK_EVERY = timedelta(seconds=30)

# A mark that stands already is left alone: updating it would make every booking of a counter wait for the one before.
# What commits just while the mark is being worked off is seen by the check one second later (commands/availability.py).
# In the order of the counters, always the same: two transactions that mark the same two wait, and never for each other.
MARK_DIRTY = """
    INSERT INTO due (municipality, kind, ref, due_at)
    SELECT :municipality, 'availability', changed.counter, CAST(:settle_at AS timestamptz) FROM {changed} AS changed
    WHERE NOT EXISTS (
        SELECT 1 FROM due d WHERE d.municipality = :municipality AND d.kind = 'availability' AND d.ref = changed.counter
          AND d.leased_until IS NULL AND d.due_at <= :settle_at)
    ORDER BY changed.counter
    ON CONFLICT (municipality, kind, ref)
    DO UPDATE SET due_at = least(due.due_at, excluded.due_at), leased_until = NULL, attempts = 0
"""
_MARK = text(MARK_DIRTY.format(changed="unnest(CAST(:counters AS text[]))").replace("changed.counter", "changed"))


async def mark_availability(
    session: AsyncSession, municipality: str, counters: Iterable[str], *, now: datetime
) -> None:
    """The free places of these counters changed: within a second their earliest is computed and published."""
    codes = sorted(set(counters))
    await session.execute(_MARK, {"municipality": municipality, "counters": codes, "settle_at": now + SETTLE})


# As the mark above: one that stands is left alone. Whoever works it off looks again by themselves for as long as
# somebody waits; one that is just being worked off does not stand, and whoever comes then waits for its end.
_WATCH = text("""
    INSERT INTO due (municipality, kind, ref, due_at)
    SELECT :municipality, 'wait_watch', '', CAST(:look_at AS timestamptz)
    WHERE NOT EXISTS (
        SELECT 1 FROM due d WHERE d.municipality = :municipality AND d.kind = 'wait_watch' AND d.ref = ''
          AND d.leased_until IS NULL AND d.due_at <= :look_at)
    ON CONFLICT (municipality, kind, ref)
    DO UPDATE SET due_at = least(due.due_at, excluded.due_at), leased_until = NULL, attempts = 0
""")


async def watch_waits(session: AsyncSession, municipality: str, *, now: datetime) -> None:
    """Somebody came into a line: from now on it is looked at whether anybody waits too long (`commands/alarms.py`)."""
    await session.execute(_WATCH, {"municipality": municipality, "look_at": now + LOOK_EVERY})
