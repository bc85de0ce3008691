"""The delivery log (お知らせの記録): who was told what, when, by which way, and what the provider said. No address."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, and_, false, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.notices import SEND, SEND_BULK
from services.notifications.domain.words import Used
from services.notifications.tables import (
    application,
    appointment,
    attempt,
    contact_point,
    contact_way,
    notice,
    outbox,
    staff_task,
    told,
)
from shared.clock import JST

PAGE = 100
# Of one person, all that they have with the town; of one notice, all that was tried (`domain/retries.py`).
MATTERS_MAX = 200
ATTEMPTS_MAX = 200
# How far a notice has come, as it is looked for: what is on its way is one thing.
Standing = Literal[
    "waiting", "sent", "delivered", "not_delivered", "failed", "undeliverable", "superseded", "printed_slip"
]
STANDINGS: tuple[Standing, ...] = get_args(Standing)
DUE = outbox.tables.due


class Mark(NamedTuple):
    """Where a page of the log ends: what is older is on the next."""

    created_at: datetime
    notice_id: UUID


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for. Empty: all of it."""

    kind: str = ""
    way: str = ""
    standing: Standing | None = None
    day: date | None = None


class LoggedNotice(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the delivery log."""

    notice_id: UUID
    kind: str
    # Told to a helper, or to whoever signs in: without a number.
    is_of_account: bool
    number: str
    reach: str | None
    state: str
    delivery: str | None
    reason: str | None
    is_again: bool
    attempts: int
    created_at: datetime
    settled_at: datetime | None


class OneNotice(LoggedNotice, frozen=True, kw_only=True):
    """One notice, with where it leads to and what comes next."""

    appointment_id: UUID | None
    application_id: UUID | None
    helper_ref: str | None
    starts_at: datetime | None
    is_of_contact: bool
    useful_until: datetime
    again_of: UUID | None
    due_at: datetime | None
    task_id: UUID | None
    task_done_at: datetime | None


class LoggedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a provider. `way` and its `place` in the person's order are None of a way that is no more."""

    attempt_no: int
    way: str | None
    place: int | None
    is_relay: bool | None
    provider: str
    provider_ref: str | None
    outcome: str | None
    error_code: str | None
    delivery: str | None
    words: tuple[Used, ...]
    started_at: datetime
    finished_at: datetime | None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the notices of a person are told to: an account, or contacts and what they are about."""

    account_ref: str | None = None
    contacts: tuple[UUID, ...] = ()
    appointments: tuple[UUID, ...] = ()
    applications: tuple[UUID, ...] = ()
    told: tuple[UUID, ...] = ()


def select_log(
    municipality: str, filters: Filters, *, before: Mark | None = None, helpers_only: bool = False
) -> Select[Any]:
    """The newest notices that are looked for, at most `PAGE`: found by one index, and only then looked up."""
    found = [notice.c.municipality == municipality, *_conditions(filters), *_before(before)]
    if helpers_only:
        found.append(notice.c.account_ref.is_not(None))
    return _lines(select(notice).where(*found))


async def list_notices(
    session: AsyncSession,
    municipality: str,
    filters: Filters = Filters(),  # noqa: B008  it cannot be changed
    *,
    before: Mark | None = None,
    helpers_only: bool = False,
) -> list[LoggedNotice]:
    """The newest notices first, at most `PAGE`; with `before`, those that are older."""
    rows = await session.execute(select_log(municipality, filters, before=before, helpers_only=helpers_only))
    return [LoggedNotice(**row._mapping) for row in rows]


def select_of_person(municipality: str, person: Person, *, before: Mark | None = None) -> Select[Any]:
    """What one person was told, at most `PAGE`: by each of these an index finds it."""
    theirs = [notice.c.account_ref == person.account_ref] if person.account_ref else []
    theirs += [
        notice.c[name].in_(refs)
        for name, refs in (
            ("contact_ref", person.contacts),
            ("appointment_id", person.appointments),
            ("application_id", person.applications),
            ("told_id", person.told),
        )
        if refs
    ]
    found = [notice.c.municipality == municipality, or_(false(), *theirs), *_before(before)]
    return _lines(select(notice).where(*found))


async def list_of_person(
    session: AsyncSession, municipality: str, person: Person, *, before: Mark | None = None
) -> list[LoggedNotice]:
    """What one person was told, of all their matters, the newest first."""
    rows = await session.execute(select_of_person(municipality, person, before=before))
    return [LoggedNotice(**row._mapping) for row in rows]


async def find_notice(
    session: AsyncSession, municipality: str, notice_id: UUID, *, helpers_only: bool = False
) -> OneNotice | None:
    """One notice; None: this town has no such one, or it is not theirs to see."""
    lines = _lines(select(notice).where(notice.c.municipality == municipality, notice.c.notice_id == notice_id))
    line = lines.subquery()
    due_at = (
        select(func.min(DUE.c.due_at))
        .where(
            DUE.c.municipality == municipality,
            DUE.c.kind.in_((SEND, SEND_BULK)),
            DUE.c.ref == str(notice_id),
        )
        .scalar_subquery()
    )
    query = (
        select(
            line,
            notice.c.appointment_id,
            notice.c.application_id,
            notice.c.account_ref.label("helper_ref"),
            func.coalesce(appointment.c.starts_at, application.c.starts_at, told.c.starts_at).label("starts_at"),
            notice.c.contact_ref.is_not(None).label("is_of_contact"),
            notice.c.useful_until,
            notice.c.again_of,
            due_at.label("due_at"),
            staff_task.c.task_id,
            staff_task.c.done_at.label("task_done_at"),
        )
        .select_from(line)
        .join(notice, and_(notice.c.municipality == municipality, notice.c.notice_id == line.c.notice_id))
        .outerjoin(appointment, _same(appointment, "appointment_id"))
        .outerjoin(application, _same(application, "application_id"))
        .outerjoin(told, _same(told, "told_id"))
        .outerjoin(staff_task, _same(staff_task, "notice_id"))
    )
    if helpers_only:
        query = query.where(notice.c.account_ref.is_not(None))
    row = (await session.execute(query)).one_or_none()
    return OneNotice(**row._mapping) if row else None


async def list_attempts(session: AsyncSession, municipality: str, notice_id: UUID) -> list[LoggedAttempt]:
    """Each attempt at a notice, in their order."""
    query = (
        select(
            attempt.c.attempt_no,
            func.coalesce(contact_way.c.kind, notice.c.reach).label("way"),
            contact_way.c.position.label("place"),
            contact_way.c.is_relay,
            *(
                attempt.c[name]
                for name in (
                    "provider", "provider_ref", "outcome", "error_code", "delivery", "words", "started_at",
                    "finished_at",
                )
            ),
            notice.c.contact_ref,
        )
        .join(notice, and_(notice.c.municipality == attempt.c.municipality, notice.c.notice_id == attempt.c.notice_id))
        .outerjoin(
            contact_way,
            and_(
                contact_way.c.municipality == notice.c.municipality,
                contact_way.c.contact_ref == notice.c.contact_ref,
                contact_way.c.way_no == attempt.c.way_no,
            ),
        )
        .where(attempt.c.municipality == municipality, attempt.c.notice_id == notice_id)
        .order_by(attempt.c.attempt_no)
        .limit(ATTEMPTS_MAX)
    )  # fmt: skip
    return [_attempt(row._asdict()) for row in await session.execute(query)]


def _attempt(values: dict[str, Any]) -> LoggedAttempt:
    is_gone = values.pop("contact_ref") is not None and values["place"] is None
    words = msgspec.convert(values.pop("words"), tuple[Used, ...])
    return LoggedAttempt(**values | {"words": words} | ({"way": None} if is_gone else {}))


async def find_person(session: AsyncSession, municipality: str, number: str) -> tuple[UUID, Person] | None:
    """Whose appointment or application has this number, with its id; None: nobody's."""
    for table, key in ((appointment, "appointment_id"), (application, "application_id")):
        query = (
            select(table.c[key], table.c.subject_ref, table.c.contact_ref)
            .where(table.c.municipality == municipality, table.c.number == number)
            .limit(1)
        )
        if row := (await session.execute(query)).one_or_none():
            person = await _whose(session, municipality, row.subject_ref, row.contact_ref)
            mine = {"appointments": (row[0],)} if table is appointment else {"applications": (row[0],)}
            return row[0], person if row.subject_ref else msgspec.structs.replace(person, **mine)
    return None


async def find_person_of(
    session: AsyncSession, municipality: str, notice_id: UUID, *, helpers_only: bool = False
) -> Person | None:
    """Who was told a notice; None: this town has no such one, or it is not theirs to see."""
    query = (
        select(
            notice.c.account_ref,
            notice.c.contact_ref,
            notice.c.appointment_id,
            notice.c.application_id,
            notice.c.told_id,
            func.coalesce(appointment.c.subject_ref, application.c.subject_ref).label("subject_ref"),
        )
        .outerjoin(appointment, _same(appointment, "appointment_id"))
        .outerjoin(application, _same(application, "application_id"))
        .where(notice.c.municipality == municipality, notice.c.notice_id == notice_id)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None or (helpers_only and row.account_ref is None):
        return None
    if row.account_ref is not None:
        return Person(account_ref=row.account_ref)
    person = await _whose(session, municipality, row.subject_ref, row.contact_ref)
    if person.contacts or person.appointments or person.applications:
        return person
    # Nobody that is known here: the matter alone.
    return Person(
        appointments=(row.appointment_id,) if row.appointment_id else (),
        applications=(row.application_id,) if row.application_id else (),
        told=(row.told_id,) if row.told_id else (),
    )


async def _whose(
    session: AsyncSession, municipality: str, subject_ref: UUID | None, contact_ref: UUID | None
) -> Person:
    """All contacts of whoever has this one, and all that they have with the town."""
    if subject_ref is None and contact_ref is not None:
        query = select(contact_point.c.subject_ref).where(
            contact_point.c.municipality == municipality, contact_point.c.contact_ref == contact_ref
        )
        subject_ref = (await session.execute(query)).scalar_one_or_none()
    if subject_ref is None:
        return Person(contacts=(contact_ref,) if contact_ref else ())

    async def of_subject(table: FromClause, key: str) -> Sequence[UUID]:
        theirs = (table.c.municipality == municipality, table.c.subject_ref == subject_ref)
        return (await session.execute(select(table.c[key]).where(*theirs).limit(MATTERS_MAX))).scalars().all()

    return Person(
        contacts=tuple({*await of_subject(contact_point, "contact_ref"), *([contact_ref] if contact_ref else [])}),
        appointments=tuple(await of_subject(appointment, "appointment_id")),
        applications=tuple(await of_subject(application, "application_id")),
    )


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    # Written into the statement, so that PostgreSQL knows by which of the partial indexes it finds them.
    found = []
    if filters.kind:
        found.append(notice.c.kind == _constant(filters.kind))
    if filters.way:
        found.append(notice.c.reach == _constant(filters.way))
    if filters.standing == "waiting":
        found.append(notice.c.settled_at.is_(None))
    elif filters.standing in ("delivered", "not_delivered"):
        found.append(notice.c.delivery == _constant(filters.standing))
    elif filters.standing is not None:
        found.append(notice.c.state == _constant(filters.standing))
    if filters.day is not None:
        begin = datetime.combine(filters.day, time(), JST)
        found += [notice.c.created_at >= begin, notice.c.created_at < begin + timedelta(days=1)]
    return found


def _constant(value: str) -> ColumnElement[str]:
    return literal(value, literal_execute=True)


def _before(mark: Mark | None) -> list[ColumnElement[bool]]:
    """What is older than the mark; of those of one moment, what comes after it."""
    if mark is None:
        return []
    is_older = or_(notice.c.created_at < mark.created_at, notice.c.notice_id < mark.notice_id)
    return [notice.c.created_at <= mark.created_at, is_older]


def _lines(found: Select[Any]) -> Select[Any]:
    """These notices as lines of the log, the newest first."""
    page = found.order_by(notice.c.created_at.desc(), notice.c.notice_id.desc()).limit(PAGE).subquery()
    attempts = (
        select(func.count())
        .select_from(attempt)
        .where(attempt.c.municipality == page.c.municipality, attempt.c.notice_id == page.c.notice_id)
        .scalar_subquery()
    )
    names = ("notice_id", "kind", "reach", "state", "delivery", "reason", "created_at", "settled_at")
    return (
        select(
            *(page.c[name] for name in names),
            page.c.account_ref.is_not(None).label("is_of_account"),
            page.c.again_of.is_not(None).label("is_again"),
            func.coalesce(appointment.c.number, application.c.number, "").label("number"),
            attempts.label("attempts"),
        )
        .select_from(page)
        .outerjoin(appointment, _same(appointment, "appointment_id", page))
        .outerjoin(application, _same(application, "application_id", page))
        .order_by(page.c.created_at.desc(), page.c.notice_id.desc())
    )


def _same(table: FromClause, key: str, of: FromClause = notice) -> ColumnElement[bool]:
    return and_(table.c.municipality == of.c.municipality, table.c[key] == of.c[key])
