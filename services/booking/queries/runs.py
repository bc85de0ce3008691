"""Time that is free in one piece: slots of a counter, each beginning when the one before it ends."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Prepared


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """So many `minutes` in one piece. What its `own` visit or appointment has counts as free."""

    minutes: int
    own: UUID | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The slots that cover a time, in order; the time ends with the last."""

    slot_ids: tuple[UUID, ...]
    ends_at: datetime


# Of slots that do not overlap (the database sees to it), those that begin in the time cover it without a gap exactly
# when together they are as long as from the first beginning to the last end. Nothing of it is withdrawn.
_BEGIN_IN_TIME = """
    r.municipality = {slot}.municipality AND r.counter = {slot}.counter AND r.starts_at >= {slot}.starts_at
    AND r.starts_at < {slot}.starts_at + CAST(:minutes AS integer) * interval '1 minute'"""
_COVER_IT = """
    max(r.ends_at) >= {slot}.starts_at + CAST(:minutes AS integer) * interval '1 minute'
    AND sum(r.ends_at - r.starts_at) = max(r.ends_at) - {slot}.starts_at AND bool_and(NOT r.withdrawn)"""
FREE_OR_OWN = """
    p.audience = 'public' AND (p.appointment_id IS NULL OR p.appointment_id = CAST(:own AS uuid))
    AND (p.held_until IS NULL OR p.held_until <= :now OR p.visit_id = CAST(:own AS uuid))"""
# From a slot on: when the time ends, and in how many places it is free. No row where slots do not cover it.
RUN_FROM = f"""(
    SELECT max(r.ends_at) AS ends_at, min(places.free) AS free
    FROM slot r, LATERAL (
        SELECT count(*) AS free FROM place p
        WHERE p.municipality = r.municipality AND p.slot_id = r.slot_id AND {FREE_OR_OWN}) AS places
    WHERE {_BEGIN_IN_TIME.format(slot="s")}
    HAVING {_COVER_IT.format(slot="s")})"""
# When the time that a visit holds is over: with the last of its places.
HELD_UNTIL_THE_END = """
    CASE WHEN p.parts = 1 THEN s.ends_at ELSE (
        SELECT e.ends_at FROM place l JOIN slot e ON (e.municipality, e.slot_id) = (l.municipality, l.slot_id)
        WHERE l.municipality = p.municipality AND l.visit_id = p.visit_id AND l.hold_id IS NOT NULL AND l.part = p.parts
        ) END"""
_FIND = Prepared(f"""
    SELECT array_agg(r.slot_id ORDER BY r.starts_at) AS slot_ids, max(r.ends_at) AS ends_at
    FROM slot s JOIN slot r ON {_BEGIN_IN_TIME.format(slot="s")}
    WHERE s.municipality = :municipality AND s.slot_id = :slot_id
    GROUP BY s.starts_at HAVING {_COVER_IT.format(slot="s")}
""")


async def find_run(session: AsyncSession, municipality: str, slot_id: UUID, minutes: int) -> Run | None:
    """The slots that cover so many minutes from a slot on, free or not; None where there are none."""
    row = await _FIND.row(session, {"municipality": municipality, "slot_id": slot_id, "minutes": minutes})
    return Run(slot_ids=tuple(row.slot_ids), ends_at=row.ends_at) if row else None
