"""What helpers and coordinators do with a request: accept, decline, cannot come, came or did not come, re-assign."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.asking import ACCEPTED, ask_next, ask_this_helper, release_helper
from services.booking.commands.cover_asking import withdraw_cover
from services.booking.commands.facts import tell
from services.booking.commands.help_returns import is_untold, note_met
from services.booking.commands.offers import tell_progress
from services.booking.commands.telling_helpers import remind_before, tell_over
from services.booking.commands.venues import bring_venues
from services.booking.queries.helpers import TEACHES_THEN, list_venues_of
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import AppointmentProgressed
from shared.tokens import Identity

Answer = Literal["accept", "decline", "came", "no-show"]
ANSWERS: tuple[Answer, ...] = ("accept", "decline", "came", "no-show")
OF_OFFERS: tuple[Answer, ...] = ("accept", "decline")
LIVE = ("asked", "accepted")

_APPOINTMENT_OF = text("""
    SELECT appointment_id FROM assignment
    WHERE (municipality, assignment_id) = (:municipality, :assignment_id)
""")
# The appointment first, as everywhere: then nobody waits for each other.
_LOCK_APPOINTMENT = text("""
    SELECT * FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id) FOR UPDATE
""")
_LOCK_ASSIGNMENT = text("""
    SELECT assignment_id, helper_ref, state FROM assignment
    WHERE (municipality, assignment_id) = (:municipality, :assignment_id) FOR UPDATE
""")
_ANSWER = text("""
    UPDATE assignment SET state = :state, answered_at = :now, unanswered = :unanswered
    WHERE (municipality, assignment_id) = (:municipality, :assignment_id)
""")
_REASSIGNED = text("""
    UPDATE appointment SET helper = 'asked', version = version + 1, changed_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) RETURNING *
""")
_ATTENDED = text("""
    UPDATE appointment
    SET state = :state, version = version + 1, changed_at = :now,
        done_at = CASE WHEN CAST(:state AS text) = 'done' THEN CAST(:now AS timestamptz) END,
        no_show_at = CASE WHEN CAST(:state AS text) = 'no_show' THEN CAST(:now AS timestamptz) END
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) RETURNING *
""")
_CAN_BE_ASKED = text(f"""
    SELECT h.is_open AND h.standing = 'active' AS is_active,
        is_on_shift(h.municipality, h.helper_ref, :venue,
                    tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz))) AS is_on_shift,
        EXISTS (
        SELECT 1 FROM assignment s WHERE s.municipality = h.municipality AND s.helper_ref = h.helper_ref
          AND s.state IN ('asked', 'accepted') AND s.appointment_id <> :appointment_id
          AND s.during && tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)))
        OR {TEACHES_THEN}
        AS is_busy
    FROM helper h WHERE (h.municipality, h.helper_ref) = (:municipality, :helper_ref) FOR UPDATE OF h
""")


class Request(msgspec.Struct, frozen=True):
    """A request with its appointment, both locked."""

    assignment_id: UUID
    helper_ref: str
    state: str
    appointment: Any


async def answer_request(
    session: AsyncSession, actor: Identity, assignment_id: UUID, answer: Answer, *, now: datetime
) -> None:
    """A helper answers for themselves. The same answer again changes nothing.

    Raises:
        Refusal: `request_unknown` (404), also for somebody else's; `request_over`, `not_begun` (409).
    """
    request = await lock_request(session, actor.municipality, assignment_id)
    if request is None or request.helper_ref != actor.ref:
        raise Refusal("request_unknown", 404)
    if answer == "accept":
        changed = await _accept(session, request, now=now)
    elif answer == "decline":
        changed = await _decline(session, request, now=now)
    else:
        changed = await _attend(session, request, "done" if answer == "came" else "no_show", now=now)
    if changed and answer in OF_OFFERS:
        await tell_over(session, actor.municipality, actor.ref, request.appointment.appointment_id, now=now)
    if changed:
        await record_deed(session, actor, f"helper-{answer}", assignment_id, now=now)


async def reassign(
    session: AsyncSession, actor: Identity, assignment_id: UUID, helper_ref: str, *, now: datetime
) -> None:
    """A coordinator asks another helper, on shift or not: where not, the request says so.

    Raises:
        Refusal: `request_unknown`, `helper_unknown` (404), `request_over`, `helper_busy` (409).
    """
    request = await lock_request(session, actor.municipality, assignment_id)
    if request is None:
        raise Refusal("request_unknown", 404)
    if request.helper_ref == helper_ref and request.state in LIVE:
        return
    appointment = request.appointment
    if request.state not in LIVE or appointment.state != "booked" or appointment.starts_at <= now:
        raise Refusal("request_over", 409)
    mine = {"municipality": actor.municipality, "appointment_id": appointment.appointment_id}
    times = {"venue": appointment.counter, "starts_at": appointment.starts_at, "ends_at": appointment.ends_at}
    if not helper_ref.isprintable():
        raise Refusal("helper_unknown", 404)
    found = (await session.execute(_CAN_BE_ASKED, mine | times | {"helper_ref": helper_ref})).one_or_none()
    if found is None or not found.is_active:
        raise Refusal("helper_unknown", 404)
    if found.is_busy:
        raise Refusal("helper_busy", 409)
    former = await release_helper(session, actor.municipality, appointment.appointment_id, now=now)
    await ask_this_helper(
        session, actor.municipality, appointment, helper_ref, overrides_shift=not found.is_on_shift, now=now
    )
    row = (await session.execute(_REASSIGNED, mine | {"now": now})).one()
    if not await is_untold(session, actor.municipality, appointment.appointment_id):
        await outbox.publish(session, await tell_progress(session, row, now=now))
    await record_deed(session, actor, "helper-reassign", assignment_id, version=row.version, now=now)
    venues = {appointment.counter, *former, *await list_venues_of(session, actor.municipality, helper_ref)}
    await bring_venues(session, actor.municipality, venues, now=now)


async def on_helper_answer_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `helper_answer`: who has not answered in time cannot come, as far as we know."""
    request = await lock_request(session, municipality, UUID(ref))
    if request is not None and request.state == "asked" and request.appointment.state == "booked":
        await _decline(session, request, unanswered=True, now=now)


