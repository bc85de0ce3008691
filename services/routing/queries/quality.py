"""What was counted, what people said, and what the town made better: for managers all of it, for everybody a part."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import and_, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.quality import finished_months, is_over, months_of
from services.routing.domain.quality_published import Count, Published, publish
from services.routing.tables import case_course, case_file, feedback, improvement, quality_count, quality_fact, voice
from shared.tokens import Identity

COUNTS_MAX = 100_000
FEEDBACK_PAGE = 50
SAID_MAX = 100
DONE_MAX = 50


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """A published opinion, with the town's answer."""

    voice_id: UUID
    month: date
    said: str
    answer: str


class Improvement(msgspec.Struct, frozen=True, kw_only=True):
    """What the town made better."""

    improvement_id: UUID
    month: date
    said: str


class ListedFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the office's list: no text."""

    case_id: UUID
    procedure: str
    office: str
    channel: str
    ease: str
    worked: bool
    has_text: bool
    is_answered: bool
    is_published: bool
    given_at: datetime


async def list_counts(session: AsyncSession, municipality: str, months: Sequence[date]) -> list[Count]:
    """Everything that was counted in these months, added up or not yet."""
    keys = ("month", "procedure", "channel", "kind", "to_channel", "step", "took_min")
    parts = union_all(
        *(
            select(*(table.c[name] for name in (*keys, "people", "amount"))).where(
                table.c.municipality == municipality, table.c.month.in_(months)
            )
            for table in (quality_count, quality_fact)
        )
    ).subquery()
    rows = await session.execute(
        select(
            *(parts.c[name] for name in keys),
            func.sum(parts.c.people).label("people"),
            func.sum(parts.c.amount).label("amount"),
        )
        .group_by(*(parts.c[name] for name in keys))
        .order_by(*(parts.c[name] for name in keys))
        .limit(COUNTS_MAX)
    )
    return [Count(**row._mapping) for row in rows]


async def find_first_month(session: AsyncSession, municipality: str) -> date | None:
    """Since when it is counted."""
    firsts = union_all(
        *(
            select(func.min(table.c.month).label("month")).where(table.c.municipality == municipality)
            for table in (quality_count, quality_fact)
        )
    ).subquery()
    first: date | None = (await session.execute(select(func.min(firsts.c.month)))).scalar_one()
    return first


async def list_published(
    session: AsyncSession, municipality: str, year: int, *, since: date | None, today: date
) -> list[Published]:
    """A 年度 as everybody may see it: its finished months, and once it is over its total, procedures and switches."""
    months = finished_months(year, today, since)
    counts = await list_counts(session, municipality, months) if months else []
    return publish(counts, months, with_total=is_over(year, today))


async def list_voices(session: AsyncSession, municipality: str, year: int) -> list[Voice]:
    """What was published of people's opinions in a 年度, the newest first."""
    rows = await session.execute(
        select(voice.c.voice_id, voice.c.month, voice.c.said, voice.c.answer)
        .where(voice.c.municipality == municipality, voice.c.month.in_(months_of(year)))
        .order_by(voice.c.month.desc(), voice.c.voice_id)
        .limit(SAID_MAX)
    )
    return [Voice(**row._mapping) for row in rows]


async def list_improvements(session: AsyncSession, municipality: str, year: int) -> list[Improvement]:
    """What was made better in a 年度, the newest first."""
    rows = await session.execute(
        select(improvement.c.improvement_id, improvement.c.month, improvement.c.said)
        .where(improvement.c.municipality == municipality, improvement.c.month.in_(months_of(year)))
        .order_by(improvement.c.month.desc(), improvement.c.improvement_id)
        .limit(SAID_MAX)
    )
    return [Improvement(**row._mapping) for row in rows]


async def list_feedback(
    session: AsyncSession, municipality: str, *, office: str | None, only_open: bool, skip: int = 0
) -> list[ListedFeedback]:
    """An office's feedback (None: all), the newest first, at most a page and one more. Open: written, not answered."""
    query = (
        select(
            feedback.c.case_id, feedback.c.procedure, feedback.c.office, feedback.c.channel, feedback.c.ease,
            feedback.c.worked, feedback.c.text_version.is_not(None).label("has_text"),
            feedback.c.answered_at.is_not(None).label("is_answered"),
            feedback.c.voice_id.is_not(None).label("is_published"), feedback.c.given_at,
        )
        .where(feedback.c.municipality == municipality)
        .order_by(feedback.c.given_at.desc(), feedback.c.case_id)
        .offset(skip)
        .limit(FEEDBACK_PAGE + 1)
    )  # fmt: skip
    if office is not None:
        query = query.where(feedback.c.office == office)
    if only_open:
        query = query.where(feedback.c.text_version.is_not(None), feedback.c.answered_at.is_(None))
    return [ListedFeedback(**row._mapping) for row in await session.execute(query)]


async def is_done(session: AsyncSession, municipality: str, case_id: UUID) -> bool:
    """Whether a case has come to its end: then it may be said how it went."""
    query = select(case_course.c.case_id).where(
        case_course.c.municipality == municipality,
        case_course.c.case_id == case_id,
        case_course.c.ended_how == "finished",
    )
    return (await session.execute(query)).one_or_none() is not None


async def list_done(session: AsyncSession, identity: Identity) -> dict[UUID, bool]:
    """The visitor's cases that are done, and whether they have said how it went."""
    rows = await session.execute(
        select(case_file.c.case_id, feedback.c.case_id.is_not(None).label("is_said"))
        .join(
            case_course,
            and_(
                case_course.c.municipality == case_file.c.municipality,
                case_course.c.case_id == case_file.c.case_id,
                case_course.c.ended_how == "finished",
            ),
        )
        .outerjoin(
            feedback,
            and_(feedback.c.municipality == case_file.c.municipality, feedback.c.case_id == case_file.c.case_id),
        )
        .where(case_file.c.municipality == identity.municipality, case_file.c.guest_ref == identity.ref)
        .order_by(case_file.c.created_at.desc())
        .limit(DONE_MAX)
    )
    return {row.case_id: row.is_said for row in rows}
