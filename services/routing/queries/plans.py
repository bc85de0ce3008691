"""Life events as the town describes them, and what a visitor has to do because of one."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.catalogue import is_code
from services.routing.domain.life_events import LifeEvent, Question, Step, Words
from services.routing.tables import case_file, life_event, plan
from shared.errors import Refusal
from shared.tokens import Identity

EVENTS_MAX = 100
PLANS_MAX = 20
CASES_MAX = 100


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody has to do because of a life event."""

    plan_id: UUID
    event: str
    procedures: tuple[str, ...]


class StartedCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case that was begun from a plan."""

    case_id: UUID
    procedure: str
    channel: str
    state: str


async def list_life_events(session: AsyncSession, municipality: str) -> list[LifeEvent]:
    """Every life event, in the town's order."""
    rows = await session.execute(
        select(life_event)
        .where(life_event.c.municipality == municipality)
        .order_by(life_event.c.position)
        .limit(EVENTS_MAX)
    )
    return [_life_event(row) for row in rows]


async def get_life_event(session: AsyncSession, municipality: str, code: str) -> LifeEvent:
    """One life event.

    Raises:
        Refusal: `life_event_unknown` (404).
    """
    query = select(life_event).where(life_event.c.municipality == municipality, life_event.c.code == code)
    row = (await session.execute(query)).one_or_none() if is_code(code) else None
    if row is None:
        raise Refusal("life_event_unknown", 404)
    return _life_event(row)


async def get_own_plan(session: AsyncSession, identity: Identity, plan_id: UUID) -> Plan:
    """A plan of the person who asks.

    Raises:
        Refusal: `plan_unknown` (404), also when it is somebody else's.
    """
    query = select(plan).where(
        plan.c.municipality == identity.municipality,
        plan.c.plan_id == plan_id,
        plan.c.guest_ref == identity.ref,
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise Refusal("plan_unknown", 404)
    return _plan(row)


async def list_my_plans(session: AsyncSession, identity: Identity) -> list[Plan]:
    """The visitor's plans, the newest first."""
    rows = await session.execute(
        select(plan)
        .where(plan.c.municipality == identity.municipality, plan.c.guest_ref == identity.ref)
        .order_by(plan.c.created_at.desc())
        .limit(PLANS_MAX)
    )
    return [_plan(row) for row in rows]


async def list_started(session: AsyncSession, identity: Identity, made: Plan, event: LifeEvent) -> list[StartedCase]:
    """The cases that were begun from a plan: their idempotency keys tell. One for several procedures is each one's."""
    keys = [case_key(made.plan_id, step.procedure) for step in event.steps]
    rows = await session.execute(
        select(case_file)
        .where(
            case_file.c.municipality == identity.municipality,
            case_file.c.guest_ref == identity.ref,
            or_(case_file.c.idempotency_key.in_(keys), case_file.c.plan_id == made.plan_id),
        )
        .order_by(case_file.c.created_at, case_file.c.case_id)
        .limit(CASES_MAX)
    )
    return [
        StartedCase(case_id=row.case_id, procedure=procedure, channel=row.channel, state=row.state)
        for row in rows
        for procedure in (row.procedure, *(row.together if row.channel == "counter" else ()))
    ]


def together_key(plan_id: UUID, procedures: Sequence[str]) -> UUID:
    """The idempotency key of the one case that a plan begins for these procedures together."""
    return uuid5(plan_id, "together " + " ".join(procedures))


def case_key(plan_id: UUID, procedure: str) -> UUID:
    """The idempotency key of the one case that a plan begins for a procedure."""
    return uuid5(plan_id, procedure)


def _plan(row: Any) -> Plan:
    return Plan(plan_id=row.plan_id, event=row.event, procedures=tuple(row.procedures))


def _life_event(row: Any) -> LifeEvent:
    return LifeEvent(
        code=row.code,
        name=msgspec.convert(row.name, Words),
        intro=msgspec.convert(row.intro, Words),
        questions=msgspec.convert(row.questions, tuple[Question, ...]),
        steps=msgspec.convert(row.steps, tuple[Step, ...]),
    )
