"""A class under its lock: whoever does something to it comes after those who are just entering, and they after it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.errors import Refusal

# Those who enter share it, and race for the seats alone; all else is done alone, before any row of the class is locked.
_LOCK = text("SELECT 1 FROM course WHERE (municipality, course_id) = (:municipality, :course_id) FOR NO KEY UPDATE")
_SHARE = text("SELECT 1 FROM course WHERE (municipality, course_id) = (:municipality, :course_id) FOR SHARE")
# A statement of its own: it sees what whoever had the lock has done. `starts_at`: of the session that comes next.
_READ = text("""
    SELECT c.municipality, c.course_id, c.title_ja, c.venue, c.seats, c.mode, c.state, c.closes_at, c.published_at,
           c.drawn_at, c.seed_sealed, c.wrapped_key, s.starts_at, s.ends_at,
           (SELECT min(f.starts_at) FROM course_session f
            WHERE (f.municipality, f.course_id) = (c.municipality, c.course_id)) AS begins_at,
           (SELECT max(f.ends_at) FROM course_session f
            WHERE (f.municipality, f.course_id) = (c.municipality, c.course_id)) AS over_at
    FROM course c
    LEFT JOIN LATERAL (
        SELECT f.starts_at, f.ends_at FROM course_session f
        WHERE (f.municipality, f.course_id) = (c.municipality, c.course_id)
        ORDER BY f.ends_at <= :now, f.starts_at LIMIT 1) AS s ON true
    WHERE (c.municipality, c.course_id) = (:municipality, :course_id)
""")
_OF_ENTRY = text("SELECT course_id FROM course_entry WHERE (municipality, entry_id) = (:municipality, :entry_id)")
_ENTRY = text("SELECT * FROM course_entry WHERE (municipality, entry_id) = (:municipality, :entry_id) FOR UPDATE")


async def lock_class(
    session: AsyncSession, municipality: str, course_id: UUID | None, *, shared: bool = False, now: datetime
) -> Any:
    """The class, locked.

    Raises:
        Refusal: `class_unknown` (404).
    """
    mine = {"municipality": municipality, "course_id": course_id, "now": now}
    if (await session.execute(_SHARE if shared else _LOCK, mine)).one_or_none() is None:
        raise Refusal("class_unknown", 404)
    return (await session.execute(_READ, mine)).one()


async def lock_changeable(session: AsyncSession, municipality: str, course_id: UUID, *, now: datetime) -> Any:
    """The class, locked, if anything of it may still be changed.

    Raises:
        Refusal: `class_unknown` (404), `class_off` (409).
    """
    course = await lock_class(session, municipality, course_id, now=now)
    if course.state in ("called_off", "over"):
        raise Refusal("class_off", 409)
    return course


async def lock_entry(session: AsyncSession, municipality: str, entry_id: UUID, *, now: datetime) -> tuple[Any, Any]:
    """An entry's class and the entry, locked in this order.

    Raises:
        Refusal: `class_unknown` (404).
    """
    mine = {"municipality": municipality, "entry_id": entry_id}
    course_id = (await session.execute(_OF_ENTRY, mine)).scalar_one_or_none()
    course = await lock_class(session, municipality, course_id, now=now)
    return course, (await session.execute(_ENTRY, mine)).one()
