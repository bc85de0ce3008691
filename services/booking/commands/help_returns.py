"""What becomes of a request for help when its helper answers: met, and told; or another one is looked for.

While nobody has accepted, its appointment is a plan that its owner was not told of: it ends without a word. The caller
has locked the appointment; the request comes after it (`commands/locking.py`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.facts import tell
from services.booking.tables import outbox
from shared.events.booking import AppointmentBooked, ClassHint, HelpRequestProgressed
from shared.messaging.due import schedule

# Kind of `due`, for a request: its deadline; of one that is met later, when its appointment or class begins.
HELP_DEADLINE = "help_deadline"
# Kind of `due`, for the town as a whole: all for whom nobody is asked are matched (`commands/help_matching.py`).
MATCH_HELP, MATCH_REF = "match_help", "town"
# For a request: the seat that is kept for it in a class, or that met it, may not be what it needs any more; or they
# have one by themselves.
SETTLE_SEAT = "settle_seat"

_IS_UNTOLD = text("""
    SELECT EXISTS (SELECT FROM help_request
                   WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND state = 'open')
""")
_MET = text("""
    WITH found AS (
        SELECT municipality, request_id, access_sealed FROM help_request
        WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND state = 'open' FOR UPDATE)
    UPDATE help_request r
    SET state = 'met', access_sealed = NULL, version = r.version + 1, changed_at = :now
    FROM found WHERE (r.municipality, r.request_id) = (found.municipality, found.request_id)
    RETURNING r.request_id, r.until, found.access_sealed
""")
_LOOK_AGAIN = text("""
    WITH found AS (
        SELECT municipality, request_id, state FROM help_request
        WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND state IN ('open', 'met') FOR UPDATE)
    UPDATE help_request r
    SET state = CASE WHEN r.until > :now AND r.draft_sealed IS NOT NULL AND NOT EXISTS (
                         -- They have asked again meanwhile (`help_request_one_open_idx`).
                         SELECT FROM help_request o
                         WHERE (o.municipality, o.case_id) = (r.municipality, r.case_id) AND o.state = 'open'
                           AND o.request_id <> r.request_id) THEN 'open' ELSE 'unmet' END,
        appointment_id = NULL, access_sealed = NULL, version = r.version + 1, changed_at = :now
    FROM found WHERE (r.municipality, r.request_id) = (found.municipality, found.request_id)
    RETURNING r.*, found.state AS before
""")
# Who is in a class since they asked, about what they asked for, with the same case.
_ENTERED = """
    SELECT r.request_id FROM course_entry e
    JOIN course c ON (c.municipality, c.course_id) = (e.municipality, e.course_id)
    JOIN help_request r ON (r.municipality, r.case_id) = (e.municipality, e.case_id)
    WHERE e.municipality = :municipality AND e.state = 'entered' AND e.request_id IS NULL
      AND e.changed_at >= r.opened_at
      AND coalesce(nullif(r.topic, ''), r.procedure) = ANY (c.topics || c.procedures)
      AND (r.state = 'open' OR r.state = 'unmet' AND r.draft_sealed IS NOT NULL)
"""
_HAVE_ENTERED = text(f"{_ENTERED} AND e.entry_id = ANY (CAST(:entries AS uuid[]))")
_HAS_ENTERED = text(f"SELECT EXISTS ({_ENTERED} AND r.request_id = :request_id)")


async def is_untold(session: AsyncSession, municipality: str, appointment_id: UUID) -> bool:
    """Whether an appointment is one of an open request: its owner knows nothing of it yet."""
    mine = {"municipality": municipality, "appointment_id": appointment_id}
    return bool((await session.execute(_IS_UNTOLD, mine)).scalar_one())


async def note_met(session: AsyncSession, appointment: Any, *, now: datetime) -> AppointmentBooked | None:
    """The helper has accepted. Of a request that was open, what its owner is told: they have an appointment."""
    mine = {"municipality": appointment.municipality, "appointment_id": appointment.appointment_id, "now": now}
    met = (await session.execute(_MET, mine)).one_or_none()
    if met is None:
        return None
    await settle_seat_soon(session, appointment.municipality, met.request_id, now=now)
    if met.until <= now:
        # Its deadline was worked off. Should this helper not come after all, a coordinator may still find another one.
        due_at, ref = appointment.starts_at, str(met.request_id)
        await schedule(
            session, "booking", municipality=appointment.municipality, kind=HELP_DEADLINE, ref=ref, due_at=due_at
        )
    booked: AppointmentBooked = tell(AppointmentBooked, appointment, sealed=met.access_sealed, now=now)
    return booked


async def look_again(session: AsyncSession, municipality: str, appointment_id: UUID, *, now: datetime) -> None:
    """Nobody comes to this appointment. If it is a request's, somebody else is looked for, at any of its times."""
    mine = {"municipality": municipality, "appointment_id": appointment_id, "now": now}
    row = (await session.execute(_LOOK_AGAIN, mine)).one_or_none()
    if row is None:
        return
    if row.state == "open":
        await match_at(session, municipality, now)
    if row.state != row.before:
        await tell_request(session, row, now=now)


async def match_at(session: AsyncSession, municipality: str, due_at: datetime) -> None:
    """Somebody asks, or may be asked then: at the latest at this time it is matched."""
    await schedule(
        session, "booking", municipality=municipality, kind=MATCH_HELP, ref=MATCH_REF, due_at=due_at, keep=True
    )


async def settle_seat_soon(session: AsyncSession, municipality: str, request_id: UUID, *, now: datetime) -> None:
    """A request has ended, its class does not take place, or they are in one by themselves
    (`commands/help_classes.py`). Classes are locked after requests, so this has a transaction of its own."""
    ref = str(request_id)
    await schedule(session, "booking", municipality=municipality, kind=SETTLE_SEAT, ref=ref, due_at=now)


async def settle_entered_soon(
    session: AsyncSession, municipality: str, entries: Sequence[UUID], *, now: datetime
) -> None:
    """These have a seat in a class, by themselves: what they asked for of the same is settled in a moment."""
    mine = {"municipality": municipality, "entries": list(entries)}
    for request_id in set((await session.execute(_HAVE_ENTERED, mine)).scalars()):
        await settle_seat_soon(session, municipality, request_id, now=now)


async def has_entered(session: AsyncSession, municipality: str, request_id: UUID) -> bool:
    """Whether somebody is in a class by themselves that is about what this open request asks for."""
    mine = {"municipality": municipality, "request_id": request_id}
    return bool((await session.execute(_HAS_ENTERED, mine)).scalar_one())


async def tell_request(
    session: AsyncSession,
    row: Any,
    *,
    sealed: str | None = None,
    classes: Sequence[ClassHint] = (),
    now: datetime,
) -> None:
    """Publish how a request stands; `row` is its row. `classes` fit it, where nobody was found."""
    await outbox.publish(
        session,
        HelpRequestProgressed(
            event_id=uuid4(),
            municipality=row.municipality,
            aggregate_id=str(row.request_id),
            aggregate_version=row.version,
            occurred_at=now,
            sealed=sealed,
            request_id=row.request_id,
            number=row.number,
            subject_ref=row.subject_ref,
            contact_ref=row.contact_ref,
            case_id=row.case_id,
            procedure=row.procedure,
            topic=row.topic,
            state=row.state,
            until=row.until,
            classes=tuple(classes),
        ),
    )
