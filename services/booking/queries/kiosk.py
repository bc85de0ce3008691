"""What the ticket machine shows: procedures by their reading, the line before a counter, and today's times."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.kiosk import kana_row, kiosk_policy
from services.booking.domain.rules import Policy, earliest_start
from services.booking.queries.board import list_discreet_counters
from services.booking.queries.closings import is_closed_now
from services.booking.queries.slots import OpenSlot, ProcedureView, window_end
from services.booking.queries.waits import count_in_line, estimate_waits
from shared.clock import jst_day

PROCEDURES_MAX = 1_000
TIMES_MAX = 60
# What people ask for most is counted over so many days, and so many stand on the first page.
COUNTED = timedelta(days=28)
USUAL_MAX = 6
# Who has just been given something sees it for so long; then it is gone from the screen for good.
SHOWN_FOR = timedelta(minutes=5)


class KioskProcedure(msgspec.Struct, frozen=True, kw_only=True):
    """A procedure that is done at a counter, and the row of its reading."""

    code: str
    name_ja: str
    row: str | None
    discreet: bool
    asked: int


class LineAhead(msgspec.Struct, frozen=True, kw_only=True):
    """Who waits at a counter now; `is_closed`: nobody is served there for the time being.


    Of what is discreet nothing is told: `waiting` and `wait_min` are null; the wait alone is, where nobody serves now.
    """

    waiting: int | None
    wait_min: int | None
    is_closed: bool


_PROCEDURES = text(f"""
    SELECT p.code, p.name_ja, p.name_kana, p.discreet, coalesce(seen.appointments, 0) AS asked
    FROM procedure p
    LEFT JOIN (SELECT procedure, count(*) AS appointments FROM appointment
               WHERE municipality = :municipality AND day BETWEEN :since AND :today GROUP BY procedure) AS seen
         ON seen.procedure = p.code
    WHERE p.municipality = :municipality AND cardinality(p.counters) > 0
    ORDER BY p.name_kana, p.code LIMIT {PROCEDURES_MAX}
""")
# What is kept for whoever comes here is free for them, and so is what nobody at home can book any more.
_TIMES = text(f"""
    SELECT s.slot_id, s.counter, s.starts_at, s.ends_at, count(*) AS free
    FROM slot s JOIN place p ON p.municipality = s.municipality AND p.slot_id = s.slot_id
    WHERE s.municipality = :municipality AND s.counter = ANY (:counters) AND NOT s.withdrawn
      AND s.starts_at >= :earliest AND s.starts_at < :until
      AND p.audience IN ('kiosk', 'public') AND p.appointment_id IS NULL
      AND (p.held_until IS NULL OR p.held_until <= :now)
    GROUP BY s.municipality, s.slot_id
    ORDER BY s.starts_at, s.counter LIMIT {TIMES_MAX}
""")
_GIVEN = text("""
    SELECT 1 FROM appointment
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
      AND kiosk_ref = :kiosk_ref AND kind = :kind AND booked_at > :since
      AND (kind = 'walk_in' OR state = 'booked')
""")


async def list_kiosk_procedures(session: AsyncSession, municipality: str, *, now: datetime) -> list[KioskProcedure]:
    """All procedures that are done at a counter, in the order of their readings."""
    today = jst_day(now)
    asked = {"municipality": municipality, "since": today - COUNTED, "today": today}
    return [
        KioskProcedure(
            code=row.code,
            name_ja=row.name_ja,
            row=kana_row(row.name_kana),
            discreet=row.discreet,
            asked=row.asked,
        )
        for row in await session.execute(_PROCEDURES, asked)
    ]


def usual_procedures(procedures: Sequence[KioskProcedure]) -> list[KioskProcedure]:
    """What people come for most. What others should not see over a shoulder is found by its reading only."""
    shown = [procedure for procedure in procedures if not procedure.discreet]
    return sorted(shown, key=lambda procedure: -procedure.asked)[:USUAL_MAX]


async def find_line_ahead(
    session: AsyncSession, municipality: str, procedure: ProcedureView, counter: str, *, now: datetime
) -> LineAhead:
    """How many wait at a counter, and about how long whoever comes now for this will wait there."""
    wait = (await estimate_waits(session, municipality, jst_day(now), now, counters=[counter])).get(counter)
    waiting: int | None = wait.waiting if wait else await count_in_line(session, municipality, counter, now=now)
    if procedure.discreet or counter in await list_discreet_counters(session, municipality):
        waiting, wait = None, None
    return LineAhead(
        waiting=waiting,
        wait_min=wait.wait_min if wait else None,
        is_closed=await is_closed_now(session, municipality, counter, now=now),
    )


async def list_kiosk_times(
    session: AsyncSession, municipality: str, counters: Sequence[str], town: Policy, *, now: datetime
) -> list[OpenSlot]:
    """The times of today that the machine can give out, with how many people each still takes."""
    policy = kiosk_policy(town)
    asked = {
        "municipality": municipality,
        "counters": list(counters),
        "earliest": earliest_start(policy, now),
        "until": window_end(policy, now),
        "now": now,
    }
    rows = (await session.execute(_TIMES, asked)).all()
    return [msgspec.convert(row, OpenSlot, from_attributes=True) for row in rows]


async def was_just_given(
    session: AsyncSession, municipality: str, kiosk_ref: str, appointment_id: UUID, kind: str, *, now: datetime
) -> bool:
    """Whether this machine gave out this ticket (`walk_in`) or time (`booked`, and still so) a moment ago."""
    given = {"municipality": municipality, "appointment_id": appointment_id, "kiosk_ref": kiosk_ref, "kind": kind}
    return (await session.execute(_GIVEN, given | {"since": now - SHOWN_FOR})).one_or_none() is not None
