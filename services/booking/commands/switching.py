"""A case goes on by another channel: what it held is given back, and what it booked is cancelled once that is settled.

And what a helper says for the person beside them: routing decides what becomes of it.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.changes import end_appointment
from services.booking.commands.facts import tell
from services.booking.commands.help_requests import leave_requests
from services.booking.commands.help_returns import is_untold
from services.booking.commands.locking import lock_appointments, lock_places
from services.booking.commands.marks import mark_availability
from services.booking.commands.visits import release_places, stay_alone
from services.booking.queries.meetings import find_earliest
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import AppointmentCancelled, SwitchWished
from shared.events.routing import CaseSwitched
from shared.tokens import Identity

Wished = Literal["online", "counter"]
WISHED: tuple[Wished, ...] = ("online", "counter")
APPOINTMENTS_MAX = 20

_REMEMBER = text("""
    INSERT INTO case_switched AS known (municipality, case_id, channel, switched_at)
    VALUES (:municipality, :case_id, :channel, :at)
    ON CONFLICT (municipality, case_id) DO UPDATE SET (channel, switched_at) = (excluded.channel, excluded.switched_at)
    WHERE known.switched_at < excluded.switched_at
""")
# What was passed on after the switch is of the channel that was chosen then.
_END_VISITS = text("""
    UPDATE visit SET draft_sealed = NULL, expires_at = least(expires_at, :now)
    WHERE municipality = :municipality AND case_id = :case_id AND channel <> :channel AND passed_at <= :at
      AND appointment_id IS NULL AND draft_sealed IS NOT NULL
    RETURNING visit_id
""")
# Nothing of other procedures: those are done at this time still.
_NOT_NEEDED = text(f"""
    SELECT a.appointment_id FROM appointment a
    LEFT JOIN visit v ON (v.municipality, v.visit_id) = (a.municipality, a.visit_id)
    WHERE a.municipality = :municipality AND a.case_id = :case_id AND a.state = 'booked' AND a.starts_at > :now
      AND coalesce(v.passed_at, a.booked_at) <= :at AND a.chain_id IS NULL
      AND (a.services IS NULL OR jsonb_array_length(a.services) <= 1)
      AND CASE WHEN a.helper = 'none' THEN 'counter' ELSE 'helper' END <> :channel
    LIMIT {APPOINTMENTS_MAX}
""")
_MEETING = text("""
    SELECT s.helper_ref, s.state, a.state AS appointment_state, a.starts_at, a.ends_at, a.case_id, a.procedure,
           a.version
    FROM assignment s JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    WHERE (s.municipality, s.assignment_id) = (:municipality, :assignment_id)
""")


async def follow_switch(session: AsyncSession, event: CaseSwitched, *, now: datetime) -> None:
    """Give back what was chosen for another channel; cancel what was booked for it, once the new one is settled."""
    case: dict[str, Any] = {
        "municipality": event.municipality,
        "case_id": event.case_id,
        "channel": event.channel,
        "at": event.occurred_at,
        "now": now,
    }
    await stay_alone(session, event.municipality, event.case_id)
    await session.execute(_REMEMBER, case)
    visits = (await session.execute(_END_VISITS, case)).scalars().all()
    not_needed = (await session.execute(_NOT_NEEDED, case)).scalars().all() if event.is_settled else []
    # What its owner was not told of ends without a word, with its request.
    rows = [
        row
        for row in await lock_appointments(session, event.municipality, not_needed)
        if row.state == "booked"
        and row.starts_at > now
        and not await is_untold(session, event.municipality, row.appointment_id)
    ]
    appointments = [row.appointment_id for row in rows]
    await lock_places(session, event.municipality, appointments=appointments, visits=visits)
    for visit_id in visits:
        if counters := await release_places(session, event.municipality, visit_id, now=now):
            await mark_availability(session, event.municipality, counters, now=now)
    for row in rows:
        ended = await end_appointment(session, row, now=now)
        await outbox.publish(session, tell(AppointmentCancelled, ended, now=now))
    if event.channel != "helper":
        await leave_requests(session, event.municipality, case_id=event.case_id, at=event.occurred_at, now=now)


async def wish_switch(
    session: AsyncSession, actor: Identity, assignment_id: UUID, channel: Wished, *, now: datetime
) -> None:
    """A helper says that the person, with whom they are, wants to go on by this channel. To a counter, they are asked
    at once whether they want the first time that is free after the meeting.

    Raises:
        Refusal: `request_unknown` (404), also for somebody else's; `request_over`, `not_begun` (409).
    """
    row = (
        await session.execute(_MEETING, {"municipality": actor.municipality, "assignment_id": assignment_id})
    ).one_or_none()
    if row is None or row.helper_ref != actor.ref or row.case_id is None:
        raise Refusal("request_unknown", 404)
    if row.state != "accepted" or row.appointment_state not in ("booked", "done"):
        raise Refusal("request_over", 409)
    if now < row.starts_at:
        raise Refusal("not_begun", 409)
    first = None
    if channel == "counter":
        first = await find_earliest(session, actor.municipality, row.procedure, after=row.ends_at, now=now)
    await outbox.publish(
        session,
        SwitchWished(
            event_id=uuid4(),
            municipality=actor.municipality,
            aggregate_id=str(row.case_id),
            aggregate_version=row.version,
            occurred_at=now,
            case_id=row.case_id,
            channel=channel,
            counter=first.counter if first else "",
            starts_at=first.starts_at if first else None,
        ),
    )
    await record_deed(session, actor, f"helper-switch:{channel}", assignment_id, now=now)
