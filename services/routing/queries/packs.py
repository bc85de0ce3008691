"""The town packs that were loaded, and what is under way by the newest."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import CLOSED
from services.routing.tables import application, appointment, case_file, pack_version

LISTED_MAX = 100
CODES_MAX = 2_000


class LoadedPack(msgspec.Struct, frozen=True):
    """A pack as it was loaded: its files' texts by name."""

    version: int
    loaded_at: datetime
    files: Mapping[str, str]


class UnderWay(msgspec.Struct, frozen=True):
    """How many cases of each procedure have not ended, and how many appointments are ahead at each counter, by code."""

    cases: Mapping[str, int]
    appointments: Mapping[str, int]


async def find_pack(session: AsyncSession, municipality: str, version: int | None = None) -> LoadedPack | None:
    """One version, or the newest; None when there is none."""
    wanted = select(pack_version).where(pack_version.c.municipality == municipality)
    if version is not None:
        wanted = wanted.where(pack_version.c.version == version)
    row = (await session.execute(wanted.order_by(pack_version.c.version.desc()).limit(1))).one_or_none()
    return LoadedPack(row.version, row.loaded_at, row.files) if row else None


async def is_kept(session: AsyncSession, municipality: str, files: Mapping[str, str]) -> bool:
    """Whether exactly these texts were loaded once."""
    query = select(pack_version.c.version).where(
        pack_version.c.municipality == municipality, pack_version.c.files == dict(files)
    )
    return (await session.execute(query.limit(1))).one_or_none() is not None


async def list_packs(session: AsyncSession, municipality: str) -> list[tuple[int, datetime]]:
    """Versions and when each was loaded, newest first."""
    wanted = select(pack_version.c.version, pack_version.c.loaded_at).where(pack_version.c.municipality == municipality)
    rows = await session.execute(wanted.order_by(pack_version.c.version.desc()).limit(LISTED_MAX))
    return [(row.version, row.loaded_at) for row in rows]


async def count_under_way(session: AsyncSession, municipality: str, *, now: datetime) -> UnderWay:
    """What a change of the pack would meet. A case is under way until what came of it has ended."""
    ended_by_office = select(application.c.case_id).where(
        application.c.municipality == municipality, application.c.state.in_(CLOSED)
    )
    ended_at_counter = select(appointment.c.case_id).where(
        appointment.c.municipality == municipality, appointment.c.case_id.is_not(None), appointment.c.ends_at <= now
    )
    cases = await session.execute(
        select(case_file.c.procedure, func.count().label("number"))
        .where(
            case_file.c.municipality == municipality,
            case_file.c.case_id.not_in(ended_by_office),
            case_file.c.case_id.not_in(ended_at_counter),
        )
        .group_by(case_file.c.procedure)
        .limit(CODES_MAX)
    )
    ahead = await session.execute(
        select(appointment.c.counter, func.count().label("number"))
        .where(
            appointment.c.municipality == municipality,
            appointment.c.starts_at > now,
            appointment.c.state == "booked",
        )
        .group_by(appointment.c.counter)
        .limit(CODES_MAX)
    )
    return UnderWay({row.procedure: row.number for row in cases}, {row.counter: row.number for row in ahead})
