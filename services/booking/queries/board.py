"""What everybody may know of the line: which tickets are called and served, and about how long people wait.

Nobody who came for something discreet.
"""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.hours import band_of
from services.booking.domain.line import State
from services.booking.domain.waits import Lamp
from services.booking.queries.waits import estimate_waits

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


class PublicWait(msgspec.Struct, frozen=True, kw_only=True):
    """A counter's wait as it is told to everybody: `waiting` is a band, without whoever came for something discreet."""

    waiting: str
    wait_min: int
    lamp: Lamp


# Whoever came for something discreet (おくやみ) is fetched in person: their number is neither shown nor spoken. What
# the catalogue does not know is as discreet as can be.
_IS_TOLD = """
    NOT coalesce(p.discreet, true) AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(coalesce(a.services, '[]')) AS each(value)
        LEFT JOIN procedure k ON k.municipality = a.municipality AND k.code = each.value ->> 'procedure'
        WHERE coalesce(k.discreet, true))
"""
_BOARD = text(f"""
    SELECT a.counter, coalesce(nullif(c.number, ''), c.name_ja, a.counter) AS counter_number, a.office,
           a.ticket_counter, a.ticket_no, a.state, a.called_at
    FROM appointment a
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE a.municipality = :municipality AND a.day = :day AND a.state IN ('called', 'serving')
      AND a.ticket_no IS NOT NULL AND {_IS_TOLD}
    ORDER BY a.counter, a.called_at DESC NULLS LAST, a.ticket_no LIMIT {BOARD_MAX}
""")
# Whoever can be called here: not who was set aside, or is called or served elsewhere.
_WAITING = text(f"""
    SELECT a.counter, count(*) AS waiting FROM appointment a
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE a.municipality = :municipality AND a.day = :day AND a.state = 'checked_in' AND a.parked_at IS NULL
      AND {_IS_TOLD}
      AND NOT EXISTS (SELECT FROM appointment o
                      WHERE (o.municipality, o.chain_id, o.chain_person) = (a.municipality, a.chain_id, a.chain_person)
                        AND o.appointment_id <> a.appointment_id AND o.day = a.day AND o.state IN ('called', 'serving'))
    GROUP BY a.counter ORDER BY a.counter LIMIT 1000
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


async def count_public_waiting(session: AsyncSession, municipality: str, day: date) -> dict[str, str]:
    """In bands, how many wait to be called at each counter of which something is told to the public."""
    discreet = await list_discreet_counters(session, municipality)
    rows = (await session.execute(_WAITING, {"municipality": municipality, "day": day})).all()
    return {row.counter: band_of(row.waiting) for row in rows if row.counter not in discreet}


async def estimate_public_waits(
    session: AsyncSession, municipality: str, day: date, now: datetime
) -> dict[str, PublicWait]:
    """The wait at each counter of which something is told to the public."""
    discreet = await list_discreet_counters(session, municipality)
    waiting = await count_public_waiting(session, municipality, day)
    return {
        counter: PublicWait(waiting=waiting.get(counter, band_of(0)), wait_min=wait.wait_min, lamp=wait.lamp)
        for counter, wait in (await estimate_waits(session, municipality, day, now=now)).items()
        if counter not in discreet
    }
