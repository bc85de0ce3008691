"""The public call display: which tickets are called and served. Nobody who came for something discreet."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.line import State

BOARD_MAX = 200


class BoardItem(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket on the display."""

    counter: str
    counter_number: str
    office: str
    ticket_counter: str
    ticket_no: int
    state: State
    called_at: datetime | None


# Whoever came for something discreet (おくやみ) is fetched in person: their number is neither shown nor spoken. What
# the catalogue does not know is as discreet as can be.
_BOARD = text(f"""
    SELECT a.counter, coalesce(nullif(c.number, ''), c.name_ja, a.counter) AS counter_number, a.office,
           a.ticket_counter, a.ticket_no, a.state, a.called_at
    FROM appointment a
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE a.municipality = :municipality AND a.day = :day AND a.state IN ('called', 'serving')
      AND a.ticket_no IS NOT NULL AND NOT coalesce(p.discreet, true)
      AND NOT EXISTS (
          SELECT FROM jsonb_array_elements(coalesce(a.services, '[]')) AS each(value)
          LEFT JOIN procedure k ON k.municipality = a.municipality AND k.code = each.value ->> 'procedure'
          WHERE coalesce(k.discreet, true))
    ORDER BY a.counter, a.called_at DESC NULLS LAST, a.ticket_no LIMIT {BOARD_MAX}
""")
# Where nothing but what is discreet is done, that somebody waits would tell what for.
_DISCREET = text("""
    SELECT counter FROM procedure, unnest(counters) AS counter WHERE municipality = :municipality
    GROUP BY counter HAVING bool_and(discreet) LIMIT 1000
""")


async def list_board(session: AsyncSession, municipality: str, day: date) -> list[BoardItem]:
    """The tickets that are called or served now, the newest of each counter first."""
    rows = (await session.execute(_BOARD, {"municipality": municipality, "day": day})).all()
    return [msgspec.convert(row, BoardItem, from_attributes=True) for row in rows]


async def list_discreet_counters(session: AsyncSession, municipality: str) -> frozenset[str]:
    """The counters of which nothing is told to the public."""
    rows: Sequence[str] = (await session.execute(_DISCREET, {"municipality": municipality})).scalars().all()
    return frozenset(rows)
