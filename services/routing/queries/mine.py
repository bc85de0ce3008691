"""What a visitor may see of their own: cases and appointments."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import EDITABLE
from services.routing.queries.family import list_persons
from services.routing.queries.thread import is_ahead, is_given_up
from services.routing.tables import application, appointment, case_device, case_file, session_table
from shared.tokens import Identity

CASES_MAX = 50
APPOINTMENTS_MAX = 50
CLOSED_STATES = ("done", "no_show", "cancelled")


class MyCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case that the visitor began."""

    case_id: UUID
    number: str
    procedure: str
    channel: str
    state: str
    created_at: datetime
    # Whose it is: one's own (None), or somebody of the family's.
    person: int | None
    # Its person gave it up, and has not gone on since.
    is_given_up: bool


class MyAppointment(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment out of one of the visitor's cases, as booking last told it."""

    number: str
    procedures: tuple[str, ...]
    counter: str
    starts_at: datetime
    ends_at: datetime
    state: str
    helper: str
    # A closing covers its time: it has to be moved.
    is_closed: bool
    case_id: UUID | None
    # Done at a counter: its form can be filled in before.
    at_counter: bool
    person: int | None


async def find_subject(session: AsyncSession, identity: Identity) -> UUID | None:
    """The subject of a visitor, if they have given anything yet. Staff are nobody's subject here."""
    if identity.kind != "guest":
        return None
    return (
        await session.execute(
            select(session_table.c.subject_ref).where(
                session_table.c.municipality == identity.municipality,
                session_table.c.session_id == identity.session_id,
            )
        )
    ).scalar_one_or_none()


async def list_subjects(session: AsyncSession, identity: Identity) -> list[UUID]:
    """The visitor's own subject, and those of their family: whose history they read."""
    own = await find_subject(session, identity)
    return [*([own] if own else []), *await list_persons(session, identity)]


async def list_my_cases(session: AsyncSession, identity: Identity, *, now: datetime) -> list[MyCase]:
    """The visitor's cases, newest first."""
    persons = await list_persons(session, identity)
    rows = await session.execute(
        select(case_file, is_given_up().label("is_given_up"))
        .where(
            case_file.c.municipality == identity.municipality,
            or_(case_file.c.guest_ref == identity.ref, case_file.c.case_id.in_(opened_here(identity, now))),
        )
        .order_by(case_file.c.created_at.desc())
        .limit(CASES_MAX)
    )
    return [
        MyCase(
            case_id=row.case_id,
            number=row.number,
            procedure=row.procedure,
            channel=row.channel,
            state=row.state,
            created_at=row.created_at,
            person=persons.get(row.acting_for),
            is_given_up=row.is_given_up,
        )
        for row in rows
    ]


def opened_here(identity: Identity, now: datetime) -> Select[tuple[UUID]]:
    """Cases that go on at this device, and were begun with another."""
    return select(case_device.c.case_id).where(
        case_device.c.municipality == identity.municipality,
        case_device.c.guest_ref == identity.ref,
        case_device.c.ended_at.is_(None),
        case_device.c.expires_at > now,
    )


async def list_my_appointments(session: AsyncSession, identity: Identity, *, now: datetime) -> list[MyAppointment]:
    """The appointments that came out of the visitor's cases, the newest of them, by their time."""
    persons = await list_persons(session, identity)
    rows = await session.execute(
        select(appointment, case_file.c.acting_for, case_file.c.channel)
        .join(
            case_file,
            and_(
                case_file.c.municipality == appointment.c.municipality,
                case_file.c.case_id == appointment.c.case_id,
            ),
        )
        .where(
            appointment.c.municipality == identity.municipality,
            or_(case_file.c.guest_ref == identity.ref, case_file.c.case_id.in_(opened_here(identity, now))),
        )
        .order_by(appointment.c.starts_at.desc())
        .limit(APPOINTMENTS_MAX)
    )
    newest_last = list(reversed(rows.all()))
    return [
        MyAppointment(
            number=row.number,
            procedures=tuple(row.services) or (row.procedure,),
            counter=row.counter,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            state=row.state,
            helper=row.helper,
            is_closed=row.closure != "none" and row.state == "booked",
            case_id=row.case_id,
            at_counter=row.channel == "counter",
            person=persons.get(row.acting_for),
        )
        for row in newest_last
    ]


async def find_correctable(session: AsyncSession, identity: Identity, case_id: UUID, *, now: datetime) -> str | None:
    """Where the visitor can put right what they typed in a case of theirs; None: the office has it, or it is booked."""
    query = (
        select(case_file.c.state, case_file.c.channel, application.c.state.label("application_state"))
        .outerjoin(
            application,
            and_(
                application.c.municipality == case_file.c.municipality,
                application.c.case_id == case_file.c.case_id,
            ),
        )
        .where(
            case_file.c.municipality == identity.municipality,
            case_file.c.case_id == case_id,
            case_file.c.guest_ref == identity.ref,
        )
    )
    row = (await session.execute(query)).one_or_none()
    if row is None or (row.state == "submitted" and row.application_state not in EDITABLE):
        return None
    booked = await find_live_appointment(session, identity.municipality, case_id, channel=row.channel, now=now)
    if row.state != "submitted" and booked is not None:
        return None
    return f"/cases/{case_id}/{'form' if row.channel == 'online' else 'you'}"


async def find_live_appointment(
    session: AsyncSession, municipality: str, case_id: UUID, *, channel: str | None = None, now: datetime
) -> str | None:
    """The number of the appointment that a case has ahead of it, as booking last told it; by this channel only, or by
    any. Online nothing is booked."""
    if channel == "online":
        return None
    query = (
        select(appointment.c.number)
        .where(
            appointment.c.municipality == municipality,
            appointment.c.case_id == case_id,
            is_ahead(now),
        )
        .order_by(appointment.c.starts_at)
        .limit(1)
    )
    if channel is not None:
        query = query.where(appointment.c.helper == "none" if channel == "counter" else appointment.c.helper != "none")
    number: str | None = (await session.execute(query)).scalar_one_or_none()
    return number
