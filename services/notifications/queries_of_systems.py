"""What can be asked about other systems: who they are, what they asked for, and what became of it. No address."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.systems import SYSTEMS_MAX, Outcome, RecipientKind, outcome_of, reason_of
from services.notifications.newest_notice import newest_notice
from services.notifications.tables import SERVICE
from shared.db import Prepared
from shared.errors import Refusal

KEYS_SHOWN = 10
PAGE_MAX = 100
WAYS_MAX = 100


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Another system of the town, and what it may ask for."""

    municipality: str
    system_id: UUID
    name_ja: str
    recipients: tuple[RecipientKind, ...]
    kinds: tuple[str, ...]
    per_minute: int
    per_day: int
    sms_parts_per_day: int
    state: Literal["active", "paused"]
    registered_at: datetime


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """One of its keys, by what it is known."""

    key_id: str
    made_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class DayUse(msgspec.Struct, frozen=True):
    """How much a system has asked for today."""

    notices: int = 0
    sms_parts: int = 0


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One way that a notice took: when, what its provider said (`accepted`, `temporary`, `permanent`, `unknown`; null:
    nothing yet), and what is known of its arrival."""

    way: Literal["email", "sms", "line", "letter", "call"]
    at: datetime
    outcome: str | None
    delivery: str | None


class NoticeView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a notice. `reason` says why nothing was sent, or nothing arrived."""

    id: UUID
    reference: str | None
    kind: str
    state: Outcome
    reason: str | None
    accepted_at: datetime
    useful_until: datetime
    settled_at: datetime | None
    ways: tuple[Tried, ...] = ()


class NoticePage(msgspec.Struct, frozen=True):
    """Notices in the order in which they were accepted; `next` is for `since`, null at the end for now."""

    notices: list[NoticeView]
    next: str | None


_SYSTEM = f"SELECT * FROM {SERVICE}.api_system WHERE municipality = :municipality"
_LIST = text(f"{_SYSTEM} ORDER BY registered_at, system_id LIMIT {SYSTEMS_MAX}")
_ONE = text(f"{_SYSTEM} AND system_id = :system_id")
_KEYS = text(f"""
    SELECT key_id, made_at, last_used_at, revoked_at FROM {SERVICE}.api_key
    WHERE (municipality, system_id) = (:municipality, :system_id)
    ORDER BY revoked_at IS NOT NULL, made_at DESC LIMIT {KEYS_SHOWN}
""")
_BY_KEY = Prepared(f"""
    SELECT s.*, k.secret_hash, k.last_used_at FROM {SERVICE}.api_key k
    JOIN {SERVICE}.api_system s USING (municipality, system_id)
    WHERE (k.municipality, k.key_id) = (:municipality, :key_id) AND k.revoked_at IS NULL
""")
_USE = Prepared(f"""
    SELECT span, notices, sms_parts FROM {SERVICE}.api_use
    WHERE (municipality, system_id) = (:municipality, :system_id)
      AND (span, starts_at) IN (('minute', :minute), ('day', :day))
""")
_NOTICES = f"""
    SELECT a.told_id, a.seq, a.reference, a.accepted_at, n.notice_id, n.kind, n.state, n.delivery, n.reason,
           n.useful_until, n.settled_at
    FROM {SERVICE}.api_notice a CROSS JOIN {newest_notice("a")} AS n
    WHERE (a.municipality, a.system_id) = (:municipality, :system_id)
"""
_NOTICE = Prepared(f"{_NOTICES} AND a.told_id = :told_id")
_PAGE = Prepared(f"{_NOTICES} AND a.seq > :since ORDER BY a.seq LIMIT :most")
_TRIED = Prepared(f"""
    SELECT t.notice_id, coalesce(w.kind, d.reach, n.reach) AS way, t.started_at AS at, t.outcome, t.delivery
    FROM {SERVICE}.attempt t
    JOIN {SERVICE}.notice n USING (municipality, notice_id)
    JOIN {SERVICE}.told d USING (municipality, told_id)
    LEFT JOIN {SERVICE}.contact_way w
        ON (w.municipality, w.contact_ref, w.way_no) = (n.municipality, n.contact_ref, t.way_no)
    WHERE t.municipality = :municipality AND t.notice_id = ANY (CAST(:notices AS uuid[]))
    ORDER BY t.notice_id, t.attempt_no LIMIT :most
""")


