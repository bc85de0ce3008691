"""To what a helper is asked to come, instead of somebody or where nobody is: time, venue, topic and language.

Nothing of whom they would meet.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tokens import Identity

COVERS_MAX = 50


# How long they read that somebody else was faster.
FOUND_SHOWN = timedelta(days=2)


class OwnCover(msgspec.Struct, frozen=True, kw_only=True):
    """A visit to which somebody else is wanted, or a gap. `was_mine`: they had said that they cannot come.

    `topic` None: it is discreet.
    """

    cover_id: UUID
    starts_at: datetime
    ends_at: datetime
    venue_name: str
    venue_place: str
    topic: str | None
    language: str
    answer_by: datetime
    was_mine: bool
    is_gap: bool


class FoundCover(msgspec.Struct, frozen=True, kw_only=True):
    """What they were asked for, and somebody else has accepted."""

    starts_at: datetime
    venue_name: str
    venue_place: str


_OF = """
    FROM cover c
    LEFT JOIN appointment a ON (a.municipality, a.appointment_id) = (c.municipality, c.appointment_id)
    CROSS JOIN LATERAL (SELECT coalesce(a.counter, c.venue) AS venue, coalesce(a.starts_at, c.starts_at) AS starts_at,
                               coalesce(a.ends_at, c.ends_at) AS ends_at) w
    LEFT JOIN counter v ON (v.municipality, v.code) = (c.municipality, w.venue)
"""
_OWN = text(f"""
    SELECT c.cover_id, w.starts_at, w.ends_at, coalesce(a.language, 'ja') AS language, c.answer_by,
           k.helper_ref IS NULL AS was_mine, c.venue IS NOT NULL AS is_gap,
           coalesce(v.name_ja, w.venue) AS venue_name, coalesce(v.place_ja, '') AS venue_place,
           CASE WHEN coalesce(p.discreet, true) THEN NULL ELSE p.name_ja END AS topic
    {_OF}
    LEFT JOIN cover_ask k ON (k.municipality, k.cover_id, k.helper_ref) = (c.municipality, c.cover_id, :helper_ref)
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE c.municipality = :municipality AND c.state = 'open' AND (a.state = 'booked' OR c.venue IS NOT NULL)
      AND w.starts_at > :now
      AND (k.state = 'asked' OR k.helper_ref IS NULL AND c.former_ref = :helper_ref AND NOT EXISTS (
          SELECT 1 FROM assignment s
          WHERE s.municipality = c.municipality AND s.appointment_id = c.appointment_id
            AND s.state IN ('asked', 'accepted')))
    ORDER BY w.starts_at, c.cover_id LIMIT {COVERS_MAX}
""")
_FOUND = text(f"""
    SELECT w.starts_at, coalesce(v.name_ja, w.venue) AS venue_name, coalesce(v.place_ja, '') AS venue_place
    {_OF}
    JOIN cover_ask k ON (k.municipality, k.cover_id, k.helper_ref) = (c.municipality, c.cover_id, :helper_ref)
    WHERE c.municipality = :municipality AND c.state = 'taken' AND k.state = 'asked' AND c.ended_at > :since
      AND w.starts_at > :now
    ORDER BY w.starts_at, c.cover_id LIMIT {COVERS_MAX}
""")


async def list_covers(session: AsyncSession, actor: Identity, *, now: datetime) -> list[OwnCover]:
    """To which visits and gaps a helper could come; and those visits of their own that nobody has taken yet."""
    asked = {"municipality": actor.municipality, "helper_ref": actor.ref, "now": now}
    rows = (await session.execute(_OWN, asked)).all()
    return [msgspec.convert(row, OwnCover, from_attributes=True) for row in rows]


async def list_found(session: AsyncSession, actor: Identity, *, now: datetime) -> list[FoundCover]:
    """Of what they were asked and have not answered: what somebody else does."""
    asked = {"municipality": actor.municipality, "helper_ref": actor.ref, "now": now, "since": now - FOUND_SHOWN}
    rows = (await session.execute(_FOUND, asked)).all()
    return [msgspec.convert(row, FoundCover, from_attributes=True) for row in rows]
