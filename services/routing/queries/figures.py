"""Once-only in figures, out of what the three ledgers told: items by procedure and channel, a month at a time."""

from datetime import date, datetime, time

from sqlalchemy import ColumnElement, Integer, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.figures import NO_CHANNEL, Figure
from services.routing.domain.handover import EXPIRED, STALE
from services.routing.tables import case_file, reuse
from shared.clock import JST

LINES_MAX = 500
# What people and offices write to each other is no item that a form asks for, and what was confirmed at a counter was
# typed before.
LETTERS = ("inquiry", "office", "feedback", "desk_confirm")


async def list_figures(session: AsyncSession, municipality: str, first: date, after: date) -> list[Figure]:
    """The figures from one day in Japan to the day before another, the procedures with most reuse first.

    An answer that did not come in time is no answer, and not counted as a no. People who were erased are not in it.
    """
    since, until = (datetime.combine(day, time(), JST) for day in (first, after))
    procedure = func.coalesce(reuse.c.target_procedure, "")
    channel = func.coalesce(case_file.c.channel, NO_CHANNEL)
    reused = _items(reuse.c.entry_type == "applied")
    rows = await session.execute(
        select(
            procedure.label("for_procedure"),
            channel.label("by_channel"),
            _items(and_(reuse.c.entry_type == "collected", reuse.c.target_step.not_in(LETTERS))).label("collected"),
            reused.label("reused"),
            _items(and_(reuse.c.entry_type == "declined", reuse.c.outcome != EXPIRED)).label("declined"),
            _items(and_(reuse.c.entry_type == "refused", reuse.c.outcome == STALE)).label("stale"),
        )
        .join(
            case_file,
            and_(case_file.c.municipality == reuse.c.municipality, case_file.c.case_id == reuse.c.case_id),
            isouter=True,
        )
        .where(
            reuse.c.municipality == municipality,
            reuse.c.occurred_at >= since,
            reuse.c.occurred_at < until,
            reuse.c.visibility == "subject",
            reuse.c.entry_type.in_(("collected", "applied", "declined", "refused")),
        )
        .group_by("for_procedure", "by_channel")
        .order_by(reused.desc(), "for_procedure", "by_channel")
        .limit(LINES_MAX)
    )
    figures = [
        Figure(
            procedure=row.for_procedure,
            channel=row.by_channel,
            collected=row.collected,
            reused=row.reused,
            declined=row.declined,
            stale=row.stale,
        )
        for row in rows
    ]
    return [figure for figure in figures if figure.collected or figure.reused or figure.declined or figure.stale]


def _items(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(func.cardinality(reuse.c["items"])).filter(condition), 0).cast(Integer)
