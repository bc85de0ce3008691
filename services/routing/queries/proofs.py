"""What is published of the ledgers, day by day, and what a person takes home of their own entries."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.queries.history import NO_FAMILY, HistoryEntry, read_entry
from services.routing.tables import checkpoint, reuse
from shared.ledger.checkpoints import Checkpoint

DAYS_PAGE = 31
CHECKPOINTS_MAX = 100_000
RECEIPT_MAX = 2_000
SERVICES = ("routing", "booking", "notifications")


class ReceiptLine(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a person with its form as the ledger's chain has it."""

    entry: HistoryEntry
    canonical: str | None


async def list_checkpoints(session: AsyncSession, municipality: str) -> list[Checkpoint]:
    """Every checkpoint of a town, the oldest first."""
    rows = await session.execute(
        select(checkpoint)
        .where(checkpoint.c.municipality == municipality)
        .order_by(checkpoint.c.day, checkpoint.c.service)
        .limit(CHECKPOINTS_MAX)
    )
    return [_checkpoint(row) for row in rows]


async def list_days(
    session: AsyncSession, municipality: str, *, before: date | None = None, limit: int = DAYS_PAGE
) -> tuple[list[tuple[date, list[Checkpoint]]], bool]:
    """The newest days with their checkpoints, the newest first, and whether there are older ones."""
    mine = [checkpoint.c.municipality == municipality]
    if before is not None:
        mine.append(checkpoint.c.day < before)
    days = (
        select(checkpoint.c.day)
        .where(*mine)
        .group_by(checkpoint.c.day)
        .order_by(checkpoint.c.day.desc())
        .limit(limit + 1)
    )
    found = list((await session.execute(days)).scalars())
    return await _with_checkpoints(session, municipality, found[:limit]), len(found) > limit


async def list_day(session: AsyncSession, municipality: str, day: date) -> list[Checkpoint]:
    """The checkpoints of one day."""
    found = await _with_checkpoints(session, municipality, [day])
    return found[0][1]


async def list_receipt(
    session: AsyncSession, municipality: str, subject_ref: UUID, *, family: Mapping[UUID, int] = NO_FAMILY
) -> tuple[list[ReceiptLine], bool]:
    """What the ledgers say of a person (and of their `family`, by number) and may show them.

    The oldest first: a paper is read from its beginning. The second is whether there are older ones, which had no room.
    """
    rows = await session.execute(
        select(reuse)
        .where(
            reuse.c.municipality == municipality,
            reuse.c.subject_ref.in_([subject_ref, *family]),
            reuse.c.visibility == "subject",
        )
        .order_by(reuse.c.occurred_at.desc(), reuse.c.entry_id)
        .limit(RECEIPT_MAX + 1)
    )
    lines = [ReceiptLine(entry=read_entry(row, family), canonical=row.canonical) for row in rows]
    return lines[:RECEIPT_MAX][::-1], len(lines) > RECEIPT_MAX


async def find_last_checkpoint(session: AsyncSession, municipality: str) -> datetime | None:
    """When the last checkpoint of any service was made."""
    query = select(func.max(checkpoint.c.made_at)).where(checkpoint.c.municipality == municipality)
    made_at: datetime | None = (await session.execute(query)).scalar_one()
    return made_at


async def _with_checkpoints(
    session: AsyncSession, municipality: str, days: Sequence[date]
) -> list[tuple[date, list[Checkpoint]]]:
    rows = await session.execute(
        select(checkpoint).where(checkpoint.c.municipality == municipality, checkpoint.c.day.in_(days))
    )
    of: dict[date, list[Checkpoint]] = {day: [] for day in days}
    for row in rows:
        of[row.day].append(_checkpoint(row))
    for found in of.values():
        found.sort(key=lambda each: SERVICES.index(each.service))
    return list(of.items())


def _checkpoint(row: object) -> Checkpoint:
    return msgspec.convert(row, Checkpoint, from_attributes=True)
