"""Asking a helper for an appointment, the next one when they cannot come, and telling when nobody can."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.facts import tell
from services.booking.commands.help_returns import is_untold, look_again
from services.booking.commands.marks import mark_availability
from services.booking.commands.offers import end_offer, tell_progress
from services.booking.commands.slots import FREE_PLACE
from services.booking.commands.venues import bring_venues
from services.booking.domain.shifts import Shift, answer_by, week_time
from services.booking.queries.helpers import list_venues_of
from services.booking.tables import outbox
from shared.events.booking import AppointmentCancelled
from shared.messaging.due import schedule

HELPER_ANSWER = "helper_answer"
# At one venue, at one time of the week.
CANDIDATES_MAX = 500

# Who books or is passed on at this slot comes one after another: the next sees whom the one before has asked.
_LOCK_SLOT = text("""
    SELECT slot_id FROM slot WHERE (municipality, slot_id) = (:municipality, :slot_id) FOR NO KEY UPDATE
""")
# On shift (in which weeks, the domain knows), neither busy nor having said no; who speaks the language first, then who
# has been asked least.
_FREE_HELPERS = text(f"""
    SELECT h.helper_ref, f.weekday, f.from_min, f.to_min, f.every_weeks, f.nth, f.first_week FROM helper h
    JOIN helper_shift f ON (f.municipality, f.helper_ref) = (h.municipality, h.helper_ref)
    WHERE h.municipality = :municipality AND h.is_open AND f.venue = :venue AND f.weekday = :weekday
      AND f.from_min <= :from_min AND f.to_min >= :to_min
      AND NOT EXISTS (
          SELECT 1 FROM assignment s WHERE s.municipality = h.municipality AND s.helper_ref = h.helper_ref
            AND s.state IN ('asked', 'accepted', 'declined')
            AND s.during && tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)))
      -- What a request cannot do without (`domain/matching.py: suits`).
      AND NOT EXISTS (
          SELECT 1 FROM help_request r
          WHERE (r.municipality, r.appointment_id) = (h.municipality, :appointment_id)
            AND (r.sign_need = 'needed' AND NOT h.signs
                 OR r.language_need = 'needed' AND r.language <> ALL (h.languages)))
    ORDER BY CAST(:language AS text) = ANY (h.languages) DESC,
             (SELECT count(*) FROM assignment s WHERE s.municipality = h.municipality AND s.helper_ref = h.helper_ref
                AND s.state IN ('asked', 'accepted') AND upper(s.during) > :now),
             h.helper_ref
    LIMIT {CANDIDATES_MAX}
""")
_ASK = text("""
    INSERT INTO assignment (municipality, assignment_id, appointment_id, helper_ref, state, during, asked_at)
    VALUES (:municipality, :assignment_id, :appointment_id, :helper_ref, 'asked',
            tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)), :now)
""")
_RELEASE = text("""
    UPDATE assignment SET state = 'released', answered_at = :now
    WHERE municipality = :municipality AND appointment_id = :appointment_id AND state IN ('asked', 'accepted')
    RETURNING helper_ref
""")
_ASKED_ANEW = text("""
    UPDATE appointment SET helper = 'asked', version = version + 1, changed_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND helper <> 'asked' RETURNING *
""")
_NOBODY = text("""
    UPDATE appointment
    SET state = 'cancelled', helper = 'nobody', version = version + 1, sequence = sequence + 1, cancelled_at = :now,
        changed_at = :now, closure = 'none', closing_id = NULL
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
    RETURNING *
