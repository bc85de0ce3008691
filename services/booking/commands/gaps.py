"""A venue is open and nobody is there: a coordinator asks all who are free, and the first who accepts has a shift then.

Answers, and the end of the time, are those of any cover (`commands/covers.py`).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.cover_asking import Gap, ask_for_gap
from services.booking.commands.shifts import AddShift, add_shift
from services.booking.domain.covers import cover_by
from services.booking.domain.shifts import week_time
from services.booking.queries.askable import IS_AWAY, TAKES_REQUESTS, visit_times
from services.booking.queries.roster import find_hours
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity

# Whoever is there for some of it: then it is no gap, or another one.
_IS_SOMEBODY_THERE = text(f"""
    SELECT 1 FROM shifts_on(:municipality, CAST(:day AS date)) f
    JOIN helper h ON (h.municipality, h.helper_ref) = (f.municipality, f.helper_ref)
    WHERE f.venue = :venue AND f.from_min < :to_min AND f.to_min > :from_min AND {TAKES_REQUESTS} AND NOT {IS_AWAY}
    LIMIT 1
""")
_IS_LOOKED_FOR = text("""
    SELECT 1 FROM cover
    WHERE municipality = :municipality AND venue = :venue AND state = 'open'
      AND tstzrange(starts_at, ends_at) && tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz))
    LIMIT 1
""")
_ALONE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended(concat_ws('/', 'gap', CAST(:municipality AS text),
                                                            CAST(:venue AS text)), 0))
""")
_IS_AWAY = text(f"""
    SELECT {IS_AWAY} FROM helper h WHERE (h.municipality, h.helper_ref) = (:municipality, :helper_ref)
""")


async def start_gap_cover(session: AsyncSession, actor: Identity, gap: Gap, *, now: datetime) -> int:
    """Ask all who are free whether they can be there. Returns how many; 0: they are being asked already.

    Raises:
        Refusal: `gap_unfit` (422), it is not within the venue's hours; `gap_over`, `cover_too_late`, `cover_nobody`
            (409).
    """
    if not await is_open_then(session, actor.municipality, gap, now=now):
        raise Refusal("gap_unfit", 422)
    asked = _asked(actor.municipality, gap)
    # Of two coordinators, the second sees that it is being done. (And `cover_one_open_gap_excl` sees to it.)
    await session.execute(_ALONE, asked)
    if (await session.execute(_IS_LOOKED_FOR, asked)).one_or_none() is not None:
        return 0
    if (await session.execute(_IS_SOMEBODY_THERE, asked)).one_or_none() is not None:
        raise Refusal("gap_over", 409)
    if cover_by(asked_at=now, starts_at=gap.starts_at) is None:
        raise Refusal("cover_too_late", 409)
    people = await ask_for_gap(session, actor.municipality, gap, now=now)
    if not people:
        raise Refusal("cover_nobody", 409)
    await record_deed(session, actor, "start-gap-cover", gap.venue, now=now)
    return people


async def be_there(session: AsyncSession, actor: Identity, gap: Gap, *, now: datetime) -> None:
    """A helper has a shift for this time. The caller has locked the cover.

    Raises:
        Refusal: `cover_away`, `cover_busy` (409); `too_many_shifts` (409).
    """
    me = _asked(actor.municipality, gap) | {"helper_ref": actor.ref}
    if (await session.execute(_IS_AWAY, me)).scalar_one():
        raise Refusal("cover_away", 409)
    time = week_time(gap.starts_at, gap.ends_at)
    order = AddShift(
        venue=gap.venue,
        weekday=time.day.isoweekday(),
        from_min=time.from_min,
        to_min=time.to_min,
        only_on=time.day,
    )
    try:
        await add_shift(session, actor, order, now=now)
    except Refusal as refusal:
        raise (Refusal("cover_busy", 409) if refusal.code == "shift_overlaps" else refusal) from refusal


async def is_open_then(session: AsyncSession, municipality: str, gap: Gap, *, now: datetime) -> bool:
    """Whether the venue is open for all of this time, on one day."""
    time = week_time(gap.starts_at, gap.ends_at)
    hours = await find_hours(session, municipality, gap.venue, time.day, now=now)
    return time.from_min < time.to_min and any(
        span.from_min <= time.from_min and time.to_min <= span.to_min for span in hours
    )


def _asked(municipality: str, gap: Gap) -> dict[str, Any]:
    return {"municipality": municipality, "venue": gap.venue} | visit_times(gap.starts_at, gap.ends_at)
