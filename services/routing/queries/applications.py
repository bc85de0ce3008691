"""What can be asked of applications: one's own, and one by number. No values are in any answer."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import State
from services.routing.tables import application, application_step
from shared.tokens import Identity

MINE_MAX = 50
STEPS_MAX = 100


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list."""

    application_id: UUID
    number: str
    procedure: str
    office: str
    state: str
    submitted_at: datetime
    changed_at: datetime
    subject_ref: UUID
    case_id: UUID


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A state that an application reached."""

    version: int
    state: State
    occurred_at: datetime
    actor_kind: str
    office: str | None
    reason_version: int | None


_LISTED = tuple(application.c[name] for name in Listed.__struct_fields__)
_STEP = tuple(application_step.c[name] for name in Step.__struct_fields__)


async def find_application(session: AsyncSession, municipality: str, number: str) -> Row[Any] | None:
    """An application by its number."""
    query = select(application).where(application.c.municipality == municipality, application.c.number == number)
    return (await session.execute(query)).one_or_none()


async def find_number_of(session: AsyncSession, municipality: str, case_id: UUID) -> str | None:
    """The number of a case's application, if one was sent."""
    query = select(application.c.number).where(
        application.c.municipality == municipality, application.c.case_id == case_id
    )
    number: str | None = (await session.execute(query)).scalar_one_or_none()
    return number


async def list_steps(session: AsyncSession, municipality: str, application_id: UUID) -> list[Step]:
    """The states that an application has reached, the newest first."""
    rows = await session.execute(
        select(*_STEP)
        .where(application_step.c.municipality == municipality, application_step.c.application_id == application_id)
        .order_by(application_step.c.version.desc())
        .limit(STEPS_MAX)
    )
    return [Step(**row._mapping) for row in rows]


async def list_my_applications(session: AsyncSession, identity: Identity) -> list[Listed]:
    """What a visitor has sent, the newest first."""
    rows = await session.execute(
        select(*_LISTED)
        .where(application.c.municipality == identity.municipality, application.c.guest_ref == identity.ref)
        .order_by(application.c.submitted_at.desc())
        .limit(MINE_MAX)
    )
    return [Listed(**row._mapping) for row in rows]
