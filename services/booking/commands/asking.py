"""Asking a helper for an appointment, the next one when they cannot come, and telling when nobody can."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.cover_asking import ask_all, is_covering, withdraw_cover
from services.booking.commands.facts import tell
from services.booking.commands.help_returns import is_untold, look_again
from services.booking.commands.marks import mark_availability
from services.booking.commands.offers import end_offer, tell_progress
from services.booking.commands.slots import FREE_PLACE
from services.booking.commands.telling_helpers import Told, tell_helper
from services.booking.commands.venues import bring_venues
from services.booking.domain.choosing import Candidate, Wanted, best_first
from services.booking.domain.covers import SHORT_NOTICE
from services.booking.domain.shifts import answer_by
from services.booking.queries.askable import (
    CAN_BE_ASKED,
    FREE_THEN,
    HAS_WHAT_IS_NEEDED,
    ON_SHIFT_THERE,
    can_be_asked,
    find_skill,
    visit_times,
)
from services.booking.queries.helpers import VENUES_MAX, list_venues_of
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
# On shift, neither busy nor having said no, and taking visits that day and week; who has been asked least comes first.
_FREE_HELPERS = text(f"""
    SELECT h.helper_ref, h.languages, h.topics FROM helper h
    WHERE h.municipality = :municipality AND {ON_SHIFT_THERE}
      AND {CAN_BE_ASKED} AND {FREE_THEN} AND {HAS_WHAT_IS_NEEDED}
    ORDER BY (SELECT count(*) FROM assignment s WHERE s.municipality = h.municipality AND s.helper_ref = h.helper_ref
                AND s.state IN ('asked', 'accepted') AND upper(s.during) > :now),
             h.helper_ref
    LIMIT {CANDIDATES_MAX}
""")
# Whoever asks them for another time meanwhile is waited for: nobody gets more visits in a week than they take.
_LOCK_HELPER = text("""
    SELECT 1 FROM helper WHERE (municipality, helper_ref) = (:municipality, :helper_ref) FOR NO KEY UPDATE
""")
_ASK = text("""
    INSERT INTO assignment
        (municipality, assignment_id, appointment_id, helper_ref, state, during, asked_at, overrides_shift)
    VALUES (:municipality, :assignment_id, :appointment_id, :helper_ref, 'asked',
            tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)), :now, :overrides_shift)
""")
_VENUES_OF_ASKED = text(f"""
    SELECT DISTINCT f.venue FROM assignment s
    JOIN helper_shift f ON (f.municipality, f.helper_ref) = (s.municipality, s.helper_ref)
    WHERE s.municipality = :municipality AND s.appointment_id = :appointment_id LIMIT {VENUES_MAX}
""")
_RELEASE = text("""
    UPDATE assignment s SET state = 'released', answered_at = :now
    FROM appointment a
    WHERE (s.municipality, s.appointment_id) = (:municipality, :appointment_id) AND s.state IN ('asked', 'accepted')
      AND (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    RETURNING s.helper_ref, s.assignment_id, s.appointment_id, a.counter,
              lower(s.during) AS starts_at, upper(s.during) AS ends_at
""")
_ASKED_ANEW = text("""
    UPDATE appointment SET helper = 'asked', version = version + 1, changed_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND helper <> 'asked' RETURNING *
""")
ACCEPTED = text("""
    UPDATE appointment SET helper = 'accepted', version = version + 1, changed_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) RETURNING *
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
    helper_ref = await find_helper(session, municipality, appointment, slot_id=slot_id, chosen=chosen, now=now)
    if helper_ref is not None:
        await ask_this_helper(session, municipality, appointment, helper_ref, now=now)
    return helper_ref


async def find_helper(
    session: AsyncSession,
    municipality: str,
    appointment: Any,
    *,
    slot_id: UUID,
    chosen: str | None = None,
    now: datetime,
) -> str | None:
    """Who is to be asked: the slot is locked, so that whoever comes next sees that they were."""
    await session.execute(_LOCK_SLOT, {"municipality": municipality, "slot_id": slot_id})
    return chosen or await _find_free(session, municipality, appointment, now=now)


async def _find_free(session: AsyncSession, municipality: str, appointment: Any, *, now: datetime) -> str | None:
    town, starts_at, ends_at = municipality, appointment.starts_at, appointment.ends_at
    mine = {"municipality": town, "venue": appointment.counter, "appointment_id": appointment.appointment_id}
    asked = mine | {"now": now} | visit_times(starts_at, ends_at)
    free = [
        msgspec.convert(row, Candidate, from_attributes=True) for row in await session.execute(_FREE_HELPERS, asked)
    ]
    skill = await find_skill(session, town, appointment.appointment_id)
    for helper_ref in best_first(free, Wanted(language=appointment.language, skill=skill)):
        await session.execute(_LOCK_HELPER, {"municipality": town, "helper_ref": helper_ref})
        if await can_be_asked(session, town, helper_ref, starts_at, ends_at):
            return helper_ref
    return None


async def ask_this_helper(
    session: AsyncSession,
    municipality: str,
    appointment: Any,
    helper_ref: str,
    *,
    overrides_shift: bool = False,
    now: datetime,
) -> None:
    """Ask one helper, and tell them. The database refuses whoever is in another appointment then (exclusion
    constraint), or has no shift there then (trigger), unless somebody who may `overrides_shift`.
    """
    told = await _ask_untold(session, municipality, appointment, helper_ref, overrides_shift=overrides_shift, now=now)
    await tell_helper(session, municipality, helper_ref, "offer", told, now=now)


