"""How long helpers have helped: from the visits to which somebody came."""

from datetime import date

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.keys import Keys
from services.booking.queries.helpers import open_name

# Fifty years of months.
MONTHS_MAX = 600


class MonthDone(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in a month (its first day): how many visits, and how long by their appointments."""

    month: date
    visits: int
    minutes: int


_DONE = text(f"""
    SELECT date_trunc('month', a.day)::date AS month, count(*) AS visits,
           round(sum(extract(epoch FROM a.ends_at - a.starts_at)) / 60)::integer AS minutes
    FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    WHERE s.municipality = :municipality AND s.helper_ref = :helper_ref AND s.state = 'accepted' AND a.state = 'done'
    GROUP BY 1 ORDER BY 1 DESC LIMIT {MONTHS_MAX}
""")
_NAME = text("""
    SELECT helper_ref, name_sealed, wrapped_key FROM helper
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref)
""")


async def list_done(session: AsyncSession, municipality: str, helper_ref: str) -> list[MonthDone]:
    """The months in which a helper has helped, the latest first."""
    rows = await session.execute(_DONE, {"municipality": municipality, "helper_ref": helper_ref})
    return [msgspec.convert(row, MonthDone, from_attributes=True) for row in rows]


async def read_own_name(session: AsyncSession, municipality: str, helper_ref: str, keys: Keys) -> str | None:
    """A helper's own name, as their account has it, for their certificate; None when it cannot be read."""
    row = (await session.execute(_NAME, {"municipality": municipality, "helper_ref": helper_ref})).one_or_none()
    return None if row is None else open_name(row, municipality, keys)
