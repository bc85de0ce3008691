"""One form for a life event: which cases are in it, and what was sent with it."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, and_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.items import attached_items, typed_items
from services.routing.queries.plans import Plan
from services.routing.tables import application, case_file, plan, procedure
from shared.tokens import Identity

MEMBERS_MAX = 30
AT_COUNTER = and_(procedure.c.counter != "no", procedure.c.counters != text("'{}'")).label("at_counter")

OF_PROCEDURE = (
    procedure.c["items"].label("needs"),
    procedure.c.attach,
    procedure.c.fee_yen,
    procedure.c.counters,
)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A case that is filled in and sent with others. `items` are all of its procedure's, also those nobody types."""

    case_id: UUID
    procedure: str
    procedure_name: str
    office: str
    items: tuple[str, ...]
    acting_for: UUID | None
    reach: str | None
    state: str
    # Whether it can go on at a counter.
    counter: bool
    attach: tuple[str, ...]
    fee_yen: int
    counters: tuple[str, ...]
    # What does not apply to it, by what was answered so far.
    not_asked: tuple[str, ...]

    @property
    def needed(self) -> tuple[str, ...]:
        """The items that the form asks for."""
        return typed_items(self.items)

    @property
    def applying(self) -> tuple[str, ...]:
        """Those of them that apply."""
        return tuple(item for item in self.needed if item not in self.not_asked)

    @property
    def attached(self) -> tuple[str, ...]:
        """What can be attached, by the keys of its items."""
        return attached_items(self.items, self.attach)


class SentWith(msgspec.Struct, frozen=True, kw_only=True):
    """An application of a plan's cases. `versions` are the items that it was sent with."""

    application_id: UUID
    case_id: UUID
    number: str
    procedure: str
    procedure_name: str
    office: str
    state: str
    versions: dict[str, int]
    items: tuple[str, ...]
    attach: tuple[str, ...]
    fee_yen: int
    counters: tuple[str, ...]
    subject_ref: UUID
    submitted_at: datetime
    has_notices: bool

    @property
    def attached(self) -> tuple[str, ...]:
        """What could be attached, by the keys of its items."""
        return attached_items(self.items, self.attach)


async def list_members(
    session: AsyncSession, identity: Identity, made: Plan, *, lock: bool = False
) -> tuple[Member, ...]:
    """The cases of a plan's form, in the plan's order: online, not sent, and all of the same person.

    Whose case was said to be another's goes on by itself. With `lock`, they are locked, in one order for everybody.
    """
    query = (
        select(case_file, procedure.c.name_ja, procedure.c.office, *OF_PROCEDURE, AT_COUNTER)
        .join(
            procedure,
            (procedure.c.municipality == case_file.c.municipality) & (procedure.c.code == case_file.c.procedure),
        )
        .where(
            case_file.c.municipality == identity.municipality,
            case_file.c.guest_ref == identity.ref,
            case_file.c.plan_id == made.plan_id,
            case_file.c.channel == "online",
            case_file.c.state != "submitted",
            case_file.c.procedure.in_(made.procedures),
        )
        .order_by(case_file.c.case_id)
        .limit(MEMBERS_MAX)
    )
    rows = list(await session.execute(query.with_for_update(of=case_file) if lock else query))
    rows.sort(key=lambda row: (made.procedures.index(row.procedure), row.created_at))
    return tuple(_member(row) for row in rows if row.acting_for == rows[0].acting_for)


async def find_one_form(session: AsyncSession, identity: Identity, case: Row[Any]) -> UUID | None:
    """The plan in whose form a case is, while there is one."""
    if case.plan_id is None or case.channel != "online" or case.state == "submitted":
        return None
    row = (
        await session.execute(
            select(plan).where(
                plan.c.municipality == identity.municipality,
                plan.c.plan_id == case.plan_id,
                plan.c.guest_ref == identity.ref,
            )
        )
    ).one_or_none()
    if row is None:
        return None
    made = Plan(plan_id=row.plan_id, event=row.event, procedures=tuple(row.procedures))
    members = await list_members(session, identity, made)
    return made.plan_id if case.case_id in {member.case_id for member in members} else None


