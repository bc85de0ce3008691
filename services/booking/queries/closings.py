"""Closings: which times are closed, whom one would move and has moved, and what an appointment's owner reads of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.calendar import SlotTime
from services.booking.domain.closings import ClosedTime, Reason, is_closed, on_each_day
from services.booking.queries.day_changes import list_closed_counters
from shared.clock import jst_day

# Of those that are not over; a town has a handful.
CLOSINGS_MAX = 500
# Each may be for a part of several days.
CLOSED_TIMES_MAX = 5_000
# What a page lists; the numbers count all of them.
SHOWN_MAX = 200


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment that a closing would move: no name."""

    number: str
    starts_at: datetime
    counter: str
    reach: Literal["email", "sms", "none"]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a closing would do. `affected` are the first `SHOWN_MAX`; `by_reach` counts all."""

    affected: list[Affected]
    by_reach: dict[str, int]
    free: int

    @property
    def total(self) -> int:
        """How many appointments it would move."""
        return sum(self.by_reach.values())


class ClosingView(msgspec.Struct, frozen=True, kw_only=True):
    """A closing; `counter` None is the whole town.

    Until `first_until` it is closed without a break: before `ends_at`, where the same part of several days is.
    """

    closing_id: UUID
    counter: str | None
    starts_at: datetime
    ends_at: datetime
    first_until: datetime
    reason: Reason
    note_ja: str | None
    closed_at: datetime
    reopened_at: datetime | None


class Displaced(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment that still has to be moved, and the time that is kept for it."""

    number: str
    starts_at: datetime
    counter: str
    reach: Literal["email", "sms", "none"]
    closure: Literal["asked", "staff"]
    offer_starts_at: datetime | None
    offer_until: datetime | None


class OwnClosure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an appointment cannot take place."""

    reason: Reason
    note_ja: str | None


_CLOSED_TIMES = text(f"""
    SELECT counter, lower(span) AS starts_at, upper(span) AS ends_at FROM closing, unnest(during) AS span
    WHERE municipality = :municipality AND reopened_at IS NULL AND upper(span) > :now
    ORDER BY lower(span), closing_id LIMIT {CLOSED_TIMES_MAX}
""")
IN_TIME = """
    (CAST(:counter AS text) IS NULL OR {row}.counter = CAST(:counter AS text))
    AND {row}.starts_at < :ends_at AND {row}.ends_at > :starts_at
    AND EXISTS (SELECT 1
                FROM unnest(CAST(:firsts AS timestamptz[]), CAST(:untils AS timestamptz[])) AS closed(first, until)
                WHERE {row}.starts_at < closed.until AND {row}.ends_at > closed.first)"""
# By the index.
ON_DAYS = """
    a.day BETWEEN CAST(CAST(:starts_at AS timestamptz) AT TIME ZONE 'Asia/Tokyo' AS date)
              AND CAST(CAST(:ends_at AS timestamptz) AT TIME ZONE 'Asia/Tokyo' AS date)"""
# Whom it moves: who has not begun when it is closed, and whom no other closing moves already.
_MOVED = f"""
    FROM appointment a
    WHERE a.municipality = :municipality AND a.state = 'booked' AND a.closing_id IS NULL AND a.starts_at > :now
      AND {IN_TIME.format(row="a")} AND {ON_DAYS}"""
_AFFECTED = text(f"""
    SELECT a.number, a.starts_at, a.counter, a.reach {_MOVED} ORDER BY a.starts_at, a.number LIMIT {SHOWN_MAX}
""")
_BY_REACH = text(f"SELECT a.reach, count(*) AS appointments {_MOVED} GROUP BY a.reach ORDER BY a.reach LIMIT 3")
_FREE = text(f"""
    SELECT count(*) FROM slot s JOIN place p ON (p.municipality, p.slot_id) = (s.municipality, s.slot_id)
    WHERE s.municipality = :municipality AND NOT s.withdrawn AND s.starts_at > :now AND {IN_TIME.format(row="s")}
      AND p.audience = 'public' AND p.appointment_id IS NULL AND (p.held_until IS NULL OR p.held_until <= :now)
""")
_VIEW = """
    SELECT closing_id, counter, lower(during) AS starts_at, upper(during) AS ends_at,
           (SELECT min(upper(span)) FROM unnest(during) AS span) AS first_until, reason, note_ja, closed_at,
           reopened_at FROM closing
"""
_LIVE = text(f"""
    {_VIEW} WHERE municipality = :municipality AND reopened_at IS NULL
      AND (upper(during) > :now OR EXISTS (
          SELECT 1 FROM appointment a WHERE a.municipality = closing.municipality AND a.closing_id = closing.closing_id
            AND a.state = 'booked'))
    ORDER BY lower(during), closing_id LIMIT {CLOSINGS_MAX}
""")
_ONE = text(f"{_VIEW} WHERE (municipality, closing_id) = (:municipality, :closing_id)")
_DISPLACED = text(f"""
    SELECT a.number, a.starts_at, a.counter, a.reach, a.closure, s.starts_at AS offer_starts_at, o.until AS offer_until
    FROM appointment a
    LEFT JOIN offered_place o ON o.municipality = a.municipality AND o.appointment_id = a.appointment_id
         AND o.state = 'open' AND o.until > :now
    LEFT JOIN slot s ON (s.municipality, s.slot_id) = (o.municipality, o.slot_id)
    WHERE a.municipality = :municipality AND a.closing_id = :closing_id AND a.state = 'booked'
    ORDER BY a.closure DESC, a.starts_at, a.number LIMIT {SHOWN_MAX}
