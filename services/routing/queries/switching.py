"""Where a case stands for going on by another channel, and how it went before. No values are in any answer."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.switching import Said, Standing
from services.routing.queries.thread import is_ahead
from services.routing.tables import application, appointment, case_switch

SWITCHES_MAX = 50
APPOINTMENTS_MAX = 20
OVER = ("done", "no_show", "cancelled")


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """How a case went on by another channel, and who said so."""

    from_channel: str
    to_channel: str
    said: Said
    office: str | None
    switched_at: datetime
    # The time at a counter that was free first then, if it was asked for.
    counter: str | None = None
    starts_at: datetime | None = None


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment that a case has ahead, as booking last told it. `is_alone`: nothing else is done in it."""

    number: str
    channel: str
    counter: str
    starts_at: datetime
    is_alone: bool


_SWITCH = tuple(case_switch.c[name] for name in Switch.__struct_fields__)


async def get_standing(session: AsyncSession, case: Row[Any]) -> Standing:
    """How far a case (its row) has come."""
    sent = await session.execute(
        select(application.c.state).where(
            application.c.municipality == case.municipality, application.c.case_id == case.case_id
        )
    )
    rows = (
        await session.execute(
            select(appointment.c.state, appointment.c.helper)
            .where(appointment.c.municipality == case.municipality, appointment.c.case_id == case.case_id)
            .limit(APPOINTMENTS_MAX)
        )
    ).all()
    return Standing(
        channel=case.channel,
        state=case.state,
        application=sent.scalar_one_or_none(),
        at_counter=frozenset(row.state for row in rows if row.helper == "none"),
        is_booked=any(row.state not in OVER for row in rows),
    )


async def list_booked(session: AsyncSession, municipality: str, case_id: UUID, *, now: datetime) -> list[Booked]:
    """What a case has ahead, the next one first."""
    rows = await session.execute(
        select(appointment)
        .where(
            appointment.c.municipality == municipality,
            appointment.c.case_id == case_id,
            is_ahead(now),
        )
        .order_by(appointment.c.starts_at, appointment.c.number)
        .limit(APPOINTMENTS_MAX)
    )
    return [
        Booked(
            number=row.number,
            channel="counter" if row.helper == "none" else "helper",
            counter=row.counter,
            starts_at=row.starts_at,
            is_alone=len(row.services) <= 1,
        )
        for row in rows
    ]


async def list_switches(session: AsyncSession, municipality: str, case_id: UUID) -> list[Switch]:
    """How a case went, the newest first."""
    rows = await session.execute(
        select(*_SWITCH)
        .where(case_switch.c.municipality == municipality, case_switch.c.case_id == case_id)
        .order_by(case_switch.c.version.desc())
        .limit(SWITCHES_MAX)
    )
    return [Switch(**row._mapping) for row in rows]


async def find_last_switch(session: AsyncSession, municipality: str, case_id: UUID) -> Switch | None:
    """The newest of them."""
    return next(iter(await list_switches(session, municipality, case_id)), None)
