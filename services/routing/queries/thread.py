"""What is known of one case: everything its thread is made of. No values, no contacts."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import State
from services.routing.domain.desk import STEP_CONFIRM
from services.routing.domain.thread import (
    CONTACT_WAY,
    LIVE,
    ApplicationStep,
    AppointmentStep,
    CaseStep,
    Entry,
    ItemsUsed,
    Notice,
    Standing,
    deciding_states,
    find_standing,
    is_live,
    make_thread,
)
from services.routing.queries.thread_facts import list_other_facts
from services.routing.tables import (
    application,
    application_step,
    appointment,
    appointment_step,
    case_course,
    case_file,
    case_notice,
    case_step,
    case_switch,
    feedback,
    reuse,
)
from shared.clock import JST, jst_day

_CASE_STEP = ("version", "kind", "channel", "actor_kind", "occurred_at")
# Of each kind of fact; a case of a life has far fewer.
FACTS_MAX = 500
APPOINTMENTS_MAX = 20
# Given, used again, handed over: what a ledger calls it, and whose ledger.
_USED = {
    ("routing", "collected"): "given",
    ("routing", "corrected"): "given",
    ("routing", "applied"): "reused",
    ("booking", "applied"): "handed_over",
}


class ThreadAppointment(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment of the case, as booking last told it."""

    number: str
    procedures: tuple[str, ...]
    counter: str
    starts_at: datetime
    state: str
    helper: str
    is_closed: bool
    is_live: bool


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A case: where it stands, its numbers, and what happened, newest first."""

    case_id: UUID
    procedure: str
    channel: str
    state: str
    acting_for: UUID | None
    behalf: str | None
    standing: Standing
    # 受付番号, and where its application stands.
    sent: str | None
    application_id: UUID | None
    application_state: State | None
    office: str | None
    due_at: datetime | None
    changed_at: datetime | None
    appointments: tuple[ThreadAppointment, ...]
    entries: tuple[Entry, ...]
    # How it may be said how it went: not yet (None), or whether it was said.
    feedback: bool | None
    # Whether a way by which its person is told leads nowhere.
    is_unreached: bool


async def read_thread(session: AsyncSession, case: Row[Any], *, now: datetime) -> Thread:
    """The thread of a case (its row); who may see it is for the caller to know."""
    town, case_id = case.municipality, case.case_id
    sent = await _one(session, select(application).where(_of(application, town, case_id)))
    booked = await _all(
        session,
        select(appointment).where(_of(appointment, town, case_id)).order_by(appointment.c.starts_at),
        limit=APPOINTMENTS_MAX,
    )
    course = await _one(session, select(case_course).where(_of(case_course, town, case_id)))
    said = await _one(session, select(feedback.c.given_at).where(_of(feedback, town, case_id)))
    case_steps = await _case_steps(session, town, case_id)
    is_closed = any(step.kind == "closed" and step.version == case.version for step in case_steps)
    is_left = course is not None and course.ended_how == "given_up"
    is_finished = course is not None and course.ended_how == "finished"
    notices = await _all(
        session,
        select(case_notice).where(_of(case_notice, town, case_id)).order_by(case_notice.c.occurred_at.desc()),
    )
    return Thread(
        case_id=case_id,
        procedure=case.procedure,
        channel=case.channel,
        state=case.state,
        acting_for=case.acting_for,
        behalf=case.behalf,
        standing=find_standing(
            case_state=case.state,
            application_state=sent.state if sent else None,
            appointment_states=deciding_states(booked, case.channel, now),
            is_closed=is_closed,
        ),
        sent=sent.number if sent else None,
        application_id=sent.application_id if sent else None,
        application_state=sent.state if sent else None,
        office=sent.office if sent else None,
        due_at=sent.due_at if sent else None,
        changed_at=sent.changed_at if sent else None,
        appointments=tuple(
            ThreadAppointment(
                number=row.number,
                procedures=tuple(row.services) or (row.procedure,),
                counter=row.counter,
                starts_at=row.starts_at,
                state=row.state,
                helper=row.helper,
                is_closed=row.closure != "none" and row.state == "booked",
                is_live=is_live(row, now),
            )
            for row in booked
        ),
        entries=make_thread(
            case_steps=case_steps,
            application_steps=await _application_steps(session, town, sent),
            appointment_steps=[
                _as(AppointmentStep, row)
                for row in await _all(
                    session,
                    select(appointment_step)
                    .where(_of(appointment_step, town, case_id))
                    .order_by(appointment_step.c.occurred_at.desc()),
                )
            ],
            notices=[_as(Notice, row) for row in notices],
            used=await _items_used(session, case),
            others=await list_other_facts(session, town, case_id),
            feedback_at=said.given_at if said else None,
            left_at=course.ended_at if course is not None and is_left else None,
        ),
        feedback=(said is not None) if is_finished else None,
        is_unreached=any(row.kind == CONTACT_WAY and row.state == "not_delivered" for row in notices),
    )


async def find_case_row(session: AsyncSession, municipality: str, case_id: UUID) -> Row[Any] | None:
    """A case, whoever's it is."""
    return await _one(session, select(case_file).where(_of(case_file, municipality, case_id)))


