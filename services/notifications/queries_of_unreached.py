"""Whom nobody reaches (連絡がつかない人): whom staff are to call, person by person, and who will not be reached."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Select, Subquery, Text, and_, case, cast, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.staff_tasks import CALL_CHOSEN
from services.notifications.queries import OpenTask, is_overtaken, select_tasks
from services.notifications.tables import (
    application,
    appointment,
    contact_point,
    contact_way,
    notice,
    staff_task,
    told,
)

PEOPLE = 30
# Of one person; more would be read by nobody.
TASKS_MAX = 300
SILENT_MAX = 100


class Unreached(msgspec.Struct, frozen=True, kw_only=True):
    """One person, and all that they are to be told, the most urgent first. `since`: when staff were first asked."""

    tasks: tuple[OpenTask, ...]
    since: datetime
    attempts: int

    @property
    def first(self) -> OpenTask:
        """The most urgent of it."""
        return self.tasks[0]


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose every way leads nowhere, though no notice has failed by it yet: their next appointment."""

    appointment_id: UUID
    number: str
    starts_at: datetime
    # Since when no way is left.
    since: datetime


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks are open, by their reasons; how many people nobody reaches, how many chose to be called, and since
    when the oldest waits."""

    by_reason: dict[str, int]
    people: int
    calls: int
    oldest: datetime | None


async def list_unreached(
    session: AsyncSession,
    municipality: str,
    *,
    reason: str = "",
    skip: int = 0,
    helpers_only: bool = False,
    now: datetime,
) -> list[Unreached]:
    """At most `PEOPLE` and one more, who says that there are further ones: whoever must know soonest first, then who
    has waited longest, and at last those for whom it is too late."""
    tasks = _open(municipality, reason=reason, helpers_only=helpers_only)
    soonest = func.min(tasks.c.deadline).filter(tasks.c.deadline >= now)
    latest = func.max(tasks.c.deadline)
    order = case((soonest.is_not(None), 0), (latest.is_(None), 1), else_=2)
    people = (
        select(tasks.c.person)
        .group_by(tasks.c.person)
        .order_by(order, soonest, func.min(tasks.c.opened_at), tasks.c.person)
        .offset(skip)
        .limit(PEOPLE + 1)
    )
    order_of = list((await session.execute(people)).scalars())
    if not order_of:
        return []
    is_past = and_(tasks.c.deadline.is_not(None), tasks.c.deadline < now)
    theirs = (
        select(tasks)
        .where(tasks.c.person.in_(order_of))
        .order_by(is_past, tasks.c.deadline.nulls_last(), tasks.c.opened_at, tasks.c.task_id)
        .limit(TASKS_MAX)
    )
    found: dict[str, list[OpenTask]] = defaultdict(list)
    for row in await session.execute(theirs):
        values = row._asdict()
        found[values.pop("person")].append(OpenTask(**values))
    return [
        Unreached(
            tasks=tuple(found[person]),
            since=min(task.opened_at for task in found[person]),
            attempts=sum(task.attempts for task in found[person]),
        )
        for person in order_of
        if person in found
    ]


async def count_unreached(session: AsyncSession, municipality: str, *, helpers_only: bool = False) -> Counts:
    """How much staff have to do."""
    tasks = _open(municipality, helpers_only=helpers_only)
    reasons = select(tasks.c.reason, func.count()).group_by(tasks.c.reason).order_by(func.count().desc())
    is_chosen = tasks.c.reason == CALL_CHOSEN
    whole = select(
        func.count(tasks.c.person.distinct()).filter(~is_chosen),
        func.count(tasks.c.person.distinct()).filter(is_chosen),
        func.min(tasks.c.opened_at),
    )
    by_reason = {row[0]: row[1] for row in await session.execute(reasons)}
    people, calls, oldest = (await session.execute(whole)).one()
    return Counts(by_reason=by_reason, people=people, calls=calls, oldest=oldest)


def select_silent(municipality: str, *, now: datetime) -> Select[Any]:
    """Who comes, and has no way left that is good and proved; not whom a task asks to be called already."""
    town = contact_way.c.municipality
    is_good = contact_way.alias("good")
    has_good = exists().where(
        is_good.c.municipality == contact_point.c.municipality,
        is_good.c.contact_ref == contact_point.c.contact_ref,
        is_good.c.state != "dead",
        is_good.c.verified_at.is_not(None),
    )
    is_called = exists().where(
        staff_task.c.municipality == town,
        staff_task.c.appointment_id == appointment.c.appointment_id,
        staff_task.c.done_at.is_(None),
    )
    return (
        select(
            appointment.c.appointment_id,
            appointment.c.number,
            appointment.c.starts_at,
            func.max(contact_way.c.state_at).label("since"),
        )
        .select_from(contact_way)
        .join(
            contact_point,
            and_(contact_point.c.municipality == town, contact_point.c.contact_ref == contact_way.c.contact_ref),
        )
        .join(
            appointment,
            and_(
                appointment.c.municipality == town,
                # By which an index finds them.
                appointment.c.subject_ref == contact_point.c.subject_ref,
                appointment.c.contact_ref == contact_point.c.contact_ref,
            ),
        )
        .where(
            town == municipality,
            contact_way.c.state == "dead",
            contact_point.c.reach != "none",
            ~contact_point.c.wants_paper,
            appointment.c.state == "booked",
            appointment.c.starts_at > now,
            ~has_good,
            ~is_called,
        )
        .group_by(appointment.c.appointment_id, appointment.c.number, appointment.c.starts_at)
        .order_by(appointment.c.starts_at, appointment.c.appointment_id)
        .limit(SILENT_MAX)
    )


async def list_silent(session: AsyncSession, municipality: str, *, now: datetime) -> Sequence[Silent]:
    """Who will not be reached, whoever comes soonest first."""
    return [Silent(**row._mapping) for row in await session.execute(select_silent(municipality, now=now))]


def _open(municipality: str, *, reason: str = "", helpers_only: bool = False) -> Subquery:
    """The open tasks with whose they are; not what a helper has answered or need not know any more."""
    still_so = or_(told.c.told_id.is_(None), ~is_overtaken())
    whose = func.coalesce(
        cast(appointment.c.subject_ref, Text),
        cast(application.c.subject_ref, Text),
        cast(contact_point.c.subject_ref, Text),
        told.c.account_ref,
        # Nobody that is known here: each matter by itself.
        cast(func.coalesce(*(staff_task.c[name] for name in ("appointment_id", "application_id", "told_id"))), Text),
    )
    query = (
        select_tasks(municipality)
        .add_columns(whose.label("person"))
        .outerjoin(
            contact_point,
            and_(
                contact_point.c.municipality == notice.c.municipality,
                contact_point.c.contact_ref == notice.c.contact_ref,
            ),
        )
        .where(staff_task.c.done_at.is_(None), still_so)
    )
    if reason:
        query = query.where(staff_task.c.reason == reason)
    if helpers_only:
        query = query.where(told.c.account_ref.is_not(None))
    return query.subquery()