""")


async def ask_helper(
    session: AsyncSession,
    municipality: str,
    appointment: Any,
    *,
    slot_id: UUID,
    chosen: str | None = None,
    now: datetime,
) -> str | None:
    """Ask a free helper who is on shift at the venue then; return whom, or None when nobody can be asked.

    `appointment` is a row, or anything with its id, counter, times and language. Whoever was `chosen` for it is asked.
    """
    await session.execute(_LOCK_SLOT, {"municipality": municipality, "slot_id": slot_id})
    helper_ref = chosen or await _find_free(session, municipality, appointment, now=now)
    if helper_ref is not None:
        await ask_this_helper(session, municipality, appointment, helper_ref, now=now)
    return helper_ref


async def _find_free(session: AsyncSession, municipality: str, appointment: Any, *, now: datetime) -> str | None:
    time = week_time(appointment.starts_at, appointment.ends_at)
    asked = {
        "municipality": municipality,
        "venue": appointment.counter,
        "appointment_id": appointment.appointment_id,
        "weekday": time.day.isoweekday(),
        "from_min": time.from_min,
        "to_min": time.to_min,
        "starts_at": appointment.starts_at,
        "ends_at": appointment.ends_at,
        # やさしい日本語 is spoken by whoever speaks Japanese.
        "language": appointment.language.partition("-")[0],
        "now": now,
    }
    rows = await session.execute(_FREE_HELPERS, asked)
    shifts = (msgspec.convert(row, Shift, from_attributes=True) for row in rows)
    return next((shift.helper_ref for shift in shifts if shift.is_on(time.day)), None)


async def ask_this_helper(
    session: AsyncSession, municipality: str, appointment: Any, helper_ref: str, *, now: datetime
) -> None:
    """Ask one helper. The database refuses (exclusion constraint) whoever is in another appointment then."""
    assignment_id = uuid4()
    await session.execute(
        _ASK,
        {
            "municipality": municipality,
            "assignment_id": assignment_id,
            "appointment_id": appointment.appointment_id,
            "helper_ref": helper_ref,
            "starts_at": appointment.starts_at,
            "ends_at": appointment.ends_at,
            "now": now,
        },
    )
    due_at = answer_by(asked_at=now, starts_at=appointment.starts_at)
    ref = str(assignment_id)
    await schedule(session, "booking", municipality=municipality, kind=HELPER_ANSWER, ref=ref, due_at=due_at)


async def release_helper(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> set[str]:
    """Nobody need come to this appointment any more, or not then.

    Returns the venues where whoever was asked has shifts. A coordinator may have asked them away from there: when all
    else is done, `bring_venues` opens their places again.
    """
    mine = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    # One at most (assignment_one_live_idx).
    helper_ref = (await session.execute(_RELEASE, mine)).scalar_one_or_none()
    return set(await list_venues_of(session, municipality, helper_ref)) if helper_ref is not None else set()


async def ask_next(session: AsyncSession, municipality: str, appointment: Any, *, now: datetime) -> None:
    """The one who was asked cannot come: ask the next; when there is none, the town cancels and the resident is told.

    Of a request for help that nobody has accepted yet, the next one may come at another time: it is matched again. The
    caller has locked the appointment, and its assignment is over.
    """
    mine = {"municipality": municipality, "appointment_id": appointment.appointment_id, "now": now}
    untold = await is_untold(session, municipality, appointment.appointment_id)
    asked = None
    if appointment.starts_at > now and not untold:
        asked = await ask_helper(session, municipality, appointment, slot_id=appointment.slot_id, now=now)
    if asked is not None:
        anew = (await session.execute(_ASKED_ANEW, mine)).one_or_none()
        if anew is not None:
            await outbox.publish(session, await tell_progress(session, anew, now=now))
    else:
        cancelled = (await session.execute(_NOBODY, mine)).one()
        await session.execute(FREE_PLACE, mine)
        await end_offer(session, municipality, appointment.appointment_id, "withdrawn", now=now)
        await mark_availability(session, municipality, [appointment.counter], now=now)
        if not untold:
            await outbox.publish(session, tell(AppointmentCancelled, cancelled, now=now))
        await look_again(session, municipality, appointment.appointment_id, now=now)
    await bring_venues(session, municipality, [appointment.counter], now=now)
