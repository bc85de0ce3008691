"""Asking all at once who can come to a visit instead, and that it is over.

`commands/covers.py` has what helpers and coordinators do with it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.telling_helpers import Told, tell_helper, tell_over
from services.booking.domain.covers import Candidate, cover_by, who_suits
from services.booking.queries.askable import CAN_BE_ASKED, HAS_WHAT_IS_NEEDED, visit_times
from services.booking.queries.helpers import TEACHES_THEN
from shared.messaging.due import schedule, unschedule

COVER = "cover"
CANDIDATES_MAX = 500

_FORMER = text("""
    SELECT helper_ref FROM assignment WHERE municipality = :municipality AND appointment_id = :appointment_id
    ORDER BY state IN ('asked', 'accepted') DESC, answered_at DESC NULLS LAST, asked_at DESC, assignment_id LIMIT 1
""")
# Free then, not away, with less than they take on in this week; and who has said no for this time is not asked again.
_FREE = text(f"""
    SELECT h.helper_ref, h.languages, h.topics FROM helper h
    WHERE h.municipality = :municipality AND h.helper_ref <> :former_ref AND {CAN_BE_ASKED}
      AND NOT EXISTS (
          SELECT 1 FROM assignment s WHERE s.municipality = h.municipality AND s.helper_ref = h.helper_ref
            AND s.state IN ('asked', 'accepted', 'declined')
            AND s.during && tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)))
      AND NOT {TEACHES_THEN} AND {HAS_WHAT_IS_NEEDED}
      AND NOT EXISTS (
          SELECT 1 FROM cover_ask k JOIN cover c ON (c.municipality, c.cover_id) = (k.municipality, k.cover_id)
          WHERE k.municipality = h.municipality AND k.helper_ref = h.helper_ref AND k.state = 'declined'
            AND c.appointment_id = :appointment_id)
    ORDER BY h.helper_ref LIMIT {CANDIDATES_MAX}
""")
_OPEN = text("""
    INSERT INTO cover (municipality, cover_id, appointment_id, former_ref, state, asked_at, answer_by)
    VALUES (:municipality, :cover_id, :appointment_id, :former_ref, 'open', :now, :answer_by)
""")
_ASK = text("""
    INSERT INTO cover_ask (municipality, cover_id, helper_ref, state)
    SELECT :municipality, :cover_id, ref, 'asked' FROM unnest(CAST(:refs AS text[])) AS ref
""")
_WHO_WAITS = text("""
    SELECT helper_ref FROM cover_ask
    WHERE (municipality, cover_id) = (:municipality, :cover_id) AND state <> 'declined' ORDER BY helper_ref
""")
_IS_OPEN = text("""
    SELECT 1 FROM cover WHERE municipality = :municipality AND appointment_id = :appointment_id AND state = 'open'
""")
_WITHDRAW = text("""
    UPDATE cover SET state = 'withdrawn', ended_at = :now
    WHERE municipality = :municipality AND appointment_id = :appointment_id AND state = 'open' RETURNING cover_id
""")


async def ask_all(session: AsyncSession, municipality: str, appointment: Any, *, now: datetime) -> int:
    """Ask everybody who suits whether they can come instead; the first who accepts comes.

    Returns how many were asked: 0 when there is no time, or nobody. The caller has locked the appointment, for which
    nothing of this is going on.
    """
    answer_by = cover_by(asked_at=now, starts_at=appointment.starts_at)
    mine = {"municipality": municipality, "appointment_id": appointment.appointment_id}
    former_ref = (await session.execute(_FORMER, mine)).scalar_one_or_none()
    if answer_by is None or former_ref is None:
        return 0
    times = {"starts_at": appointment.starts_at, "ends_at": appointment.ends_at}
    asked = mine | times | visit_times(appointment.starts_at) | {"former_ref": former_ref}
    free = [msgspec.convert(row, Candidate, from_attributes=True) for row in await session.execute(_FREE, asked)]
    # Appointments are for procedures, which everybody explains.
    refs = who_suits(free, language=appointment.language, topic="")
    if not refs:
        return 0
    cover_id = uuid4()
    opened = mine | {"cover_id": cover_id, "former_ref": former_ref, "now": now, "answer_by": answer_by}
    await session.execute(_OPEN, opened)
    await session.execute(_ASK, {"municipality": municipality, "cover_id": cover_id, "refs": refs})
    told = Told(
        venue=appointment.counter,
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        answer_by=answer_by,
        about=cover_id,
    )
    for ref in refs:
        await tell_helper(session, municipality, ref, "cover", told, now=now)
    await schedule(session, "booking", municipality=municipality, kind=COVER, ref=str(cover_id), due_at=answer_by)
    return len(refs)


async def is_covering(session: AsyncSession, municipality: str, appointment_id: UUID) -> bool:
    """Whether several are being asked for this appointment now."""
    mine = {"municipality": municipality, "appointment_id": appointment_id}
    return (await session.execute(_IS_OPEN, mine)).one_or_none() is not None


async def withdraw_cover(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> None:
    """Nobody need come instead any more: it is another time, another helper, or nothing at all."""
    mine = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    cover_id = (await session.execute(_WITHDRAW, mine)).scalar_one_or_none()
    if cover_id is not None:
        await ended(session, municipality, cover_id, now=now)


async def ended(session: AsyncSession, municipality: str, cover_id: UUID, *, now: datetime) -> None:
    """Its time no longer runs, and whoever was to read of it in the morning need not."""
    await unschedule(session, "booking", municipality=municipality, kind=COVER, ref=str(cover_id))
    waiting = await session.execute(_WHO_WAITS, {"municipality": municipality, "cover_id": cover_id})
    for helper_ref in waiting.scalars().all():
        await tell_over(session, municipality, helper_ref, cover_id, now=now)
