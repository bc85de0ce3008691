"""What a helper's own pages show of themselves: what they can do and take on, when they are away, whom they meet when.

Nobody's name: a given name is read in `commands/own_days.py` alone.
"""

from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.line import State
from services.booking.domain.shifts import AWAY_MAX, AwayDays
from services.booking.queries.slots import start_of_day

TOPICS_MAX = 200
VISITS_MAX = 500


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A helper as they see themselves; `topics` are codes of the town's."""

    topics: tuple[str, ...]
    signs: bool
    languages: tuple[str, ...]
    visits_per_week: int
    standing: Literal["registered", "active", "suspended"]
    paused_on: date | None


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """Something that helpers explain beside the procedures."""

    code: str
    name_ja: str


class AwayView(AwayDays, frozen=True, kw_only=True):
    """Days away as the helper has entered them."""

    away_id: UUID


class VisitView(msgspec.Struct, frozen=True, kw_only=True):
    """A visit in a helper's calendar; `topic` None: it is discreet."""

    assignment_id: UUID
    starts_at: datetime
    ends_at: datetime
    venue: str
    venue_name: str
    venue_place: str
    topic: str | None
    state: Literal["asked", "accepted"]
    appointment_state: State


_OWN = text("""
    SELECT topics, signs, languages, visits_per_week, standing, paused_on FROM helper
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref) AND is_open
""")
_TOPICS = text(f"""
    SELECT code, name_ja FROM topic WHERE municipality = :municipality ORDER BY code LIMIT {TOPICS_MAX}
""")
_AWAY = text(f"""
    SELECT away_id, first_day, last_day FROM helper_away
    WHERE municipality = :municipality AND helper_ref = :helper_ref AND last_day >= :first
    ORDER BY first_day, last_day LIMIT {AWAY_MAX}
""")
_VISITS = text(f"""
    SELECT s.assignment_id, a.starts_at, a.ends_at, a.counter AS venue, coalesce(c.name_ja, a.counter) AS venue_name,
           coalesce(c.place_ja, '') AS venue_place, s.state, a.state AS appointment_state,
           CASE WHEN coalesce(p.discreet, true) THEN NULL ELSE p.name_ja END AS topic
    FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE s.municipality = :municipality AND s.helper_ref = :helper_ref AND s.state IN ('asked', 'accepted')
      AND a.state <> 'cancelled' AND a.starts_at >= :since AND a.starts_at < :until
    ORDER BY a.starts_at, s.assignment_id LIMIT {VISITS_MAX}
""")


async def find_own(session: AsyncSession, municipality: str, helper_ref: str) -> Own | None:
    """A helper; None when their account has not arrived here, or is closed."""
    me = {"municipality": municipality, "helper_ref": helper_ref}
    row = (await session.execute(_OWN, me)).one_or_none()
    return None if row is None else msgspec.convert(row, Own, from_attributes=True)


async def list_topics(session: AsyncSession, municipality: str) -> list[Topic]:
    """The town's topics."""
    rows = await session.execute(_TOPICS, {"municipality": municipality})
    return [msgspec.convert(row, Topic, from_attributes=True) for row in rows]


async def list_days_away(session: AsyncSession, municipality: str, helper_ref: str, *, first: date) -> list[AwayView]:
    """Days away that are not over before `first`."""
    asked = {"municipality": municipality, "helper_ref": helper_ref, "first": first}
    return [msgspec.convert(row, AwayView, from_attributes=True) for row in await session.execute(_AWAY, asked)]


async def list_visits(
    session: AsyncSession, municipality: str, helper_ref: str, *, first: date, last: date
) -> list[VisitView]:
    """A helper's visits and requests from a day to another, both included."""
    asked = {
        "municipality": municipality,
        "helper_ref": helper_ref,
        "since": start_of_day(first),
        "until": start_of_day(last + timedelta(days=1)),
    }
    return [msgspec.convert(row, VisitView, from_attributes=True) for row in await session.execute(_VISITS, asked)]
