"""The privacy officer's watch: what is unusual, and that it was looked into. Their own looks are audited too."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.watching import WATCHED, Finding, find_unusual
from services.routing.queries.holidays import list_holidays
from services.routing.queries.watching import LOOKS_MAX, Check, list_checks, list_logins, list_looks
from services.routing.tables import watch_check
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the last `WATCHED`, what was looked into before, and who that is by their reference."""

    open: tuple[Finding, ...]
    checks: tuple[Check, ...]
    logins: dict[str, str]
    is_cut: bool


async def watch(session: AsyncSession, identity: Identity, *, now: datetime) -> Watched:
    """Look for unusual reading. That the officer looked is audited."""
    await record_deed(session, identity, "view_watch", identity.municipality, now=now)
    findings, is_cut = await _find(session, identity.municipality, now)
    checks = await list_checks(session, identity.municipality, since=now - WATCHED)
    checked = {check.finding_id for check in checks}
    refs = [*(finding.actor_ref for finding in findings), *(check.actor_ref for check in checks)]
    logins = await list_logins(session, identity.municipality, [*refs, *(check.checked_by for check in checks)])
    return Watched(
        open=tuple(finding for finding in findings if finding.finding_id not in checked),
        checks=tuple(checks),
        logins=logins,
        is_cut=is_cut,
    )


async def check_finding(session: AsyncSession, identity: Identity, finding_id: UUID, *, now: datetime) -> None:
    """Note that a finding was looked into. It stays written; a second tap changes nothing.

    Raises:
        Refusal: `finding_unknown` (404): it is not there any more, or has grown since.
    """
    findings, _ = await _find(session, identity.municipality, now)
    finding = next((each for each in findings if each.finding_id == finding_id), None)
    if finding is None:
        raise Refusal("finding_unknown", 404)
    written = await session.execute(
        insert(watch_check)
        .values(
            municipality=identity.municipality,
            finding_id=finding_id,
            rule=finding.rule,
            actor_ref=finding.actor_ref,
            looks=finding.looks,
            last_at=finding.last_at,
            checked_at=now,
            checked_by=identity.ref,
        )
        .on_conflict_do_nothing()
        .returning(watch_check.c.finding_id)
    )
    if written.one_or_none() is not None:
        await record_deed(session, identity, "check_watch", finding_id, now=now)


async def _find(session: AsyncSession, municipality: str, now: datetime) -> tuple[list[Finding], bool]:
    since = now - WATCHED
    looks = await list_looks(session, municipality, since=since)
    return find_unusual(looks, list_holidays(jst_day(since), jst_day(now))), len(looks) == LOOKS_MAX
