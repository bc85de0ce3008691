"""A name that booking was given and may not use any more: declined after all, or not to be called out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.tables import outbox, pass_issued
from shared.events.routing import NameWithdrawn

PASSES_MAX = 100


async def withdraw_passed(session: AsyncSession, case: Row[Any], declined: Sequence[str], *, now: datetime) -> None:
    """Withdraw what of this was in a pass before: what nobody has carried, nobody has to forget."""
    if not declined:
        return
    rows = await session.execute(
        select(pass_issued.c["items"])
        .where(pass_issued.c.municipality == case.municipality, pass_issued.c.case_id == case.case_id)
        .limit(PASSES_MAX)
    )
    carried = {item for items in rows.scalars() for item in items}
    if passed := [item for item in declined if item in carried]:
        await withdraw_names(session, case, passed, now=now)


async def withdraw_names(session: AsyncSession, case: Row[Any], items: Sequence[str], *, now: datetime) -> None:
    """Tell booking to forget these items of a case; the caller gives the case its next version."""
    await outbox.publish(
        session,
        NameWithdrawn(
            event_id=uuid4(),
            municipality=case.municipality,
            aggregate_id=str(case.case_id),
            aggregate_version=case.version + 1,
            occurred_at=now,
            case_id=case.case_id,
            subject_ref=case.subject_ref,
            items=tuple(items),
        ),
    )
