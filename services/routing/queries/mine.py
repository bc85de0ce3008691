"""What a visitor may see of their own: cases, appointments, and who reused which of their items."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import and_, case, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.queries.family import list_persons
from services.routing.tables import appointment, case_file, ledger, reuse, session_table
from shared.tokens import Identity

CASES_MAX = 50
APPOINTMENTS_MAX = 50
HISTORY_PAGE = 50
HISTORY_COPY_MAX = 2_000
SERVICES = ("routing", "booking", "notifications")
EMPTY_FAMILY: Mapping[UUID, int] = MappingProxyType({})
CLOSED_STATES = ("done", "no_show", "cancelled")


class MyCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case that the visitor began."""

    case_id: UUID
    procedure: str
    channel: str
    state: str
    created_at: datetime
    # Whose it is: one's own (None), or somebody of the family's.
    person: int | None


class MyAppointment(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment out of one of the visitor's cases, as booking last told it."""

    number: str
    procedure: str
    counter: str
    starts_at: datetime
    state: str
    helper: str
    case_id: UUID | None
    person: int | None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One reuse, as the service that did it told it. Names of items, no values."""

    entry_id: UUID
    occurred_at: datetime
    service: str
    entry_type: str
    actor_kind: str
    office: str | None
    source_procedure: str | None
    source_step: str | None
    source_collected_at: datetime | None
    target_service: str
    target_procedure: str | None
    target_step: str
    items: tuple[str, ...]
    purpose: str
    legal_basis: str
    outcome: str
    # Whose items: one's own (None), or those of somebody of the family.
    person: int | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a visitor's history. `pending` entries are written but have not reached this list yet."""

    entries: tuple[HistoryEntry, ...]
    total: int
    spared_items: int
    pending: int
    first_at: datetime | None
    last_received_at: datetime | None
    offices: tuple[str, ...]
    has_more: bool


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


async def list_my_cases(session: AsyncSession, identity: Identity) -> list[MyCase]:
    """The visitor's cases, newest first."""
    persons = await list_persons(session, identity)
    rows = await session.execute(
        select(case_file)
        .where(case_file.c.municipality == identity.municipality, case_file.c.guest_ref == identity.ref)
        .order_by(case_file.c.created_at.desc())
        .limit(CASES_MAX)
    )
    return [
        MyCase(
            case_id=row.case_id,
            procedure=row.procedure,
            channel=row.channel,
            state=row.state,
            created_at=row.created_at,
            person=persons.get(row.acting_for),
        )
        for row in rows
    ]


async def list_my_appointments(session: AsyncSession, identity: Identity) -> list[MyAppointment]:
    """The appointments that came out of the visitor's cases, the next one first."""
    persons = await list_persons(session, identity)
    rows = await session.execute(
        select(appointment, case_file.c.acting_for)
        .join(
            case_file,
            and_(
                case_file.c.municipality == appointment.c.municipality,
                case_file.c.case_id == appointment.c.case_id,
            ),
        )
        .where(appointment.c.municipality == identity.municipality, case_file.c.guest_ref == identity.ref)
        .order_by(appointment.c.starts_at)
        .limit(APPOINTMENTS_MAX)
    )
    return [
        MyAppointment(
            number=row.number,
            procedure=row.procedure,
            counter=row.counter,
            starts_at=row.starts_at,
            state=row.state,
            helper=row.helper,
            case_id=row.case_id,
            person=persons.get(row.acting_for),
        )
        for row in rows
    ]


async def find_live_appointment(session: AsyncSession, municipality: str, case_id: UUID) -> str | None:
    """The number of the appointment that a case has ahead of it, as booking last told it."""
    query = (
        select(appointment.c.number)
        .where(
            appointment.c.municipality == municipality,
            appointment.c.case_id == case_id,
            appointment.c.state.not_in(CLOSED_STATES),
        )
        .order_by(appointment.c.starts_at)
        .limit(1)
    )
    number: str | None = (await session.execute(query)).scalar_one_or_none()
    return number


async def list_history(
    session: AsyncSession,
    municipality: str,
    subject_ref: UUID,
    *,
    family: Mapping[UUID, int] = EMPTY_FAMILY,
    service: str | None = None,
    office: str | None = None,
    skip: int = 0,
    limit: int = HISTORY_PAGE,
) -> History:
    """Who reused which items of a subject (and of their `family`), newest first; by service and office if asked for."""
    subjects = [subject_ref, *family]
    mine = (
        reuse.c.municipality == municipality,
        reuse.c.subject_ref.in_(subjects),
        reuse.c.visibility == "subject",
    )
    chosen = list(mine)
    if service is not None:
        chosen.append(or_(reuse.c.service == service, reuse.c.target_service == service))
    if office is not None:
        chosen.append(reuse.c.office == office)
    rows = (
        await session.execute(
            select(reuse)
            .where(*chosen)
            .order_by(reuse.c.occurred_at.desc(), _order_within_a_moment(), reuse.c.entry_id)
            .offset(skip)
            .limit(limit + 1)
        )
    ).all()
    facts = (
        await session.execute(
            select(
                func.count().filter(*chosen[3:]).label("total") if chosen[3:] else func.count().label("total"),
                func.coalesce(
                    func.sum(func.cardinality(reuse.c["items"])).filter(reuse.c.entry_type == "applied"), 0
                ).label("spared"),
                func.min(reuse.c.occurred_at).label("first_at"),
                func.max(reuse.c.received_at).label("last_received_at"),
            ).where(*mine)
        )
    ).one()
    offices = await session.execute(
        select(reuse.c.office)
        .where(*mine, reuse.c.office.is_not(None))
        .distinct()
        .order_by(reuse.c.office)
        .limit(HISTORY_PAGE)
    )
    return History(
        entries=tuple(_entry(row, family) for row in rows[:limit]),
        total=facts.total,
        spared_items=facts.spared,
        pending=await _count_pending(session, municipality, subjects),
        first_at=facts.first_at,
        last_received_at=facts.last_received_at,
        offices=tuple(office for office in offices.scalars() if office),
        has_more=len(rows) > limit,
    )


def _order_within_a_moment() -> Any:
    """One transaction's entries have one time: what came last in the person's eyes is shown first."""
    return case((reuse.c.entry_type == "offered", 0), (reuse.c.entry_type == "previewed", 1), else_=2).desc()


async def _count_pending(session: AsyncSession, municipality: str, subjects: Sequence[UUID]) -> int:
    """Entries of our own ledger that have not come round yet. Those of the others we cannot know."""
    written = ledger.tables.entry
    arrived = (
        select(reuse.c.entry_id)
        .where(reuse.c.municipality == written.c.municipality, reuse.c.entry_id == written.c.entry_id)
        .exists()
    )
    query = (
        select(func.count())
        .select_from(written)
        .where(
            written.c.municipality == municipality,
            written.c.subject_ref.in_(subjects),
            written.c.visibility == "subject",
            not_(arrived),
        )
    )
    return int((await session.execute(query)).scalar_one())


def _entry(row: Any, family: Mapping[UUID, int]) -> HistoryEntry:
    values = {name: getattr(row, name) for name in HistoryEntry.__struct_fields__ if name != "person"}
    return HistoryEntry(**(values | {"items": tuple(row.items), "person": family.get(row.subject_ref)}))
