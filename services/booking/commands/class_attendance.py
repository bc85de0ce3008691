"""The list of who is in a class: opened by name where a name was passed on, and marked when they came."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.calling import open_for_calling
from services.booking.commands.visits import KANA, NAME
from services.booking.domain.classes import SEATS_MAX, Attendance
from services.booking.keys import Keys
from shared.audit import record_deed
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity

STEP_CLASS = "class"


class Attendee(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a seat. Without a name they are called by their number."""

    entry_id: UUID
    number: str
    language: str
    name: str | None
    kana: str | None
    attendance: Attendance | None


_SESSION = text("""
    SELECT s.starts_at FROM course_session s
    WHERE (s.municipality, s.course_id, s.session_id) = (:municipality, :course_id, :session_id)
""")
# As `calling.open_for_calling` reads it.
_ROLL = text(f"""
    SELECT e.municipality, e.entry_id AS appointment_id, e.number, e.language, e.subject_ref, e.case_id, e.procedure,
           e.name_sealed, e.kana_sealed, k.wrapped_key, a.state AS attendance
    FROM course_entry e
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (e.municipality, e.subject_ref)
    LEFT JOIN course_attendance a
        ON (a.municipality, a.session_id, a.entry_id) = (e.municipality, :session_id, e.entry_id)
    WHERE (e.municipality, e.course_id) = (:municipality, :course_id) AND e.state = 'entered'
    ORDER BY e.number LIMIT {SEATS_MAX}
""")
_MARK = text("""
    INSERT INTO course_attendance (municipality, session_id, entry_id, state, marked_at)
    SELECT :municipality, :session_id, e.entry_id, :state, :now FROM course_entry e
    WHERE (e.municipality, e.course_id, e.entry_id) = (:municipality, :course_id, :entry_id) AND e.state = 'entered'
    ON CONFLICT (municipality, session_id, entry_id) DO UPDATE
    SET state = excluded.state, marked_at = excluded.marked_at
    WHERE course_attendance.state <> excluded.state
""")


async def show_roll(
    session: AsyncSession, actor: Identity, course_id: UUID, session_id: UUID, keys: Keys, *, now: datetime
) -> list[Attendee]:
    """Who has a seat. Whoever's name it shows finds one `staff_viewed` a day in their history.

    Raises:
        Refusal: `class_unknown` (404).
    """
    mine = {"municipality": actor.municipality, "course_id": course_id, "session_id": session_id}
    await _find_start(session, mine)
    rows = (await session.execute(_ROLL, mine)).all()
    opened = await open_for_calling(session, actor, jst_day(now), rows, keys, step=STEP_CLASS, now=now)
    return [_attendee(row, names) for row, names in opened]


async def mark_roll(
    session: AsyncSession,
    actor: Identity,
    course_id: UUID,
    session_id: UUID,
    marks: Mapping[UUID, Attendance],
    *,
    now: datetime,
) -> None:
    """Who came, and who did not. Marked again, the last one counts.

    Raises:
        Refusal: `class_unknown` (404), `not_begun` (409).
    """
    mine = {"municipality": actor.municipality, "course_id": course_id, "session_id": session_id, "now": now}
    if now < await _find_start(session, mine):
        raise Refusal("not_begun", 409)
    if marks:
        await session.execute(_MARK, [mine | {"entry_id": entry, "state": state} for entry, state in marks.items()])
        await record_deed(session, actor, "class-attendance", session_id, version=len(marks), now=now)


async def _find_start(session: AsyncSession, mine: dict[str, Any]) -> datetime:
    starts_at: datetime | None = (await session.execute(_SESSION, mine)).scalar_one_or_none()
    if starts_at is None:
        raise Refusal("class_unknown", 404)
    return starts_at


def _attendee(row: Any, names: dict[str, str]) -> Attendee:
    return Attendee(
        entry_id=row.appointment_id,
        number=row.number,
        language=row.language,
        name=names.get(NAME),
        kana=names.get(KANA),
        attendance=row.attendance,
    )
