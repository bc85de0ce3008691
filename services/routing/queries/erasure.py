"""What an erasure would take, what stands in its way, and how far one is. No values are in any answer."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import CLOSED
from services.routing.queries.thread import is_ahead
from services.routing.tables import (
    application,
    appointment,
    case_file,
    erasure,
    item,
    reuse,
    session_person,
    session_table,
)
from shared.reference_number import ERASURE_LENGTH, read_number

# More than a browser can begin in the life of its session.
CASES_MAX = 100_000
IN_THE_WAY_MAX = 50
ITEMS_MAX = 200
FAMILY_MAX = 20


class OpenMatter(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has to come to its end first, or be taken back."""

    number: str
    procedure: str
    starts_at: datetime | None = None


class InTheWay(msgspec.Struct, frozen=True, kw_only=True):
    """What forbids a resident to be erased now."""

    applications: tuple[OpenMatter, ...]
    appointments: tuple[OpenMatter, ...]

    def __bool__(self) -> bool:
        return bool(self.applications or self.appointments)


class Erasable(msgspec.Struct, frozen=True, kw_only=True):
    """What would go: the names of items, and how many of the rest."""

    items: tuple[str, ...]
    has_contact: bool
    cases: int
    applications: int
    appointments: int
    history: int


def all_erasable(parts: Sequence[Erasable]) -> Erasable:
    """What would go of several subjects."""
    return Erasable(
        items=tuple(dict.fromkeys(item for part in parts for item in part.items)),
        has_contact=any(part.has_contact for part in parts),
        cases=sum(part.cases for part in parts),
        applications=sum(part.applications for part in parts),
        appointments=sum(part.appointments for part in parts),
        history=sum(part.history for part in parts),
    )


def all_in_the_way(parts: Sequence[InTheWay]) -> InTheWay:
    """What forbids several subjects to be erased."""
    return InTheWay(
        applications=tuple(matter for part in parts for matter in part.applications),
        appointments=tuple(matter for part in parts for matter in part.appointments),
    )


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an erasure is. It says of nobody that it was theirs."""

    number: str
    requested_at: datetime
    booking_done_at: datetime | None
    notifications_done_at: datetime | None
    finished_at: datetime | None


async def list_subject_cases(session: AsyncSession, municipality: str, subject_ref: UUID) -> list[UUID]:
    """The cases of a subject, also those that their browser began and nothing was said in yet."""
    guests = select(session_table.c.ref).where(
        session_table.c.municipality == municipality,
        session_table.c.subject_ref == subject_ref,
        session_table.c.kind == "guest",
    )
    rows = await session.execute(
        select(case_file.c.case_id)
        .where(
            case_file.c.municipality == municipality,
            or_(
                case_file.c.subject_ref == subject_ref,
                and_(case_file.c.subject_ref.is_(None), case_file.c.guest_ref.in_(guests)),
            ),
        )
        .order_by(case_file.c.case_id)
        .limit(CASES_MAX)
    )
    return list(rows.scalars())


async def list_family(session: AsyncSession, municipality: str, subject_ref: UUID) -> list[UUID]:
    """The subjects of somebody's family, for whom they gave something in one of their sessions."""
    rows = await session.execute(
        select(session_person.c.subject_ref)
        .join(
            session_table,
            and_(
                session_table.c.municipality == session_person.c.municipality,
                session_table.c.session_id == session_person.c.session_id,
            ),
        )
        .where(session_table.c.municipality == municipality, session_table.c.subject_ref == subject_ref)
        .order_by(session_person.c.session_id, session_person.c.position)
        .limit(FAMILY_MAX)
    )
    return list(rows.scalars())


async def find_in_the_way(session: AsyncSession, municipality: str, subject_ref: UUID, *, now: datetime) -> InTheWay:
    """The applications that the office has not closed, and the appointments that lie ahead or are being served."""
    applications = await session.execute(
        select(application.c.number, application.c.procedure)
        .where(
            application.c.municipality == municipality,
            application.c.subject_ref == subject_ref,
            application.c.state.not_in(CLOSED),
        )
        .order_by(application.c.submitted_at)
        .limit(IN_THE_WAY_MAX)
    )
    appointments = await session.execute(
        select(appointment.c.number, appointment.c.procedure, appointment.c.starts_at)
        .where(
            appointment.c.municipality == municipality,
            appointment.c.subject_ref == subject_ref,
            is_ahead(now),
        )
        .order_by(appointment.c.starts_at)
        .limit(IN_THE_WAY_MAX)
    )
    return InTheWay(
        applications=tuple(OpenMatter(**row._mapping) for row in applications),
        appointments=tuple(OpenMatter(**row._mapping) for row in appointments),
    )


async def find_erasable(session: AsyncSession, municipality: str, subject_ref: UUID) -> Erasable:
    """What there is of a subject here."""
    names = await session.execute(
        select(item.c.key)
        .where(item.c.municipality == municipality, item.c.subject_ref == subject_ref)
        .distinct()
        .order_by(item.c.key)
        .limit(ITEMS_MAX)
    )
    cases = await list_subject_cases(session, municipality, subject_ref)
    counts = (
        await session.execute(
            select(
                *(
                    select(func.count())
                    .select_from(table)
                    .where(table.c.municipality == municipality, table.c.subject_ref == subject_ref)
                    .scalar_subquery()
                    .label(table.name)
                    for table in (application, appointment, reuse)
                ),
                select(func.count(case_file.c.contact_commitment))
                .where(case_file.c.municipality == municipality, case_file.c.subject_ref == subject_ref)
                .scalar_subquery()
                .label("contacts"),
            )
        )
    ).one()
    return Erasable(
        items=tuple(names.scalars()),
        has_contact=counts.contacts > 0,
        cases=len(cases),
        applications=counts.application,
        appointments=counts.appointment,
        history=counts.reuse,
    )


async def find_erasure(session: AsyncSession, municipality: str, typed: str) -> Progress | None:
    """How far the erasure with this receipt is; None if there is none."""
    number = read_number(typed, length=ERASURE_LENGTH)
    if number is None:
        return None
    columns = [erasure.c[name] for name in Progress.__struct_fields__]
    query = select(*columns).where(erasure.c.municipality == municipality, erasure.c.number == number)
    row = (await session.execute(query)).one_or_none()
    return Progress(**row._mapping) if row is not None else None


async def find_subject_of_application(session: AsyncSession, municipality: str, number: str) -> UUID | None:
    """Whose application this number is."""
    query = select(application.c.subject_ref).where(
        application.c.municipality == municipality, application.c.number == number
    )
    subject_ref: UUID | None = (await session.execute(query)).scalar_one_or_none()
    return subject_ref


async def count_subject(session: AsyncSession, municipality: str, subject_ref: UUID) -> dict[str, int]:
    """How much there is of a subject here, by what it is."""
    there = await find_erasable(session, municipality, subject_ref)
    return {
        "items": len(there.items),
        "cases": there.cases,
        "applications": there.applications,
        "appointments": there.appointments,
        "entries of their history": there.history,
    }
