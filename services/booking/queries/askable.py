"""Who of the helpers can be asked: conditions of a `helper h`, said once for all statements that choose among them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.shifts import week_of, week_time
from services.booking.queries.helpers import TEACHES_THEN

# Open, trained and not suspended, and not pausing.
TAKES_REQUESTS = "h.is_open AND h.standing = 'active' AND h.paused_on IS NULL"
IS_AWAY = """EXISTS (
        SELECT 1 FROM helper_away g
        WHERE (g.municipality, g.helper_ref) = (h.municipality, h.helper_ref)
          AND CAST(:day AS date) BETWEEN g.first_day AND g.last_day)"""
# Nor away on the day, nor with visits enough in its week. This and the following take `visit_times`.
CAN_BE_ASKED = f"""
    {TAKES_REQUESTS}
    AND NOT {IS_AWAY}
    AND h.visits_per_week > (
        SELECT count(*) FROM assignment v
        WHERE v.municipality = h.municipality AND v.helper_ref = h.helper_ref AND v.state IN ('asked', 'accepted')
          AND lower(v.during) >= :week_from AND lower(v.during) < :week_until)
"""
# In no visit then and in no class, nor has said no for that time.
FREE_THEN = f"""
    NOT EXISTS (
        SELECT 1 FROM assignment s WHERE s.municipality = h.municipality AND s.helper_ref = h.helper_ref
          AND s.state IN ('asked', 'accepted', 'declined')
          AND s.during && tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)))
    AND NOT {TEACHES_THEN}
"""
# On shift at the `venue` for all of that time.
ON_SHIFT_THERE = """
    h.helper_ref IN (
        SELECT f.helper_ref FROM shifts_on(:municipality, CAST(:day AS date)) f
        WHERE f.venue = :venue AND f.from_min <= :from_min AND f.to_min >= :to_min)
"""
# On shift anywhere for some of it.
ON_SHIFT_THEN = """
    EXISTS (
        SELECT 1 FROM shifts_on(:municipality, CAST(:day AS date)) f
        WHERE f.helper_ref = h.helper_ref AND f.from_min < :to_min AND f.to_min > :from_min)
"""
# What the request for help behind an appointment cannot do without (`domain/matching.py: suits`).
HAS_WHAT_IS_NEEDED = """
    NOT EXISTS (
        SELECT FROM help_request r
        WHERE (r.municipality, r.appointment_id) = (h.municipality, :appointment_id)
          AND (r.sign_need = 'needed' AND NOT h.signs
               -- やさしい日本語 is spoken by whoever speaks Japanese.
               OR r.language_need = 'needed' AND split_part(r.language, '-', 1) <> ALL (h.languages)))
"""

# What a visit is about: a topic, where somebody asked for one, or its procedure (as in `queries/help_candidates.py`).
_SKILL = text("""
    SELECT coalesce(nullif(r.topic, ''), a.procedure) FROM appointment a
    LEFT JOIN help_request r ON (r.municipality, r.appointment_id) = (a.municipality, a.appointment_id)
    WHERE (a.municipality, a.appointment_id) = (:municipality, :appointment_id)
    LIMIT 1
""")
_CAN_BE_ASKED = text(f"""
    SELECT 1 FROM helper h WHERE (h.municipality, h.helper_ref) = (:municipality, :helper_ref) AND {CAN_BE_ASKED}
""")


def visit_times(starts_at: datetime, ends_at: datetime) -> dict[str, Any]:
    """When a visit is, as these conditions take it: also its day, minutes and week (Monday to Sunday), in Japan."""
    week_from, week_until = week_of(starts_at)
    time = week_time(starts_at, ends_at)
    return {
        "starts_at": starts_at,
        "ends_at": ends_at,
        "day": time.day,
        "from_min": time.from_min,
        "to_min": time.to_min,
        "week_from": week_from,
        "week_until": week_until,
    }


async def find_skill(session: AsyncSession, municipality: str, appointment_id: UUID) -> str:
    """The topic or procedure that a visit is about."""
    key = {"municipality": municipality, "appointment_id": appointment_id}
    return str((await session.execute(_SKILL, key)).scalar_one())


async def can_be_asked(
    session: AsyncSession, municipality: str, helper_ref: str, starts_at: datetime, ends_at: datetime
) -> bool:
    """Whether a helper takes (more) visits on that day, and in its week."""
    asked = {"municipality": municipality, "helper_ref": helper_ref} | visit_times(starts_at, ends_at)
    return (await session.execute(_CAN_BE_ASKED, asked)).one_or_none() is not None
