"""What a visitor may read of who used their items: the projection of all three ledgers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import and_, case, func, not_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.tables import ledger, reuse

HISTORY_PAGE = 50
HISTORY_COPY_MAX = 2_000
SERVICES = ("routing", "booking", "notifications")
NO_FAMILY: Mapping[UUID, int] = MappingProxyType({})


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One reuse, as the service that did it told it. Names of items, no values, and no member of staff."""

    entry_id: UUID
    occurred_at: datetime
    service: str
    entry_type: str
    actor_kind: str
    office: str | None
    source_procedure: str | None
    source_step: str | None
    source_collected_at: datetime | None
    target_service: str
    target_procedure: str | None
    target_step: str
    items: tuple[str, ...]
    purpose: str
    legal_basis: str
    outcome: str
    # Whose items: one's own (None), or those of somebody of the family.
    person: int | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of a visitor's history. `pending` entries are written but have not reached this list yet.

    `total` counts what was chosen; the other figures, the period and what can be chosen are of the whole history.
    """

    entries: tuple[HistoryEntry, ...] = ()
    total: int = 0
    spared_items: int = 0
    pending: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    offices: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()
    has_more: bool = False


# What an entry is about, for those who choose by it.
_PROCEDURE: Any = func.coalesce(reuse.c.target_procedure, reuse.c.source_procedure)
_ENTRY = (*(reuse.c[name] for name in HistoryEntry.__struct_fields__ if name != "person"), reuse.c.subject_ref)


async def list_history(
    session: AsyncSession,
    municipality: str,
    subject_ref: UUID,
    *,
    family: Mapping[UUID, int] = NO_FAMILY,
    service: str | None = None,
    office: str | None = None,
    procedure: str | None = None,
    skip: int = 0,
    limit: int = HISTORY_PAGE,
) -> History:
    """Who reused which items of a subject (and of their `family`, by number), newest first; chosen if asked for."""
    subjects = [subject_ref, *family]
    mine = _of(municipality, subjects)
    chosen = and_(
        or_(reuse.c.service == service, reuse.c.target_service == service) if service else true(),
        reuse.c.office == office if office else true(),
        procedure == _PROCEDURE if procedure else true(),
    )
    rows = (
        await session.execute(
            select(*_ENTRY)
            .where(mine, chosen)
            .order_by(reuse.c.occurred_at.desc(), _order_within_a_moment(), reuse.c.entry_id)
            .offset(skip)
            .limit(limit + 1)
        )
    ).all()
    facts = (
        await session.execute(
            select(
                func.count().filter(chosen).label("total"),
                func.coalesce(
                    func.sum(func.cardinality(reuse.c["items"])).filter(reuse.c.entry_type == "applied"), 0
                ).label("spared"),
                func.min(reuse.c.occurred_at).label("first_at"),
                func.max(reuse.c.occurred_at).label("last_at"),
                func.array_agg(reuse.c.office.distinct()).label("offices"),
                func.array_agg(_PROCEDURE.distinct()).label("procedures"),
            ).where(mine)
        )
    ).one()
    return History(
        entries=tuple(read_entry(row, family) for row in rows[:limit]),
        total=facts.total,
        spared_items=facts.spared,
        pending=await _count_pending(session, municipality, subjects),
        first_at=facts.first_at,
        last_at=facts.last_at,
        offices=tuple(sorted(office for office in facts.offices or () if office)),
        procedures=tuple(sorted(code for code in facts.procedures or () if code)),
        has_more=len(rows) > limit,
    )


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, whose it is, and the case that it is about."""

    entry: HistoryEntry
    subject_ref: UUID
    case_id: UUID | None


async def find_entry(
    session: AsyncSession, municipality: str, subjects: Sequence[UUID], entry_id: UUID
) -> Found | None:
    """One entry of somebody's history, if it is one of these subjects'."""
    query = select(*_ENTRY, reuse.c.case_id).where(_of(municipality, subjects), reuse.c.entry_id == entry_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Found(entry=read_entry(row), subject_ref=row.subject_ref, case_id=row.case_id)


def _of(municipality: str, subjects: Sequence[UUID]) -> Any:
    return and_(
        reuse.c.municipality == municipality, reuse.c.subject_ref.in_(subjects), reuse.c.visibility == "subject"
    )


def _order_within_a_moment() -> Any:
    """One transaction's entries have one time: what came last in the person's eyes is shown first."""
    return case((reuse.c.entry_type == "offered", 0), (reuse.c.entry_type == "previewed", 1), else_=2).desc()


async def _count_pending(session: AsyncSession, municipality: str, subjects: Sequence[UUID]) -> int:
    """Entries of our own ledger that have not come round yet. Those of the others we cannot know."""
    written = ledger.tables.entry
    arrived = (
        select(reuse.c.entry_id)
        .where(reuse.c.municipality == written.c.municipality, reuse.c.entry_id == written.c.entry_id)
        .exists()
    )
    query = (
        select(func.count())
        .select_from(written)
        .where(
            written.c.municipality == municipality,
            written.c.subject_ref.in_(subjects),
            written.c.visibility == "subject",
            not_(arrived),
        )
    )
    return int((await session.execute(query)).scalar_one())


def read_entry(row: Any, family: Mapping[UUID, int] = NO_FAMILY) -> HistoryEntry:
    """An entry out of a row of the projection."""
    values = {name: getattr(row, name) for name in HistoryEntry.__struct_fields__ if name != "person"}
    return HistoryEntry(**(values | {"items": tuple(row.items), "person": family.get(row.subject_ref)}))
