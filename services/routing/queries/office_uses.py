"""What an office read and used of residents' items: keys of items, and nobody's name."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.tables import case_file, procedure, reuse

USES_PAGE = 50
USING = ("staff_viewed", "helper_assisted", "applied")


class OfficeUse(msgspec.Struct, frozen=True, kw_only=True):
    """What an office read or used: items by key, and nobody's name. `channel` is that of the person's case."""

    occurred_at: datetime
    entry_type: str
    office: str
    procedure: str | None
    items: tuple[str, ...]
    purpose: str
    channel: str | None


_PROCEDURE: Any = func.coalesce(reuse.c.target_procedure, reuse.c.source_procedure)


async def list_office_uses(
    session: AsyncSession,
    municipality: str,
    *,
    office: str | None,
    since: datetime,
    until: datetime,
    procedure_code: str | None = None,
    skip: int = 0,
) -> list[OfficeUse]:
    """What an office (None: every one) read and used in a time, newest first, at most `USES_PAGE` and one more.

    An entry that names no office is that of its procedure's.
    """
    whose = func.coalesce(reuse.c.office, procedure.c.office)
    query = (
        select(
            reuse.c.occurred_at,
            reuse.c.entry_type,
            func.coalesce(whose, "").label("office"),
            _PROCEDURE.label("procedure"),
            reuse.c["items"],
            reuse.c.purpose,
            case_file.c.channel,
        )
        .outerjoin(procedure, and_(procedure.c.municipality == reuse.c.municipality, procedure.c.code == _PROCEDURE))
        .outerjoin(
            case_file,
            and_(case_file.c.municipality == reuse.c.municipality, case_file.c.case_id == reuse.c.case_id),
        )
        .where(
            reuse.c.municipality == municipality,
            reuse.c.occurred_at >= since,
            reuse.c.occurred_at < until,
            reuse.c.visibility == "subject",
            reuse.c.entry_type.in_(USING),
        )
        .order_by(reuse.c.occurred_at.desc(), reuse.c.entry_id)
        .offset(skip)
        .limit(USES_PAGE + 1)
    )
    if office is not None:
        query = query.where(whose == office)
    if procedure_code is not None:
        query = query.where(procedure_code == _PROCEDURE)
    rows = await session.execute(query)
    return [OfficeUse(**(dict(row._mapping) | {"items": tuple(row._mapping["items"])})) for row in rows]