async def find_number_of_case(session: AsyncSession, municipality: str, case_id: UUID) -> Row[Any] | None:
    """The application of a case, with its number; None: it was never sent."""
    return await _one(session, select(application).where(_of(application, municipality, case_id)))


def is_ahead(now: datetime) -> ColumnElement[bool]:
    """In a query over `appointment`: what `domain/thread.py: is_live` says of one."""
    today = datetime.combine(jst_day(now), datetime.min.time(), JST)
    return and_(
        appointment.c.state.in_(LIVE),
        or_(appointment.c.ends_at > now, and_(appointment.c.state != "booked", appointment.c.starts_at >= today)),
    )


def is_given_up() -> Any:
    """In a query over `case_file`: whether its person closed it, and has not gone on since."""
    return exists().where(
        case_step.c.municipality == case_file.c.municipality,
        case_step.c.case_id == case_file.c.case_id,
        case_step.c.version == case_file.c.version,
        case_step.c.kind == "closed",
    )


async def _case_steps(session: AsyncSession, town: str, case_id: UUID) -> list[CaseStep]:
    """How a case began, was closed, and went from channel to channel: each once, with who said so."""
    steps = await _all(session, select(case_step).where(_of(case_step, town, case_id)).order_by(case_step.c.version))
    switches = await _all(
        session, select(case_switch).where(_of(case_switch, town, case_id)).order_by(case_switch.c.version)
    )
    said = {
        row.version: CaseStep(
            version=row.version,
            kind="switched",
            channel=row.to_channel,
            actor_kind="",
            occurred_at=row.switched_at,
            said=row.said,
            office=row.office,
        )
        for row in switches
    }
    known = {
        row.version: CaseStep(**{name: row._mapping[name] for name in _CASE_STEP}, said="", office=None)
        for row in steps
    }
    # Back to what was sent because the office has it again: that is the office's step, which is told anyway.
    by_office = {step.version for step in said.values() if step.said == "office" and step.channel == "online"}
    told = known | {version: step for version, step in said.items() if version not in by_office}
    return [told[version] for version in sorted(told)]


async def _application_steps(session: AsyncSession, town: str, sent: Row[Any] | None) -> list[ApplicationStep]:
    if sent is None:
        return []
    query = (
        select(application_step)
        .where(application_step.c.municipality == town, application_step.c.application_id == sent.application_id)
        .order_by(application_step.c.version.desc())
    )
    return [_as(ApplicationStep, row) for row in await _all(session, query)]


async def _items_used(session: AsyncSession, case: Row[Any]) -> list[ItemsUsed]:
    """What was given and used, one line for what was done at once."""
    if case.subject_ref is None:
        return []
    rows = await _all(
        session,
        select(reuse)
        .where(
            reuse.c.municipality == case.municipality,
            reuse.c.subject_ref == case.subject_ref,
            reuse.c.case_id == case.case_id,
            reuse.c.visibility == "subject",
            # The person's word at the counter: the thread has it from its own row.
            reuse.c.target_step != STEP_CONFIRM,
            reuse.c.entry_type.in_({entry_type for _, entry_type in _USED}),
        )
        .order_by(reuse.c.occurred_at.desc()),
    )
    together: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        kind = _USED.get((row.service, row.entry_type))
        if kind is not None:
            together.setdefault((row.occurred_at, kind, row.actor_kind, row.office), []).extend(row.items)
    return [
        ItemsUsed(
            kind=kind, items=tuple(sorted(set(items))), actor_kind=actor_kind, office=office, occurred_at=occurred_at
        )
        for (occurred_at, kind, actor_kind, office), items in together.items()
    ]


def _of(table: Any, municipality: str, case_id: UUID) -> Any:
    return and_(table.c.municipality == municipality, table.c.case_id == case_id)


def _as(kind: Any, row: Row[Any]) -> Any:
    return kind(**{name: row._mapping[name] for name in kind.__struct_fields__})


async def _one(session: AsyncSession, query: Any) -> Row[Any] | None:
    row: Row[Any] | None = (await session.execute(query)).one_or_none()
    return row


async def _all(session: AsyncSession, query: Any, *, limit: int = FACTS_MAX) -> list[Row[Any]]:
    return list((await session.execute(query.limit(limit))).all())
