"""What the town offers, and when its counters are free."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.catalogue import ChannelRules, Counter, Office, Procedure, Town, Travel, Words, is_code
from services.routing.domain.channels import Availability
from services.routing.tables import availability, case_file, catalogue, counter, procedure
from shared.errors import Refusal
from shared.town_pack import FREQUENT_MAX

PROCEDURES_MAX = 5_000
COUNTERS_MAX = 200
FREQUENT_PERIOD = timedelta(days=30)
_FIELDS = Procedure.__struct_fields__


async def get_town(session: AsyncSession, municipality: str) -> Town:
    """The town hall, and what it puts first.

    Raises:
        Refusal: `catalogue_missing` (503): no town pack was loaded yet.
    """
    row = (await session.execute(select(catalogue).where(catalogue.c.municipality == municipality))).one_or_none()
    if row is None:
        raise Refusal("catalogue_missing", 503)
    return Town(
        name_ja=row.town_name_ja,
        phone=row.town_phone,
        address_ja=row.town_address_ja,
        frequent=tuple(row.frequent),
        things=msgspec.convert(row.things, tuple[Words, ...]),
        deadlines=msgspec.convert(row.deadlines, tuple[Words, ...]),
        online_payment=tuple(row.online_payment),
        places_confirmed=row.places_confirmed,
        channels=msgspec.convert(row.channels, ChannelRules),
        offices=msgspec.convert(row.offices, tuple[Office, ...]),
    )


async def list_procedures(session: AsyncSession, municipality: str) -> list[Procedure]:
    """Every procedure that is offered, in the town's order."""
    rows = await session.execute(
        select(procedure)
        .where(procedure.c.municipality == municipality, procedure.c.withdrawn_at.is_(None))
        .order_by(procedure.c.position, procedure.c.code)
        .limit(PROCEDURES_MAX)
    )
    return [_procedure(row) for row in rows]


async def get_procedure(session: AsyncSession, municipality: str, code: str) -> Procedure:
    """One procedure that is offered.

    Raises:
        Refusal: `procedure_unknown` (404).
    """
    if not is_code(code):
        raise Refusal("procedure_unknown", 404)
    row = (
        await session.execute(
            select(procedure).where(
                procedure.c.municipality == municipality,
                procedure.c.code == code,
                procedure.c.withdrawn_at.is_(None),
            )
        )
    ).one_or_none()
    if row is None:
        raise Refusal("procedure_unknown", 404)
    return _procedure(row)


async def procedure_names(session: AsyncSession, municipality: str) -> dict[str, tuple[str, str]]:
    """Name and office of every procedure there ever was, by code."""
    rows = await session.execute(
        select(procedure.c.code, procedure.c.name_ja, procedure.c.office)
        .where(procedure.c.municipality == municipality)
        .limit(PROCEDURES_MAX)
    )
    return {row.code: (row.name_ja, row.office) for row in rows}


async def has_counter(session: AsyncSession, municipality: str, code: str) -> bool:
    """Whether a time at a counter can be booked for a procedure, offered still or not."""
    query = select(procedure.c.counter, procedure.c.counters).where(
        procedure.c.municipality == municipality, procedure.c.code == code
    )
    row = (await session.execute(query)).one_or_none()
    return row is not None and row.counter != "no" and bool(row.counters)


async def list_counters(session: AsyncSession, municipality: str) -> dict[str, Counter]:
    """The town's counters and venues, by code."""
    rows = await session.execute(select(counter).where(counter.c.municipality == municipality).limit(COUNTERS_MAX))
    return {
        row.code: Counter(
            code=row.code,
            number=row.number,
            name_ja=row.name_ja,
            office=row.office,
            place_ja=row.place_ja,
            kind=row.kind,
            payment=tuple(row.payment),
            access=tuple(row.access),
            travel_ja=row.travel_ja,
            travels=msgspec.convert(row.travels, tuple[Travel, ...]),
        )
        for row in rows
    }


async def list_availability(session: AsyncSession, municipality: str, counters: Sequence[str]) -> list[Availability]:
    """What booking last said about these counters."""
    rows = await session.execute(
        select(availability)
        .where(availability.c.municipality == municipality, availability.c.counter.in_(counters))
        .limit(COUNTERS_MAX)
    )
    return [msgspec.convert(row._mapping, Availability) for row in rows]


async def list_frequent_codes(session: AsyncSession, municipality: str, now: datetime) -> list[str]:
    """The codes of what people began most often in the last 30 days, most frequent first."""
    rows = await session.execute(
        select(case_file.c.procedure)
        .where(case_file.c.municipality == municipality, case_file.c.created_at > now - FREQUENT_PERIOD)
        .group_by(case_file.c.procedure)
        .order_by(func.count().desc(), case_file.c.procedure)
        .limit(FREQUENT_MAX)
    )
    return list(rows.scalars())


def _procedure(row: Any) -> Procedure:
    lists = ("words", "items", "bring", "bring_online", "attach", "counters")
    values = {name: getattr(row, name) for name in _FIELDS}
    return Procedure(**(values | {name: tuple(values[name]) for name in lists}))
