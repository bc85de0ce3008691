"""What can be asked: the delivery log and the open tasks. No address is in any answer."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, Text, and_, cast, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.tables import (
    application,
    appointment,
    attempt,
    catalogue_counter,
    catalogue_procedure,
    notice,
    provider_health,
    staff_task,
    told,
)

PAGE = 100
PROVIDER_ROWS_MAX = 200
TASKS_MAX = 200
_STARTS_AT = func.coalesce(appointment.c.starts_at, application.c.starts_at, told.c.starts_at)


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
    attempts: int
    created_at: datetime
    settled_at: datetime | None


class OpenTask(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to be called: the number leads to the appointment in booking, or to the application in routing.

    A helper has no number here; who it is, the coordinator's page of them says (`helper_ref`).
    """

    task_id: UUID
    reason: str
    number: str
    kind: str
    helper_ref: str | None
    # Of an appointment; an application has neither a time nor a counter.
    appointment_id: UUID | None
    # As the catalogue calls it: staff must know what the call is about, also where a message would not say it.
    procedure_name: str | None
    counter_number: str | None
    starts_at: datetime | None
    opened_at: datetime
    done_at: datetime | None
    # Of a call that somebody chose: the way whose number is called. How often nobody picked up, and when to try again.
    way_no: int | None
    tries: int
    again_at: datetime | None

    @property
    def is_of_helper(self) -> bool:
        """Whether a helper is to be told, and no resident."""
        return self.helper_ref is not None


def is_overtaken() -> ColumnElement[bool]:
    """Whether something later was told to the same account, or contact, about the same: of `told`, the row that is
    looked at."""
    later = told.alias("later")

    def whom(table: Any) -> Any:
        return func.coalesce(table.c.account_ref, cast(table.c.contact_ref, Text))

    return exists().where(
        later.c.municipality == told.c.municipality,
        later.c.about == told.c.about,
        whom(later) == whom(told),
        later.c.occurred_at > told.c.occurred_at,
    )


async def list_notices(
    session: AsyncSession, municipality: str, *, before: datetime | None = None, helpers_only: bool = False
) -> list[LoggedNotice]:
    """The newest notices first, at most `PAGE`; with `before`, those made earlier."""
    attempts = (
        select(func.count())
        .select_from(attempt)
        .where(attempt.c.municipality == notice.c.municipality, attempt.c.notice_id == notice.c.notice_id)
        .scalar_subquery()
    )
    query = (
        select(
            notice.c.notice_id,
            notice.c.kind,
            notice.c.account_ref.is_not(None).label("is_of_account"),
            func.coalesce(appointment.c.number, application.c.number, "").label("number"),
            notice.c.reach,
            notice.c.state,
            notice.c.delivery,
            notice.c.reason,
            attempts.label("attempts"),
            notice.c.created_at,
            notice.c.settled_at,
        )
        .outerjoin(
            appointment,
            and_(
                appointment.c.municipality == notice.c.municipality,
                appointment.c.appointment_id == notice.c.appointment_id,
            ),
        )
        .outerjoin(
            application,
            and_(
                application.c.municipality == notice.c.municipality,
                application.c.application_id == notice.c.application_id,
            ),
        )
        .where(notice.c.municipality == municipality)
        .order_by(notice.c.created_at.desc(), notice.c.notice_id)
        .limit(PAGE)
    )
    if before is not None:
        query = query.where(notice.c.created_at < before)
    if helpers_only:
        query = query.where(notice.c.account_ref.is_not(None))
    return [LoggedNotice(**row._mapping) for row in await session.execute(query)]


async def list_open_tasks(session: AsyncSession, municipality: str, *, helpers_only: bool = False) -> list[OpenTask]:
    """What staff still have to do, the most urgent first; not what a helper has answered or need not know any more."""
    still_so = or_(told.c.told_id.is_(None), ~is_overtaken())
    query = _tasks(municipality).where(staff_task.c.done_at.is_(None), still_so)
    if helpers_only:
        query = query.where(told.c.account_ref.is_not(None))
    rows = await session.execute(query.order_by(_STARTS_AT.nulls_last(), staff_task.c.task_id).limit(TASKS_MAX))
    return [OpenTask(**row._mapping) for row in rows]


async def find_task(session: AsyncSession, municipality: str, task_id: UUID) -> OpenTask | None:
    """One task, open or done."""
    row = (await session.execute(_tasks(municipality).where(staff_task.c.task_id == task_id))).one_or_none()
    return OpenTask(**row._mapping) if row else None


def _tasks(municipality: str) -> Select[Any]:
    # Of a class, what it is called.
    procedure = func.coalesce(appointment.c.procedure, func.nullif(application.c.title, ""), application.c.procedure)
    # A venue has no number: it is called by its name.
    number = func.coalesce(func.nullif(catalogue_counter.c.number, ""), catalogue_counter.c.name_ja)
    return (
        select(
            staff_task.c.task_id,
            staff_task.c.reason,
            staff_task.c.number,
            notice.c.kind,
            told.c.account_ref.label("helper_ref"),
            appointment.c.appointment_id,
            func.coalesce(catalogue_procedure.c.name_ja, procedure).label("procedure_name"),
            func.coalesce(number, appointment.c.counter).label("counter_number"),
            _STARTS_AT.label("starts_at"),
            staff_task.c.opened_at,
            staff_task.c.done_at,
            staff_task.c.way_no,
            staff_task.c.tries,
            staff_task.c.again_at,
        )
        .join(
            notice,
            and_(notice.c.municipality == staff_task.c.municipality, notice.c.notice_id == staff_task.c.notice_id),
        )
        .outerjoin(
            appointment,
            and_(
                appointment.c.municipality == staff_task.c.municipality,
                appointment.c.appointment_id == staff_task.c.appointment_id,
            ),
        )
        .outerjoin(
            application,
            and_(
                application.c.municipality == staff_task.c.municipality,
                application.c.application_id == staff_task.c.application_id,
            ),
        )
        .outerjoin(told, and_(told.c.municipality == staff_task.c.municipality, told.c.told_id == staff_task.c.told_id))
        .outerjoin(
            catalogue_procedure,
            and_(
                catalogue_procedure.c.municipality == staff_task.c.municipality,
                catalogue_procedure.c.code == procedure,
            ),
        )
        .outerjoin(
            catalogue_counter,
            and_(
                catalogue_counter.c.municipality == staff_task.c.municipality,
                catalogue_counter.c.code == func.coalesce(appointment.c.counter, application.c.venue, told.c.venue),
            ),
        )
        .where(staff_task.c.municipality == municipality)
    )


class ProviderHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one sending process sees a provider; counts and `took_p95_ms` are of its last ten minutes.

    `written_at` is old (a process tells at least each minute) where nobody sends any more.
    """

    provider: str
    way: str
    state: str
    since: datetime
    written_at: datetime
    accepted: int
    temporary: int
    permanent: int
    unknown: int
    took_p95_ms: int | None
    last_error: str | None
    last_error_at: datetime | None


async def list_provider_health(session: AsyncSession) -> list[ProviderHealth]:
    """How the providers do, as each process sees it, the latest first. No town's own: any transaction sees it."""
    columns = [provider_health.c[name] for name in ProviderHealth.__struct_fields__]
    query = select(*columns).order_by(provider_health.c.provider, provider_health.c.written_at.desc())
    rows = await session.execute(query.limit(PROVIDER_ROWS_MAX))
    return [ProviderHealth(**row) for row in rows.mappings()]
