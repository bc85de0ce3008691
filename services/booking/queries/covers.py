"""What a helper is asked to do instead of somebody: time, venue, topic and language, and nothing of whom they would
meet."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tokens import Identity

COVERS_MAX = 50


class OwnCover(msgspec.Struct, frozen=True, kw_only=True):
    """A visit to which somebody else is wanted. `was_mine`: they had said that they cannot come. `topic` None: it is
    discreet."""

    cover_id: UUID
    starts_at: datetime
    ends_at: datetime
    venue_name: str
    venue_place: str
    topic: str | None
    language: str
    answer_by: datetime
    was_mine: bool


_OWN = text(f"""
    SELECT c.cover_id, a.starts_at, a.ends_at, a.language, c.answer_by, k.helper_ref IS NULL AS was_mine,
           coalesce(v.name_ja, a.counter) AS venue_name, coalesce(v.place_ja, '') AS venue_place,
           CASE WHEN coalesce(p.discreet, true) THEN NULL ELSE p.name_ja END AS topic
    FROM cover c
    JOIN appointment a ON (a.municipality, a.appointment_id) = (c.municipality, c.appointment_id)
    LEFT JOIN cover_ask k ON (k.municipality, k.cover_id, k.helper_ref) = (c.municipality, c.cover_id, :helper_ref)
    LEFT JOIN counter v ON (v.municipality, v.code) = (a.municipality, a.counter)
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE c.municipality = :municipality AND c.state = 'open' AND a.state = 'booked' AND a.starts_at > :now
      AND (k.state = 'asked' OR k.helper_ref IS NULL AND c.former_ref = :helper_ref AND NOT EXISTS (
          SELECT 1 FROM assignment s
          WHERE s.municipality = c.municipality AND s.appointment_id = c.appointment_id
            AND s.state IN ('asked', 'accepted')))
    ORDER BY a.starts_at, c.cover_id LIMIT {COVERS_MAX}
""")


async def list_covers(session: AsyncSession, actor: Identity, *, now: datetime) -> list[OwnCover]:
    """To which visits a helper could come instead; and those of their own that nobody has taken yet."""
    asked = {"municipality": actor.municipality, "helper_ref": actor.ref, "now": now}
    rows = (await session.execute(_OWN, asked)).all()
    return [msgspec.convert(row, OwnCover, from_attributes=True) for row in rows]