async def list_one_forms(session: AsyncSession, identity: Identity) -> dict[UUID, UUID]:
    """The visitor's cases that are in the form of a plan, with the plan: of each plan, those of one person."""
    rows = await session.execute(
        select(case_file.c.case_id, case_file.c.acting_for, case_file.c.procedure, case_file.c.created_at,
               plan.c.plan_id, plan.c.procedures)
        .join(plan, (plan.c.municipality == case_file.c.municipality) & (plan.c.plan_id == case_file.c.plan_id))
        .where(
            case_file.c.municipality == identity.municipality,
            case_file.c.guest_ref == identity.ref,
            plan.c.guest_ref == identity.ref,
            case_file.c.channel == "online",
            case_file.c.state != "submitted",
            case_file.c.procedure == plan.c.procedures.any_(),
        )
        .order_by(case_file.c.case_id)
        .limit(MEMBERS_MAX)
    )  # fmt: skip
    inside = sorted(rows, key=lambda row: (row.procedures.index(row.procedure), row.created_at))
    whose = {row.plan_id: row.acting_for for row in reversed(inside)}
    return {row.case_id: row.plan_id for row in inside if row.acting_for == whose[row.plan_id]}


async def list_sent(session: AsyncSession, identity: Identity, made: Plan) -> tuple[SentWith, ...]:
    """What was sent of a plan's form, in the plan's order."""
    rows: list[Row[Any]] = list(
        await session.execute(
            select(application, procedure.c.name_ja, *OF_PROCEDURE)
            .join(
                case_file,
                (case_file.c.municipality == application.c.municipality)
                & (case_file.c.case_id == application.c.case_id),
            )
            .join(
                procedure,
                (procedure.c.municipality == application.c.municipality)
                & (procedure.c.code == application.c.procedure),
            )
            .where(
                application.c.municipality == identity.municipality,
                application.c.guest_ref == identity.ref,
                case_file.c.plan_id == made.plan_id,
            )
            .order_by(application.c.submitted_at)
            .limit(MEMBERS_MAX)
        )
    )
    order = {code: number for number, code in enumerate(made.procedures)}
    rows.sort(key=lambda row: order.get(row.procedure, len(order)))
    return tuple(
        SentWith(
            application_id=row.application_id,
            case_id=row.case_id,
            number=row.number,
            procedure=row.procedure,
            procedure_name=row.name_ja,
            office=row.office,
            state=row.state,
            versions=dict(row.items),
            items=tuple(row.needs),
            attach=tuple(row.attach),
            fee_yen=row.fee_yen,
            counters=tuple(row.counters),
            subject_ref=row.subject_ref,
            submitted_at=row.submitted_at,
            has_notices=row.contact_ref is not None,
        )
        for row in rows
    )


async def was_sent(session: AsyncSession, identity: Identity, made: Plan, submit_key: UUID) -> bool:
    """Whether this very page was sent before."""
    query = (
        select(application.c.number)
        .join(
            case_file,
            (case_file.c.municipality == application.c.municipality) & (case_file.c.case_id == application.c.case_id),
        )
        .where(
            application.c.municipality == identity.municipality,
            application.c.guest_ref == identity.ref,
            application.c.submit_key == submit_key,
            case_file.c.plan_id == made.plan_id,
        )
        .limit(1)
    )
    return (await session.execute(query)).one_or_none() is not None


def _member(row: Any) -> Member:
    return Member(
        case_id=row.case_id,
        procedure=row.procedure,
        procedure_name=row.name_ja,
        office=row.office,
        items=tuple(row.needs),
        acting_for=row.acting_for,
        reach=row.reach,
        state=row.state,
        counter=row.at_counter,
        attach=tuple(row.attach),
        fee_yen=row.fee_yen,
        counters=tuple(row.counters),
        not_asked=tuple(row.not_asked),
    )
