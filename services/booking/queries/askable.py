"""Who of the helpers can be asked: conditions of a `helper h`, said once for all statements that choose among them."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.shifts import week_of
from shared.clock import jst_day

# Open, trained and not suspended, and not pausing.
TAKES_REQUESTS = "h.is_open AND h.standing = 'active' AND h.paused_on IS NULL"
# Nor away on the day, nor with visits enough in its week. Takes `visit_times`.
CAN_BE_ASKED = f"""
    {TAKES_REQUESTS}
    AND NOT EXISTS (
        SELECT 1 FROM helper_away g
        WHERE (g.municipality, g.helper_ref) = (h.municipality, h.helper_ref)
          AND CAST(:day AS date) BETWEEN g.first_day AND g.last_day)
    AND h.visits_per_week > (
        SELECT count(*) FROM assignment v
        WHERE v.municipality = h.municipality AND v.helper_ref = h.helper_ref AND v.state IN ('asked', 'accepted')
          AND lower(v.during) >= :week_from AND lower(v.during) < :week_until)
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

_CAN_BE_ASKED = text(f"""
    SELECT 1 FROM helper h WHERE (h.municipality, h.helper_ref) = (:municipality, :helper_ref) AND {CAN_BE_ASKED}
""")


def visit_times(starts_at: datetime) -> dict[str, Any]:
    """When a visit is, as `CAN_BE_ASKED` takes it: its day, and its week from Monday to Sunday, in Japan."""
    week_from, week_until = week_of(starts_at)
    return {"day": jst_day(starts_at), "week_from": week_from, "week_until": week_until}


async def can_be_asked(session: AsyncSession, municipality: str, helper_ref: str, starts_at: datetime) -> bool:
    """Whether a helper takes (more) visits on that day, and in its week."""
    asked = {"municipality": municipality, "helper_ref": helper_ref} | visit_times(starts_at)
    return (await session.execute(_CAN_BE_ASKED, asked)).one_or_none() is not None
