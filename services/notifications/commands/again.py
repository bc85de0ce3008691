"""Telling again (もう一度送る): staff have something sent once more, as it is now, while it is still of use.

It is a notice of its own, of the same matter and kind. Its occasion is its number (`again:2`), so two taps on one page
make one, whoever taps. What overtakes the first overtakes it too.
"""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.notice_rows import matter_of, newest_of, select_notices
from services.notifications.commands.tasks import may_reach_residents
from services.notifications.commands.ways import list_ways
from services.notifications.domain.again import (
    AGAIN,
    AGAIN_MAX_A_DAY,
    MAY_BE_AGAIN,
    NEVER_AGAIN,
    SENT_AGAIN,
    again_occasion,
    again_until,
)
from services.notifications.domain.notices import Matter, due_kind, is_overtaken
from services.notifications.domain.stops import is_stopped
from services.notifications.domain.ways import Way, ways_left
from services.notifications.tables import SERVICE
from shared.audit import record_deed
from shared.clock import JST, jst_day
from shared.db import Prepared
from shared.errors import Refusal
from shared.messaging.due import schedule, unschedule
from shared.tokens import Identity

# The matter before its notices, as its events lock them.
_MATTER = Prepared(f"""
    SELECT appointment_id, application_id, told_id, account_ref FROM {SERVICE}.notice
    WHERE (municipality, notice_id) = (:municipality, :notice_id)
""")
_LOCK = {
    name: Prepared(f"""
        SELECT 1 FROM {SERVICE}.{name.removesuffix("_id")}
        WHERE (municipality, {name}) = (:municipality, :ref) FOR UPDATE
    """)
    for name in Matter._fields
}
# What else was told of the matter: how often again, and whether one of the kind is on its way.
_BESIDE = {
    name: Prepared(f"""
        SELECT coalesce(max(CAST(substr(occasion, {len(AGAIN) + 1}) AS int)) FILTER (
                   WHERE kind = :kind AND again_of IS NOT NULL), 0) AS number,
               count(*) FILTER (WHERE again_of IS NOT NULL AND created_at >= :midnight) AS today,
               coalesce(bool_or(kind = :kind AND (state IN ('pending', 'sending')
                                OR (state = 'unknown' AND notice_id <> :notice_id))), false) AS is_going
        FROM {SERVICE}.notice WHERE (municipality, {name}) = (:municipality, :ref)
    """)
    for name in Matter._fields
}
_KNOWN = {
    name: Prepared(f"""
        SELECT notice_id FROM {SERVICE}.notice
        WHERE (municipality, {name}) = (:municipality, :ref) AND kind = :kind AND occasion = :occasion
    """)
    for name in Matter._fields
}
_GIVE_UP = Prepared(f"""
    UPDATE {SERVICE}.notice SET state = 'superseded', reason = '{SENT_AGAIN}', settled_at = :now
    WHERE (municipality, notice_id) = (:municipality, :notice_id)
""")
_AS_BEFORE = (
    "kind, appointment_id, application_id, told_id, sequence, appointment_version, contact_ref, account_ref, "
    "keeps_quiet, together, together_until, turn_before, turn_ticket"
)
_ADD = Prepared(f"""
    INSERT INTO {SERVICE}.notice (
        municipality, notice_id, {_AS_BEFORE}, occasion, only_way, state, bulk, created_at, useful_until, again_of)
    SELECT municipality, :added, {_AS_BEFORE}, :occasion, CAST(:only_way AS int), 'pending', false, :now, :useful_until,
           notice_id
    FROM {SERVICE}.notice WHERE (municipality, notice_id) = (:municipality, :notice_id)
""")


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """How a notice can be sent again: the ways that are alive, in the person's order (an account has none of its own
    here), how often it was already, and until when it would be of use."""

    ways: tuple[Way, ...]
    number: int
    until: datetime


async def look_at_again(session: AsyncSession, identity: Identity, notice_id: UUID, *, now: datetime) -> Again:
    """Whether a notice can be sent again at this moment, and how.

    Raises:
        Refusal: `not_found` (404), this town has no such notice; or why not, as `send_again` says.
    """
    row = await _read(session, identity, notice_id)
    return await _check(session, row, now=now)


