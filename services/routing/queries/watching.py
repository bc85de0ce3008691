"""For the privacy officer: who of the staff looked at whom, by references, and what was looked into before."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import and_, case, false, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.watching import Look
from services.routing.tables import account, reuse, watch_check

# A month of a town with 100,000 people, and a limit for what reads everybody.
LOOKS_MAX = 50_000
CHECKS_MAX = 200
LOOKING = ("staff_viewed", "helper_assisted")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that an officer has looked into."""

    finding_id: UUID
    rule: str
    actor_ref: str
    looks: int
    last_at: datetime
    checked_at: datetime
    checked_by: str


_CHECK = tuple(watch_check.c[name] for name in Check.__struct_fields__)
_PROCEDURE = func.coalesce(reuse.c.target_procedure, reuse.c.source_procedure)


async def list_looks(session: AsyncSession, municipality: str, *, since: datetime) -> list[Look]:
    """Every look of staff and helpers since then, those that residents are not told of (again) among them."""
    is_line = and_(reuse.c.target_service == "booking", reuse.c.target_step == "line")
    rows = await session.execute(
        select(
            reuse.c.occurred_at,
            reuse.c.actor_ref,
            reuse.c.actor_kind,
            reuse.c.subject_ref,
            reuse.c.office,
            _PROCEDURE.label("procedure"),
            case((is_line, True), else_=false()).label("is_line"),
        )
        .where(
            reuse.c.municipality == municipality,
            reuse.c.occurred_at >= since,
            reuse.c.entry_type.in_(LOOKING),
            reuse.c.actor_ref.is_not(None),
        )
        .order_by(reuse.c.occurred_at.desc())
        .limit(LOOKS_MAX)
    )
    return [Look(**row._mapping) for row in rows]


async def list_checks(session: AsyncSession, municipality: str, *, since: datetime) -> list[Check]:
    """What was checked of the looks since then, the newest first."""
    rows = await session.execute(
        select(*_CHECK)
        .where(watch_check.c.municipality == municipality, watch_check.c.last_at >= since)
        .order_by(watch_check.c.checked_at.desc())
        .limit(CHECKS_MAX)
    )
    return [Check(**row._mapping) for row in rows]


async def list_logins(session: AsyncSession, municipality: str, actor_refs: Sequence[str]) -> dict[str, str]:
    """What these members of staff and helpers sign in as."""
    wanted = [UUID(ref) for ref in set(actor_refs) if _is_account(ref)]
    rows = await session.execute(
        select(account.c.account_id, account.c.login)
        .where(account.c.municipality == municipality, account.c.account_id.in_(wanted))
        .limit(len(wanted))
    )
    return {row.account_id.hex: row.login for row in rows}


def _is_account(ref: str) -> bool:
    try:
        UUID(ref)
    except ValueError:
        return False
    return True
