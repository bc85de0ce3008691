"""Figures of notices (お知らせの数): by day and by way, what became of them, and how soon staff reached the others."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.notices import SEND, SEND_BULK
from services.notifications.domain.staff_tasks import BY_ITSELF_SQL
from services.notifications.tables import SERVICE
from shared.clock import JST
from shared.db import Prepared

DAYS_MAX = 92
# Of each day, each way and a notice that has none yet.
LINES_MAX = DAYS_MAX * 8
# Whom staff have reached: not what was over before they did, nor what went on by another way.
_REACHED = f"t.done_at IS NOT NULL AND t.done_by NOT IN ({BY_ITSELF_SQL})"
# A notice counts on the day on which it was made, and a task on the day on which it was opened, by its notice's way.
# The task of somebody who chose a call has its way; whom nobody reaches has none.
SELECT_FIGURES = f"""
    WITH made AS (
        SELECT CAST(created_at AT TIME ZONE 'Asia/Tokyo' AS date) AS day, coalesce(reach, '') AS way,
               count(*) AS made,
               count(*) FILTER (WHERE state = 'sent') AS sent,
               count(*) FILTER (WHERE delivery = 'delivered') AS delivered,
               count(*) FILTER (WHERE delivery = 'not_delivered') AS not_delivered,
               count(*) FILTER (WHERE state = 'unknown') AS unknown,
               count(*) FILTER (WHERE state IN ('failed', 'undeliverable')) AS undeliverable,
               count(*) FILTER (WHERE again_of IS NOT NULL) AS again
        FROM {SERVICE}.notice
        WHERE municipality = :municipality AND created_at >= :first AND created_at < :last
        GROUP BY 1, 2),
    asked AS (
        SELECT CAST(t.opened_at AT TIME ZONE 'Asia/Tokyo' AS date) AS day, coalesce(n.reach, '') AS way,
               count(*) FILTER (WHERE t.way_no IS NULL) AS opened,
               count(*) FILTER (WHERE t.way_no IS NOT NULL) AS calls,
               count(*) FILTER (WHERE {_REACHED}) AS done,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.done_at - t.opened_at))
                   FILTER (WHERE {_REACHED}) AS done_p50_s
        FROM {SERVICE}.staff_task t JOIN {SERVICE}.notice n USING (municipality, notice_id)
        WHERE t.municipality = :municipality AND t.opened_at >= :first AND t.opened_at < :last
        GROUP BY 1, 2)
    SELECT day, way, coalesce(made, 0) AS made, coalesce(sent, 0) AS sent, coalesce(delivered, 0) AS delivered,
           coalesce(not_delivered, 0) AS not_delivered, coalesce(unknown, 0) AS unknown,
           coalesce(undeliverable, 0) AS undeliverable, coalesce(again, 0) AS again, coalesce(opened, 0) AS opened,
           coalesce(calls, 0) AS calls, coalesce(done, 0) AS done, done_p50_s
    FROM made FULL JOIN asked USING (day, way) ORDER BY day, way LIMIT {LINES_MAX}
"""
_FIGURES = Prepared(SELECT_FIGURES)
# Half of those that were done at all, of the whole span.
_DONE_P50 = Prepared(f"""
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.done_at - t.opened_at)) AS done_p50_s
    FROM {SERVICE}.staff_task t
    WHERE t.municipality = :municipality AND t.opened_at >= :first AND t.opened_at < :last AND {_REACHED}
""")
# The rows of both lanes are this town's, though the table is of all.
_WAITING = Prepared(f"""
    SELECT kind, count(*) FILTER (WHERE due_at <= :now) AS now, count(*) FILTER (WHERE due_at > :now) AS later,
           min(due_at) FILTER (WHERE due_at <= :now) AS oldest
    FROM {SERVICE}.due WHERE municipality = :municipality AND kind IN ('{SEND}', '{SEND_BULK}') GROUP BY kind
""")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the notices that were made on a day by a way, and of the tasks that were opened."""

    day: date
    # Empty where no way is known yet.
    way: str
    made: int = 0
    sent: int = 0
    delivered: int = 0
    not_delivered: int = 0
    unknown: int = 0
    undeliverable: int = 0
    again: int = 0
    opened: int = 0
    calls: int = 0
    done: int = 0
    done_p50_s: float | None = None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in a lane: now, and for a later time; and since when the oldest does."""

    now: int = 0
    later: int = 0
    oldest: datetime | None = None


async def list_figures(session: AsyncSession, municipality: str, first: date, last: date) -> Sequence[Figures]:
    """Of these days, both included, each way of each day."""
    return [
        Figures(**{name: row[name] for name in Figures.__struct_fields__})
        for row in await _FIGURES.rows(session, _span(municipality, first, last))
    ]


async def read_done_p50_s(session: AsyncSession, municipality: str, first: date, last: date) -> float | None:
    """In how many seconds half of the people of these days were reached by staff; None: nobody was."""
    row = await _DONE_P50.row(session, _span(municipality, first, last))
    return None if row.done_p50_s is None else float(row.done_p50_s)


async def read_lanes(session: AsyncSession, municipality: str, *, now: datetime) -> dict[str, Lane]:
    """What waits to be sent, by lane: what somebody waits for, and what goes beside it."""
    found = {
        row.kind: Lane(now=row.now, later=row.later, oldest=row.oldest)
        for row in await _WAITING.rows(session, {"municipality": municipality, "now": now})
    }
    return {kind: found.get(kind, Lane()) for kind in (SEND, SEND_BULK)}


def _span(municipality: str, first: date, last: date) -> dict[str, Any]:
    begin, end = (datetime.combine(day, time(), JST) for day in (first, last + timedelta(days=1)))
    return {"municipality": municipality, "first": begin, "last": end}
