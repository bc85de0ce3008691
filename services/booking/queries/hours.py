"""How long helpers have helped: from the visits to which somebody came, and the classes that they taught."""

from datetime import date, datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.keys import Keys
from services.booking.queries.helpers import open_name

# Fifty years of months.
MONTHS_MAX = 600


class MonthDone(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in a month (its first day): how many visits and classes, and how long by their times."""

    month: date
    visits: int
    minutes: int


_DONE = text(f"""
    SELECT date_trunc('month', done.day)::date AS month, count(*) AS visits,
           round(sum(extract(epoch FROM done.ends_at - done.starts_at)) / 60)::integer AS minutes
    FROM (SELECT a.day, a.starts_at, a.ends_at FROM assignment s
          JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
          WHERE s.municipality = :municipality AND s.helper_ref = :helper_ref AND s.state = 'accepted'
            AND a.state = 'done'
          UNION ALL
          SELECT (t.starts_at AT TIME ZONE 'Asia/Tokyo')::date, t.starts_at, t.ends_at FROM course_staff t
          JOIN course_session m ON (m.municipality, m.session_id) = (t.municipality, t.session_id)
          JOIN course c ON (c.municipality, c.course_id) = (m.municipality, m.course_id)
          WHERE t.municipality = :municipality AND t.helper_ref = :helper_ref AND t.ends_at <= :now
            AND c.state NOT IN ('draft', 'called_off')) AS done
    GROUP BY 1 ORDER BY 1 DESC LIMIT {MONTHS_MAX}
""")
_NAME = text("""
    SELECT helper_ref, name_sealed, wrapped_key FROM helper
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref)
""")


async def list_done(session: AsyncSession, municipality: str, helper_ref: str, *, now: datetime) -> list[MonthDone]:
    """The months in which a helper has helped, the latest first."""
    rows = await session.execute(_DONE, {"municipality": municipality, "helper_ref": helper_ref, "now": now})
    return [msgspec.convert(row, MonthDone, from_attributes=True) for row in rows]


async def read_own_name(session: AsyncSession, municipality: str, helper_ref: str, keys: Keys) -> str | None:
    """A helper's own name, as their account has it, for their certificate; None when it cannot be read."""
    row = (await session.execute(_NAME, {"municipality": municipality, "helper_ref": helper_ref})).one_or_none()
    return None if row is None else open_name(row, municipality, keys)
