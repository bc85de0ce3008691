"""What can be asked: a task of staff, and how providers do. No address is in any answer."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, Text, and_, cast, exists, func, select
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

PROVIDER_ROWS_MAX = 200
_STARTS_AT = func.coalesce(appointment.c.starts_at, application.c.starts_at, told.c.starts_at)


class OpenTask(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to be called: the number leads to the appointment in booking, or to the application in routing.

    A helper has no number here; who it is, the coordinator's page of them says (`helper_ref`).
    """

    task_id: UUID
    notice_id: UUID
    reason: str
    number: str
    kind: str
    helper_ref: str | None
    # Told to an address that no contact here has: nobody's history says who looked at it.
    is_of_address: bool
    # Of an appointment; an application has neither a time nor a counter.
    appointment_id: UUID | None
    # As the catalogue calls it: staff must know what the call is about, also where a message would not say it.
    procedure_name: str | None
    counter_number: str | None
    starts_at: datetime | None
    # By when they must know: until an answer is waited for, or it begins.
    deadline: datetime | None
    attempts: int
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


async def find_task(session: AsyncSession, municipality: str, task_id: UUID) -> OpenTask | None:
    """One task, open or done."""
    row = (await session.execute(select_tasks(municipality).where(staff_task.c.task_id == task_id))).one_or_none()
    return OpenTask(**row._mapping) if row else None


def select_tasks(municipality: str) -> Select[Any]:
    """Tasks with what they are about, as `OpenTask` has them."""
    # Of a class, what it is called.
    procedure = func.coalesce(appointment.c.procedure, func.nullif(application.c.title, ""), application.c.procedure)
    # A venue has no number: it is called by its name.
    number = func.coalesce(func.nullif(catalogue_counter.c.number, ""), catalogue_counter.c.name_ja)
    attempts = (
        select(func.count())
        .select_from(attempt)
        .where(attempt.c.municipality == staff_task.c.municipality, attempt.c.notice_id == staff_task.c.notice_id)
        .scalar_subquery()
    )
    return (
        select(
            staff_task.c.task_id,
            staff_task.c.notice_id,
            staff_task.c.reason,
            staff_task.c.number,
            notice.c.kind,
            told.c.account_ref.label("helper_ref"),
            and_(told.c.told_id.is_not(None), func.num_nonnulls(told.c.account_ref, told.c.contact_ref) == 0).label(
                "is_of_address"
            ),
            appointment.c.appointment_id,
            func.coalesce(catalogue_procedure.c.name_ja, procedure).label("procedure_name"),
            func.coalesce(number, appointment.c.counter).label("counter_number"),
            _STARTS_AT.label("starts_at"),
            func.coalesce(appointment.c.offer_until, application.c.until, told.c.until, _STARTS_AT).label("deadline"),
            attempts.label("attempts"),
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
    process: UUID
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
