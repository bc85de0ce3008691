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
# For a request: the seat that is kept for it in a class, or that met it, may not be what it needs any more.
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
    """A request has ended, or its class does not take place (`commands/help_classes.py`). Classes are locked after
    requests, so this has a transaction of its own."""
    ref = str(request_id)
    await schedule(session, "booking", municipality=municipality, kind=SETTLE_SEAT, ref=ref, due_at=now)


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