async def list_systems(session: AsyncSession, municipality: str) -> list[System]:
    """All of a town's."""
    rows = (await session.execute(_LIST, {"municipality": municipality})).all()
    return [msgspec.convert(row, System, from_attributes=True) for row in rows]


async def get_system(session: AsyncSession, municipality: str, system_id: UUID) -> System:
    """One.

    Raises:
        Refusal: `system_unknown` (404).
    """
    row = (await session.execute(_ONE, {"municipality": municipality, "system_id": system_id})).one_or_none()
    if row is None:
        raise Refusal("system_unknown", 404)
    return msgspec.convert(row, System, from_attributes=True)


async def list_keys(session: AsyncSession, municipality: str, system_id: UUID) -> list[KeyView]:
    """Its keys, those that open first."""
    rows = (await session.execute(_KEYS, {"municipality": municipality, "system_id": system_id})).all()
    return [msgspec.convert(row, KeyView, from_attributes=True) for row in rows]


async def find_by_key(session: AsyncSession, municipality: str, key_id: str) -> Any:
    """The system of a key that opens, with the hash of its secret; None: there is none."""
    return await _BY_KEY.row(session, {"municipality": municipality, "key_id": key_id})


async def read_use(
    session: AsyncSession, municipality: str, system_id: UUID, *, minute: datetime, day: datetime
) -> dict[str, DayUse]:
    """How much it has asked for in this minute, and on this day."""
    asked = {"municipality": municipality, "system_id": system_id, "minute": minute, "day": day}
    return {row.span: DayUse(row.notices, row.sms_parts) for row in await _USE.rows(session, asked)}


async def get_notice(session: AsyncSession, system: System, told_id: UUID) -> NoticeView:
    """One that this system asked for.

    Raises:
        Refusal: `notice_unknown` (404).
    """
    mine = {"municipality": system.municipality, "system_id": system.system_id, "told_id": told_id}
    row = await _NOTICE.row(session, mine)
    if row is None:
        raise Refusal("notice_unknown", 404)
    [view] = await _views(session, system, [row])
    return view


async def list_notices(session: AsyncSession, system: System, *, since: int, most: int) -> NoticePage:
    """What it asked for after a place in the order, the earliest first."""
    asked = {"municipality": system.municipality, "system_id": system.system_id, "since": since, "most": most}
    rows = await _PAGE.rows(session, asked)
    return NoticePage(await _views(session, system, rows), str(rows[-1].seq) if len(rows) == most else None)


async def _views(session: AsyncSession, system: System, rows: Sequence[Any]) -> list[NoticeView]:
    notices = [row.notice_id for row in rows]
    asked = {"municipality": system.municipality, "notices": notices, "most": WAYS_MAX * max(1, len(rows))}
    tried: dict[UUID, list[Tried]] = {}
    for each in await _TRIED.rows(session, asked) if rows else ():
        way = Tried(way=each.way, at=each.at, outcome=each.outcome, delivery=each.delivery)
        tried.setdefault(each.notice_id, []).append(way)
    return [_view(row, tuple(tried.get(row.notice_id, ()))) for row in rows]


def _view(row: Any, ways: tuple[Tried, ...]) -> NoticeView:
    state = outcome_of(row.state, row.delivery)
    return NoticeView(
        id=row.told_id,
        reference=row.reference,
        kind=row.kind,
        state=state,
        reason=reason_of(state, row.reason),
        accepted_at=row.accepted_at,
        useful_until=row.useful_until,
        settled_at=row.settled_at,
        ways=ways,
    )
