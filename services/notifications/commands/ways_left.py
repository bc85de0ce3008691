"""By which ways of their person notices can still go."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import jpholiday
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.ways import list_failed, list_ways
from services.notifications.domain.by_post import is_in_time_by_letter, may_take
from services.notifications.domain.notices import CONTACT_CODE
from services.notifications.domain.ways import Way, ways_left


class WaysLeft(NamedTuple):
    """By notice, its ways in the person's order; and of which of them a letter would be too late."""

    ways: dict[UUID, list[Way]]
    late: set[UUID]


async def list_ways_left(
    session: AsyncSession, municipality: str, rows: Sequence[Row[Any]], *, now: datetime
) -> WaysLeft:
    """The ways of each notice to a contact that we know. An account has one, and is not among them."""
    left = WaysLeft({}, set())
    residents = [row for row in rows if row.account_ref is None and row.contact_reach not in (None, "none")]
    if not residents:
        return left
    of_contacts = await list_ways(session, municipality, {row.contact_ref for row in residents})
    retried = [row.notice_id for row in residents if row.tries or row.reach is not None]
    failed = await list_failed(session, municipality, retried) if retried else {}
    for row in residents:
        # Of an erased contact nothing is left, which is no reason to call anybody.
        if row.contact_ref not in of_contacts:
            continue
        possible = _left(row, of_contacts[row.contact_ref], failed.get(row.notice_id, ()))
        has_letter = any(way.kind == "letter" for way in possible)
        in_time = has_letter and is_letter_in_time(row, now=now)
        left.ways[row.notice_id] = [way for way in possible if may_take(way, row.kind, letter_in_time=in_time)]
        if has_letter and not in_time:
            left.late.add(row.notice_id)
    return left


def is_letter_in_time(row: Row[Any], *, at_hand: bool = False, now: datetime) -> bool:
    """Whether a letter with this notice (`notice_rows.py: select_notices`) would arrive while it is of use."""
    return is_in_time_by_letter(
        row.kind,
        starts_at=row.starts_at,
        until=row.offer_until,
        now=now,
        is_holiday=jpholiday.is_holiday,
        at_hand=at_hand,
    )


def _left(row: Row[Any], ways: Sequence[Way], failed: Collection[int]) -> list[Way]:
    if row.only_way is None:
        return ways_left(ways, failed)
    only = [way for way in ways if way.way_no == row.only_way and way.way_no not in failed]
    # What proves a way goes there, though nobody has proved it.
    return only if row.kind == CONTACT_CODE else ways_left(only, failed)