async def _ask_untold(
    session: AsyncSession,
    municipality: str,
    appointment: Any,
    helper_ref: str,
    *,
    overrides_shift: bool = False,
    now: datetime,
) -> Told:
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
            "overrides_shift": overrides_shift,
            "now": now,
        },
    )
    due_at = answer_by(asked_at=now, starts_at=appointment.starts_at)
    ref = str(assignment_id)
    await schedule(session, "booking", municipality=municipality, kind=HELPER_ANSWER, ref=ref, due_at=due_at)
    if not await can_be_asked(session, municipality, helper_ref, appointment.starts_at, appointment.ends_at):
        # That was their last of the week: their other places in it go.
        await bring_venues(session, municipality, await list_venues_of(session, municipality, helper_ref), now=now)
    return Told(
        venue=appointment.counter,
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        assignment_id=assignment_id,
        answer_by=due_at,
        about=appointment.appointment_id,
    )


async def release_helper(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> set[str]:
    """Nobody need come to this appointment any more, or not then; whoever was to come is told.

    Returns the venues where whoever was asked has shifts. A coordinator may have asked them away from there: when all
    else is done, `bring_venues` opens their places again.
    """
    released = await _release(session, municipality, appointment_id, now=now)
    if released is None:
        return set()
    await _tell_cancelled(session, municipality, released, released.counter, now=now)
    return set(await list_venues_of(session, municipality, released.helper_ref))


async def ask_anew(session: AsyncSession, old: Any, moved: Any, *, now: datetime) -> set[str] | None:
    """The appointment is at another time: another request, perhaps to another helper; None when nobody can be asked.

    Who is asked again is told of the new time; otherwise the one need not come, and another is asked. Returns as
    `release_helper`.
    """
    town = moved.municipality
    released = await _release(session, town, moved.appointment_id, now=now)
    helper_ref = await find_helper(session, town, moved, slot_id=moved.slot_id, now=now)
    if helper_ref is None:
        return None
    told = await _ask_untold(session, town, moved, helper_ref, now=now)
    is_same = released is not None and released.helper_ref == helper_ref
    if released is not None and not is_same:
        await _tell_cancelled(session, town, released, old.counter, now=now)
    await tell_helper(session, town, helper_ref, "changed" if is_same else "offer", told, now=now)
    return set(await list_venues_of(session, town, released.helper_ref)) if released is not None else set()


async def _release(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> Any:
    """Whoever was to come, and when; None if nobody was."""
    mine = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    await withdraw_cover(session, municipality, appointment_id, now=now)
    # One at most (assignment_one_live_idx).
    return (await session.execute(_RELEASE, mine)).one_or_none()


async def _tell_cancelled(
    session: AsyncSession, municipality: str, released: Any, venue: str, *, now: datetime
) -> None:
    """Not of what has begun: then they are there."""
    if released.starts_at > now:
        told = Told(
            venue=venue,
            starts_at=released.starts_at,
            ends_at=released.ends_at,
            assignment_id=released.assignment_id,
            about=released.appointment_id,
        )
        await tell_helper(session, municipality, released.helper_ref, "cancelled", told, now=now)


async def ask_next(session: AsyncSession, municipality: str, appointment: Any, *, now: datetime) -> None:
    """The one who was asked cannot come: ask the next; when there is none, and it is soon, ask all who could come
    instead; and when nobody can, the town cancels and the resident is told.

    Of a request for help that nobody has accepted yet, the next one may come at another time: it is matched again. The
    caller has locked the appointment, and its assignment is over.
    """
    mine = {"municipality": municipality, "appointment_id": appointment.appointment_id, "now": now}
    if await _ask_somebody(session, municipality, appointment, now=now):
        anew = (await session.execute(_ASKED_ANEW, mine)).one_or_none()
        if anew is not None:
            await outbox.publish(session, await tell_progress(session, anew, now=now))
    else:
        await give_up(session, municipality, appointment, now=now)
    # Of who was asked before, the week may have room again: at their other venues, too.
    venues = (await session.execute(_VENUES_OF_ASKED, mine)).scalars()
    await bring_venues(session, municipality, {appointment.counter, *venues}, now=now)


async def give_up(session: AsyncSession, municipality: str, appointment: Any, *, now: datetime) -> None:
    """Nobody can come: the town cancels, and the resident is told; a request that they know nothing of yet is matched
    again. Bringing the venue is the caller's."""
    untold = await is_untold(session, municipality, appointment.appointment_id)
    mine = {"municipality": municipality, "appointment_id": appointment.appointment_id, "now": now}
    await withdraw_cover(session, municipality, appointment.appointment_id, now=now)
    cancelled = (await session.execute(_NOBODY, mine)).one()
    await session.execute(FREE_PLACE, mine)
    await end_offer(session, municipality, appointment.appointment_id, "withdrawn", now=now)
    await mark_availability(session, municipality, [appointment.counter], now=now)
    if not untold:
        await outbox.publish(session, tell(AppointmentCancelled, cancelled, now=now))
    await look_again(session, municipality, appointment.appointment_id, now=now)


async def _ask_somebody(session: AsyncSession, municipality: str, appointment: Any, *, now: datetime) -> bool:
    if appointment.starts_at <= now or await is_untold(session, municipality, appointment.appointment_id):
        return False
    if await is_covering(session, municipality, appointment.appointment_id):
        # All who suit are asked already: whoever accepts first comes.
        return True
    if await ask_helper(session, municipality, appointment, slot_id=appointment.slot_id, now=now) is not None:
        return True
    is_soon = appointment.starts_at - now < SHORT_NOTICE
    return is_soon and await ask_all(session, municipality, appointment, now=now) > 0
