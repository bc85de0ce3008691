"""Asking all at once who can come, to a visit instead of somebody or to a venue where nobody is, and that it is over.

`commands/covers.py` and `commands/gaps.py` have what helpers and coordinators do with it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.telling_helpers import Told, tell_helper, tell_over
from services.booking.domain.choosing import Candidate, Wanted, best_of_all
from services.booking.domain.covers import cover_by
from services.booking.queries.askable import (
    CAN_BE_ASKED,
    FREE_THEN,
    HAS_WHAT_IS_NEEDED,
    ON_SHIFT_THEN,
    find_skill,
    visit_times,
)
from shared.messaging.due import schedule, unschedule

COVER = "cover"
# Of what a cover is: a visit's, or a gap's.
NOTHING: dict[str, Any] = dict.fromkeys(("appointment_id", "former_ref", "venue", "starts_at", "ends_at"))
CANDIDATES_MAX = 500

_FORMER = text("""
    SELECT helper_ref FROM assignment WHERE municipality = :municipality AND appointment_id = :appointment_id
    ORDER BY state IN ('asked', 'accepted') DESC, answered_at DESC NULLS LAST, asked_at DESC, assignment_id LIMIT 1
""")
# Free then, not away, with less than they take on in this week; and who has said no for this time is not asked again.
_FREE = text(f"""
    SELECT h.helper_ref, h.languages, h.topics FROM helper h
    WHERE h.municipality = :municipality AND h.helper_ref <> :former_ref
      AND {CAN_BE_ASKED} AND {FREE_THEN} AND {HAS_WHAT_IS_NEEDED}
      AND NOT EXISTS (
          SELECT 1 FROM cover_ask k JOIN cover c ON (c.municipality, c.cover_id) = (k.municipality, k.cover_id)
          WHERE k.municipality = h.municipality AND k.helper_ref = h.helper_ref AND k.state = 'declined'
            AND c.appointment_id = :appointment_id)
    ORDER BY h.helper_ref LIMIT {CANDIDATES_MAX}
""")
# As above, and at no other venue then. Nobody is to be met yet: whatever they speak and explain.
_FREE_FOR_GAP = text(f"""
    SELECT h.helper_ref FROM helper h
    WHERE h.municipality = :municipality AND {CAN_BE_ASKED} AND {FREE_THEN} AND NOT {ON_SHIFT_THEN}
      AND NOT EXISTS (
          SELECT 1 FROM cover_ask k JOIN cover c ON (c.municipality, c.cover_id) = (k.municipality, k.cover_id)
          WHERE k.municipality = h.municipality AND k.helper_ref = h.helper_ref AND k.state = 'declined'
            AND c.venue = :venue
            AND tstzrange(c.starts_at, c.ends_at) @> tstzrange(CAST(:starts_at AS timestamptz),
                                                               CAST(:ends_at AS timestamptz)))
    ORDER BY h.helper_ref LIMIT {CANDIDATES_MAX}
""")
_OPEN = text("""
    INSERT INTO cover (municipality, cover_id, appointment_id, former_ref, venue, starts_at, ends_at, state, asked_at,
                       answer_by)
    VALUES (:municipality, :cover_id, :appointment_id, :former_ref, :venue, :starts_at, :ends_at, 'open', :now,
            :answer_by)
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
_GAP_FILLED = text("""
    UPDATE cover SET state = 'withdrawn', ended_at = :now
    WHERE municipality = :municipality AND venue = :venue AND state = 'open'
      AND tstzrange(starts_at, ends_at) <@ tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz))
    RETURNING cover_id
""")


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a venue is open and nobody is there."""

    venue: str
    starts_at: datetime
    ends_at: datetime


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
    asked = mine | visit_times(appointment.starts_at, appointment.ends_at) | {"former_ref": former_ref}
    free = [msgspec.convert(row, Candidate, from_attributes=True) for row in await session.execute(_FREE, asked)]
    skill = await find_skill(session, municipality, appointment.appointment_id)
    refs = best_of_all(free, Wanted(language=appointment.language, skill=skill))
    told = Told(
        venue=appointment.counter,
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        answer_by=answer_by,
        about=uuid4(),
    )
    of = {"appointment_id": appointment.appointment_id, "former_ref": former_ref}
    await _ask(session, municipality, refs, told, NOTHING | of, now=now)
    return len(refs)


async def ask_for_gap(session: AsyncSession, municipality: str, gap: Gap, *, now: datetime) -> int:
    """Ask everybody who is free whether they can be there; the first who accepts is. Returns as `ask_all`."""
    answer_by = cover_by(asked_at=now, starts_at=gap.starts_at)
    if answer_by is None:
        return 0
    refs = await list_free_for(session, municipality, gap)
    of = msgspec.structs.asdict(gap)
    await _ask(session, municipality, refs, Told(answer_by=answer_by, about=uuid4(), **of), NOTHING | of, now=now)
    return len(refs)


async def list_free_for(session: AsyncSession, municipality: str, gap: Gap) -> list[str]:
    """Who could be there: asked nothing else, not away, at no other venue and in no visit then."""
    asked = {"municipality": municipality, "venue": gap.venue} | visit_times(gap.starts_at, gap.ends_at)
    return list((await session.execute(_FREE_FOR_GAP, asked)).scalars())


async def _ask(
    session: AsyncSession, municipality: str, refs: Sequence[str], told: Told, of: dict[str, Any], *, now: datetime
) -> None:
    if not refs:
        return
    cover = {"municipality": municipality, "cover_id": told.about}
    await session.execute(_OPEN, cover | of | {"now": now, "answer_by": told.answer_by})
    await session.execute(_ASK, cover | {"refs": list(refs)})
    for ref in refs:
        await tell_helper(session, municipality, ref, "cover", told, now=now)
    if told.answer_by is not None:
        ref, due_at = str(told.about), told.answer_by
        await schedule(session, "booking", municipality=municipality, kind=COVER, ref=ref, due_at=due_at)


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


async def gap_filled(session: AsyncSession, municipality: str, filled: Gap, *, now: datetime) -> None:
    """Somebody is there for all of this: nobody else need be."""
    asked = {"municipality": municipality, "now": now} | msgspec.structs.asdict(filled)
    for cover_id in (await session.execute(_GAP_FILLED, asked)).scalars().all():
        await ended(session, municipality, cover_id, now=now)


async def ended(session: AsyncSession, municipality: str, cover_id: UUID, *, now: datetime) -> None:
    """Its time no longer runs, and whoever was to read of it in the morning need not."""
    await unschedule(session, "booking", municipality=municipality, kind=COVER, ref=str(cover_id))
    waiting = await session.execute(_WHO_WAITS, {"municipality": municipality, "cover_id": cover_id})
    for helper_ref in waiting.scalars().all():
        await tell_over(session, municipality, helper_ref, cover_id, now=now)