async def send_again(
    session: AsyncSession, identity: Identity, notice_id: UUID, *, number: int, way_no: int | None, now: datetime
) -> UUID:
    """Send it again, by the person's ways in their order, or by one of them and no other; the new notice's id.

    `number`: how often it had been sent again when somebody looked. A second tap finds what the first one made.

    Raises:
        Refusal: `not_found` (404); `again_never` (409), a code; `again_going` (409), one is on its way; `again_over`
            (409), what it said has changed; `again_called_off` (409), the town stopped it; `again_stopped` (409);
            `again_paper` (409); `again_late` (409), it is of no use any more; `again_often` (409); `again_no_way`
            (409), no way is alive, or not this one.
    """
    row = await _read(session, identity, notice_id, locks=True)
    about = _about(row)
    occasion = again_occasion(number + 1)
    made = await _of_matter(_KNOWN, row).row(session, about | {"occasion": occasion})
    if made is not None:
        return UUID(str(made.notice_id))
    again = await _check(session, row, now=now)
    if way_no is not None and way_no not in {way.way_no for way in again.ways}:
        raise Refusal("again_no_way", 409)
    if row.state == "unknown":
        # Nobody knows whether it arrived, and it is not tried any more: should it have, its receipt still says so.
        # A system that asked for it is told of the new one alone: nothing has stopped.
        await _GIVE_UP.row(session, about | {"now": now})
        due, ref = due_kind(bulk=row.bulk), str(notice_id)
        await unschedule(session, SERVICE, municipality=identity.municipality, kind=due, ref=ref)
    added = uuid4()
    new = {
        "added": added,
        "occasion": again_occasion(again.number + 1),
        "only_way": way_no,
        "useful_until": again.until,
    }
    await _ADD.row(session, about | new | {"now": now})
    due, ref = due_kind(bulk=False), str(added)
    await schedule(session, SERVICE, municipality=identity.municipality, kind=due, ref=ref, due_at=now)
    await record_deed(session, identity, "notice_sent_again", added, now=now)
    return added


async def _read(session: AsyncSession, identity: Identity, notice_id: UUID, *, locks: bool = False) -> Row[Any]:
    town = identity.municipality
    matter = await _MATTER.row(session, {"municipality": town, "notice_id": notice_id})
    if matter is None or (matter.account_ref is None and not may_reach_residents(identity)):
        raise Refusal("not_found", 404)
    if locks:
        await _of_matter(_LOCK, matter).row(session, {"municipality": town, "ref": _ref_of(matter)})
    row = (await session.execute(select_notices(town, [notice_id]))).one_or_none()
    if row is None:
        raise Refusal("not_found", 404)
    return row


async def _check(session: AsyncSession, row: Row[Any], *, now: datetime) -> Again:
    if row.kind in NEVER_AGAIN:
        raise Refusal("again_never", 409)
    midnight = datetime.combine(jst_day(now), time(), JST)
    beside = await _of_matter(_BESIDE, row).row(session, _about(row) | {"midnight": midnight})
    if beside.is_going:
        raise Refusal("again_going", 409)
    newest = newest_of(row)
    if row.state == "superseded" or is_overtaken(row.kind, row.sequence, newest):
        raise Refusal("again_over", 409)
    if row.bulk_state == "stopped":
        raise Refusal("again_called_off", 409)
    if is_stopped(row.kind, tuple(row.stopped or ())):
        raise Refusal("again_stopped", 409)
    if row.state not in MAY_BE_AGAIN or row.contact_reach == "none":
        raise Refusal("again_paper", 409)
    until = again_until(
        row.kind,
        row.useful_until,
        is_told=row.told_id is not None,
        starts_at=newest.starts_at,
        offer_until=newest.offer_until,
        now=now,
    )
    if until is None:
        raise Refusal("again_late", 409)
    if beside.today >= AGAIN_MAX_A_DAY:
        raise Refusal("again_often", 409, most=AGAIN_MAX_A_DAY)
    ways = await _alive(session, row)
    # An account, or an address that is nobody's here, has the one that it has.
    if row.contact_reach is None or (row.contact_ref is not None and row.former_reach is None and not ways):
        raise Refusal("again_no_way", 409)
    return Again(ways=tuple(ways), number=beside.number, until=until)


async def _alive(session: AsyncSession, row: Row[Any]) -> Sequence[Way]:
    if row.contact_ref is None:
        return []
    ways = await list_ways(session, row.municipality, [row.contact_ref])
    return ways_left(ways[row.contact_ref], ())


def _of_matter(statements: dict[str, Prepared], row: Any) -> Prepared:
    """The statement for what the notice is about."""
    return next(statements[name] for name, ref in matter_of(row)._asdict().items() if ref is not None)


def _ref_of(row: Any) -> UUID:
    return next(ref for ref in matter_of(row) if ref is not None)


def _about(row: Row[Any]) -> dict[str, Any]:
    return {"municipality": row.municipality, "notice_id": row.notice_id, "kind": row.kind, "ref": _ref_of(row)}
