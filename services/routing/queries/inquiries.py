"""What can be asked of inquiries: those of an office, those about a page of somebody's history. No values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.inquiries import TEXTS, WAITING, Kind, State
from services.routing.tables import application, inquiry, inquiry_step

PAGE = 50
STEPS_MAX = 20


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list."""

    number: str
    entry_id: UUID
    kind: str
    office: str
    procedure: str
    state: State
    asked_at: datetime
    due_at: datetime

    def is_overdue(self, now: datetime) -> bool:
        """Whether staff should have answered by now."""
        return self.state in WAITING and self.due_at < now


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A state that an inquiry reached, with what was written, once that was read."""

    version: int
    state: State
    occurred_at: datetime
    actor_kind: str
    office: str | None
    text_version: int | None
    text: str = ""


class Thread(msgspec.Struct, frozen=True):
    """Question and answers, the first one first."""

    steps: tuple[Step, ...]

    @property
    def versions(self) -> dict[str, int]:
        """The item and its version of every text."""
        return {TEXTS[step.state]: step.text_version for step in self.steps if step.text_version is not None}

    def with_texts(self, texts: Mapping[str, str]) -> "Thread":
        """The same with what the items say."""
        return Thread(
            tuple(msgspec.structs.replace(step, text=texts.get(TEXTS.get(step.state, ""), "")) for step in self.steps)
        )


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How many inquiries wait for an answer, and how many of them for too long."""

    count: int
    overdue: int


_LISTED = tuple(inquiry.c[name] for name in Listed.__struct_fields__)
_STEP = tuple(inquiry_step.c[name] for name in Step.__struct_fields__ if name != "text")


async def list_thread(session: AsyncSession, municipality: str, inquiry_id: UUID) -> Thread:
    """What has become of an inquiry so far; its texts are not read."""
    rows = await session.execute(
        select(*_STEP)
        .where(inquiry_step.c.municipality == municipality, inquiry_step.c.inquiry_id == inquiry_id)
        .order_by(inquiry_step.c.version)
        .limit(STEPS_MAX)
    )
    return Thread(tuple(Step(**row._mapping) for row in rows))


async def list_inquiries(
    session: AsyncSession, municipality: str, *, office: str | None, states: Sequence[str], skip: int = 0
) -> list[Listed]:
    """An office's inquiries (None: all), at most `PAGE` and one more: what has to be answered first comes first."""
    query = (
        select(*_LISTED)
        .where(inquiry.c.municipality == municipality, inquiry.c.state.in_(states))
        .order_by(inquiry.c.due_at, inquiry.c.number)
        .offset(skip)
        .limit(PAGE + 1)
    )
    if office is not None:
        query = query.where(inquiry.c.office == office)
    return [Listed(**row._mapping) for row in await session.execute(query)]


async def count_waiting(session: AsyncSession, municipality: str, *, office: str | None, now: datetime) -> Waiting:
    """How much an office (None: all) has to answer."""
    query = select(func.count().label("waiting"), func.count().filter(inquiry.c.due_at < now).label("overdue")).where(
        inquiry.c.municipality == municipality, inquiry.c.state.in_(WAITING)
    )
    if office is not None:
        query = query.where(inquiry.c.office == office)
    row = (await session.execute(query)).one()
    return Waiting(count=row.waiting, overdue=row.overdue)


async def find_number_about(session: AsyncSession, municipality: str, entry_id: UUID, kind: Kind) -> str | None:
    """The number of the inquiry of this kind about an entry, if there is one that is not closed."""
    query = select(inquiry.c.number).where(
        inquiry.c.municipality == municipality,
        inquiry.c.entry_id == entry_id,
        inquiry.c.kind == kind,
        inquiry.c.state != "closed",
    )
    number: str | None = (await session.execute(query)).scalar_one_or_none()
    return number


async def list_own(session: AsyncSession, municipality: str, subjects: Sequence[UUID]) -> list[Listed]:
    """What these people have asked, what is not closed before the rest, the newest first."""
    rows = await session.execute(
        select(*_LISTED)
        .where(inquiry.c.municipality == municipality, inquiry.c.subject_ref.in_(subjects))
        .order_by(inquiry.c.state == "closed", inquiry.c.asked_at.desc())
        .limit(PAGE)
    )
    return [Listed(**row._mapping) for row in rows]


async def find_oldest_unanswered(session: AsyncSession, municipality: str) -> datetime | None:
    """Since when the one that waits longest waits for an answer."""
    query = select(func.min(inquiry.c.changed_at)).where(
        inquiry.c.municipality == municipality, inquiry.c.state.in_(WAITING)
    )
    oldest: datetime | None = (await session.execute(query)).scalar_one()
    return oldest


async def find_application_of(session: AsyncSession, municipality: str, case_id: UUID) -> tuple[UUID, str] | None:
    """The application that came out of a case, and its number."""
    row = (
        await session.execute(
            select(application.c.application_id, application.c.number).where(
                application.c.municipality == municipality, application.c.case_id == case_id
            )
        )
    ).one_or_none()
    return None if row is None else (row.application_id, row.number)


async def is_waiting_for_answer(session: AsyncSession, municipality: str, subject_ref: UUID) -> bool:
    """Whether a person has asked something that no office has answered yet."""
    query = select(inquiry.c.inquiry_id).where(
        inquiry.c.municipality == municipality, inquiry.c.subject_ref == subject_ref, inquiry.c.state.in_(WAITING)
    )
    return (await session.execute(query.limit(1))).one_or_none() is not None