""")
_COUNT = text("""
    SELECT closure, count(*) AS appointments FROM appointment
    WHERE municipality = :municipality AND closing_id = :closing_id AND state = 'booked' GROUP BY closure LIMIT 3
""")
# As `_MOVED`, of a closing that is made: its batches come to them one after the other.
_NOT_YET_ASKED = text("""
    SELECT count(*) FROM closing c
    JOIN appointment a ON a.municipality = c.municipality AND (c.counter IS NULL OR a.counter = c.counter)
         AND a.day BETWEEN CAST(lower(c.during) AT TIME ZONE 'Asia/Tokyo' AS date)
                       AND CAST(upper(c.during) AT TIME ZONE 'Asia/Tokyo' AS date)
         AND c.during && tstzrange(a.starts_at, a.ends_at)
    WHERE (c.municipality, c.closing_id) = (:municipality, :closing_id) AND c.reopened_at IS NULL
      AND a.state = 'booked' AND a.closing_id IS NULL AND a.starts_at > c.closed_at
""")
_OWN = text("""
    SELECT c.reason, c.note_ja FROM appointment a
    JOIN closing c ON (c.municipality, c.closing_id) = (a.municipality, a.closing_id)
    WHERE (a.municipality, a.appointment_id) = (:municipality, :appointment_id)
""")


def spans_of(counter: str | None, starts_at: datetime, ends_at: datetime, days: int) -> dict[str, Any]:
    """What `IN_TIME` and `ON_DAYS` ask for: where, and the stretches of time with their ends."""
    spans = on_each_day(starts_at, ends_at, days)
    return {
        "counter": counter,
        "starts_at": spans[0].starts_at,
        "ends_at": spans[-1].ends_at,
        "firsts": [span.starts_at for span in spans],
        "untils": [span.ends_at for span in spans],
    }


async def list_closed_times(session: AsyncSession, municipality: str, *, now: datetime) -> list[ClosedTime]:
    """The times from now on in which a counter, or all of them, is closed."""
    rows = (await session.execute(_CLOSED_TIMES, {"municipality": municipality, "now": now})).all()
    return [msgspec.convert(row, ClosedTime, from_attributes=True) for row in rows]


async def preview_closing(
    session: AsyncSession,
    municipality: str,
    *,
    counter: str | None,
    starts_at: datetime,
    ends_at: datetime,
    days: int = 1,
    now: datetime,
) -> Preview:
    """Whom a closing would move, on all of its days, and how many free places would go."""
    asked = spans_of(counter, starts_at, ends_at, days) | {"municipality": municipality, "now": now}
    affected = (await session.execute(_AFFECTED, asked)).all()
    by_reach = (await session.execute(_BY_REACH, asked)).all()
    return Preview(
        affected=[msgspec.convert(row, Affected, from_attributes=True) for row in affected],
        by_reach={row.reach: row.appointments for row in by_reach},
        free=(await session.execute(_FREE, asked)).scalar_one(),
    )


async def is_closed_now(session: AsyncSession, municipality: str, counter: str, *, now: datetime) -> bool:
    """Whether a closing covers this counter at this moment, or staff have closed it for today."""
    if counter in await list_closed_counters(session, municipality, jst_day(now)):
        return True
    moment = SlotTime(now, now + timedelta(minutes=1))
    return is_closed(counter, moment, await list_closed_times(session, municipality, now=now))


async def list_live_closings(session: AsyncSession, municipality: str, *, now: datetime) -> list[ClosingView]:
    """The closings that are not over, or that somebody still has to be moved for."""
    rows = (await session.execute(_LIVE, {"municipality": municipality, "now": now})).all()
    return [msgspec.convert(row, ClosingView, from_attributes=True) for row in rows]


async def find_closing(session: AsyncSession, municipality: str, closing_id: UUID) -> ClosingView | None:
    """One closing, reopened or not."""
    row = (await session.execute(_ONE, {"municipality": municipality, "closing_id": closing_id})).one_or_none()
    return msgspec.convert(row, ClosingView, from_attributes=True) if row else None


async def list_displaced(
    session: AsyncSession, municipality: str, closing_id: UUID, *, now: datetime
) -> Sequence[Displaced]:
    """The appointments that still have to be moved for a closing, those that staff are to see to first."""
    asked = {"municipality": municipality, "closing_id": closing_id, "now": now}
    rows = (await session.execute(_DISPLACED, asked)).all()
    return [msgspec.convert(row, Displaced, from_attributes=True) for row in rows]


async def count_displaced(session: AsyncSession, municipality: str, closing_id: UUID) -> dict[str, int]:
    """How many still have to be moved: `asked`, and `staff`."""
    rows = (await session.execute(_COUNT, {"municipality": municipality, "closing_id": closing_id})).all()
    return {row.closure: row.appointments for row in rows}


async def count_not_yet_asked(session: AsyncSession, municipality: str, closing_id: UUID) -> int:
    """How many appointments a closing moves that nobody has been told of yet."""
    asked = {"municipality": municipality, "closing_id": closing_id}
    return int((await session.execute(_NOT_YET_ASKED, asked)).scalar_one())


async def find_own_closure(session: AsyncSession, municipality: str, appointment_id: UUID) -> OwnClosure | None:
    """Why an appointment cannot take place; None when no closing covers it."""
    key = {"municipality": municipality, "appointment_id": appointment_id}
    row = (await session.execute(_OWN, key)).one_or_none()
    return msgspec.convert(row, OwnClosure, from_attributes=True) if row else None
