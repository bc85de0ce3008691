"""How an office shares its work on an application: who does it, what was gone through. The person is told of none."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.progress import lock_application, refuse_other_office
from services.routing.domain.applications import CLOSED
from services.routing.queries.office import get_rule, list_colleagues, list_ticked
from services.routing.tables import application, application_check
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity


async def assign_application(
    session: AsyncSession,
    *,
    identity: Identity,
    application_id: UUID,
    before: str | None,
    assignee: str | None,
    now: datetime,
) -> None:
    """Give it to somebody of its office (None: to nobody). `before` is who had it as the page was shown: of two who
    take it at once, one does.

    Raises:
        Refusal: `application_unknown` (404), `other_office` (403), `application_moved` (409), `application_assigned`
            (409), `assignee_unknown` (422).
    """
    row = await _lock_open(session, identity, application_id)
    if row.assignee == assignee:
        return
    if row.assignee != before:
        raise Refusal("application_assigned", 409)
    if assignee not in (None, identity.ref):
        colleagues = await list_colleagues(session, row.municipality, row.office)
        if assignee not in {colleague.ref for colleague in colleagues}:
            raise Refusal("assignee_unknown", 422)
    await session.execute(
        update(application)
        .where(application.c.municipality == row.municipality, application.c.application_id == application_id)
        .values(assignee=assignee)
    )
    did = "unassign" if assignee is None else "take" if assignee == identity.ref else "assign"
    await record_deed(session, identity, f"application_{did}", row.number, now=now)


async def tick_checks(
    session: AsyncSession,
    *,
    identity: Identity,
    application_id: UUID,
    version: int,
    before: Collection[str],
    ticked: Collection[str],
    now: datetime,
) -> None:
    """Tick what was gone through. Only what differs from `before`, as the page was shown, is changed: what a colleague
    ticked meanwhile stays.

    Raises:
        Refusal: `application_unknown` (404), `other_office` (403), `application_moved` (409).
    """
    row = await _lock_open(session, identity, application_id)
    if row.version != version:
        raise Refusal("application_moved", 409)
    rule = await get_rule(session, row.municipality, row.procedure)
    standing = await list_ticked(session, row.municipality, application_id, rule)
    mine = (application_check.c.municipality == row.municipality, application_check.c.application_id == application_id)
    for check in rule.checks:
        if check.code in ticked and check.code not in before and check.code not in standing:
            await session.execute(
                insert(application_check).values(
                    municipality=row.municipality,
                    application_id=application_id,
                    code=check.code,
                    ticked_by=identity.ref,
                    ticked_at=now,
                )
            )
            await record_deed(session, identity, f"application_tick:{check.code}", row.number, now=now)
        elif check.code in before and check.code not in ticked and check.code in standing:
            await session.execute(delete(application_check).where(*mine, application_check.c.code == check.code))
            await record_deed(session, identity, f"application_untick:{check.code}", row.number, now=now)


async def untick_all(session: AsyncSession, municipality: str, application_id: UUID) -> None:
    """What was gone through was of what was sent before."""
    await session.execute(
        delete(application_check).where(
            application_check.c.municipality == municipality, application_check.c.application_id == application_id
        )
    )


async def _lock_open(session: AsyncSession, identity: Identity, application_id: UUID) -> Row[Any]:
    row = await lock_application(session, identity.municipality, application_id)
    refuse_other_office(identity, row.office)
    if row.state in CLOSED:
        raise Refusal("application_moved", 409)
    return row
