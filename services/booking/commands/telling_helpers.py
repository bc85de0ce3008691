"""What helpers are told, by the way that they chose: notifications knows it, and sends it once."""

from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.shifts import helper_reminder_at
from services.booking.keys import Keys
from services.booking.tables import outbox
from shared.events.booking import HelperMatter, HelperTold, SealedMessage
from shared.messaging.due import schedule

SEAL_PURPOSE = "helper_message"
HELPER_REMINDER = "helper_reminder"

# Whoever accepted, and still comes.
_VISIT = text("""
    SELECT s.helper_ref, a.appointment_id, a.counter, lower(s.during) AS starts_at, upper(s.during) AS ends_at
    FROM assignment s JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    WHERE (s.municipality, s.assignment_id) = (:municipality, :assignment_id)
      AND s.state = 'accepted' AND a.state = 'booked' AND a.closure = 'none' AND lower(s.during) > :now
""")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when something is: nothing of whom a helper meets. A later word `about` the same overtakes this one."""

    venue: str
    starts_at: datetime
    ends_at: datetime
    assignment_id: UUID | None = None
    answer_by: datetime | None = None
    about: UUID | None = None


async def tell_helper(
    session: AsyncSession, municipality: str, helper_ref: str, matter: HelperMatter, told: Told, *, now: datetime
) -> None:
    """A helper is told of a visit, in the transaction that makes it so; of the same, once."""
    told_id = _told_id(municipality, helper_ref, matter, told)
    await outbox.publish(
        session,
        HelperTold(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(told_id),
            aggregate_version=1,
            occurred_at=now,
            told_id=told_id,
            helper_ref=helper_ref,
            matter=matter,
            **msgspec.structs.asdict(told),
        ),
    )


async def tell_over(session: AsyncSession, municipality: str, helper_ref: str, about: UUID, *, now: datetime) -> None:
    """A helper has answered on their page, or nobody is asked any more: what waits for the morning is not sent."""
    told_id = uuid4()
    await outbox.publish(
        session,
        HelperTold(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(told_id),
            aggregate_version=1,
            occurred_at=now,
            told_id=told_id,
            helper_ref=helper_ref,
            matter="over",
            about=about,
        ),
    )


async def write_to_helper(
    session: AsyncSession, municipality: str, helper_ref: str, message: SealedMessage, keys: Keys, *, now: datetime
) -> None:
    """What a coordinator wrote goes to a helper, sealed."""
    told_id = uuid4()
    await outbox.publish(
        session,
        HelperTold(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(told_id),
            aggregate_version=1,
            occurred_at=now,
            told_id=told_id,
            helper_ref=helper_ref,
            matter="message",
            sealed=keys.box.seal_for("notifications", SEAL_PURPOSE, msgspec.msgpack.encode(message)),
        ),
    )


async def remind_before(
    session: AsyncSession, municipality: str, assignment_id: UUID, starts_at: datetime, *, now: datetime
) -> None:
    """Whoever accepted is reminded before it, unless it is too soon for that."""
    due_at, ref = helper_reminder_at(starts_at, now=now), str(assignment_id)
    if due_at is not None:
        await schedule(session, "booking", municipality=municipality, kind=HELPER_REMINDER, ref=ref, due_at=due_at)


async def on_helper_reminder_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `helper_reminder`: whoever still comes is reminded of it, and never after it has begun."""
    assignment_id = UUID(ref)
    key = {"municipality": municipality, "assignment_id": assignment_id, "now": now}
    visit = (await session.execute(_VISIT, key)).one_or_none()
    if visit is not None:
        told = Told(
            venue=visit.counter,
            starts_at=visit.starts_at,
            ends_at=visit.ends_at,
            assignment_id=assignment_id,
            about=visit.appointment_id,
        )
        await tell_helper(session, municipality, visit.helper_ref, "reminder", told, now=now)


def _told_id(municipality: str, helper_ref: str, matter: HelperMatter, told: Told) -> UUID:
    """The same for what is told twice: of one visit, in the same words, there is one message."""
    if told.assignment_id is None:
        return uuid4()
    said = msgspec.json.encode([municipality, helper_ref, matter, told])
    return uuid5(NAMESPACE_URL, f"helper-told:{said.decode()}")