async def lock_request(session: AsyncSession, municipality: str, assignment_id: UUID) -> Request | None:
    """A request, locked with its appointment; None: there is none."""
    key = {"municipality": municipality, "assignment_id": assignment_id}
    appointment_id = (await session.execute(_APPOINTMENT_OF, key)).scalar_one_or_none()
    if appointment_id is None:
        return None
    mine = {"municipality": municipality, "appointment_id": appointment_id}
    appointment = (await session.execute(_LOCK_APPOINTMENT, mine)).one()
    row = (await session.execute(_LOCK_ASSIGNMENT, key)).one()
    return Request(row.assignment_id, row.helper_ref, row.state, appointment)


async def _accept(session: AsyncSession, request: Request, *, now: datetime) -> bool:
    if request.state == "accepted":
        return False
    if request.state != "asked" or request.appointment.state != "booked" or request.appointment.starts_at <= now:
        raise Refusal("request_over", 409)
    await _settle(session, request, "accepted", now=now)
    appointment = request.appointment
    await remind_before(session, appointment.municipality, request.assignment_id, appointment.starts_at, now=now)
    # They come: nobody else need come instead.
    await withdraw_cover(session, appointment.municipality, appointment.appointment_id, now=now)
    row = (await session.execute(ACCEPTED, _mine(request, now))).one()
    booked = await note_met(session, row, now=now)
    await outbox.publish(session, booked or await tell_progress(session, row, now=now))
    return True


async def _decline(session: AsyncSession, request: Request, *, unanswered: bool = False, now: datetime) -> bool:
    if request.state == "declined":
        return False
    if request.state not in LIVE or request.appointment.state != "booked":
        raise Refusal("request_over", 409)
    await _settle(session, request, "declined", unanswered=unanswered, now=now)
    await ask_next(session, request.appointment.municipality, request.appointment, now=now)
    return True


async def _attend(session: AsyncSession, request: Request, state: Literal["done", "no_show"], *, now: datetime) -> bool:
    appointment = request.appointment
    if request.state != "accepted" or appointment.state == "cancelled":
        raise Refusal("request_over", 409)
    if appointment.state == state:
        return False
    if now < appointment.starts_at:
        raise Refusal("not_begun", 409)
    row = (await session.execute(_ATTENDED, _mine(request, now) | {"state": state})).one()
    await outbox.publish(session, tell(AppointmentProgressed, row, now=now))
    return True


async def _settle(
    session: AsyncSession, request: Request, state: str, *, unanswered: bool = False, now: datetime
) -> None:
    key = {"municipality": request.appointment.municipality, "assignment_id": request.assignment_id}
    await session.execute(_ANSWER, key | {"state": state, "unanswered": unanswered, "now": now})


def _mine(request: Request, now: datetime) -> dict[str, Any]:
    appointment = request.appointment
    return {"municipality": appointment.municipality, "appointment_id": appointment.appointment_id, "now": now}
