"""When a class is, in which room, and who teaches; and everybody is told when that changes."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_rows import lock_changeable, lock_class
from services.booking.commands.class_telling import tell_entries
from services.booking.commands.draws import REST_MIN
from services.booking.commands.telling_helpers import Told, tell_helper
from services.booking.commands.venues import bring_venues
from services.booking.domain.classes import (
    AHEAD_MAX,
    ENTRIES_MAX,
    SESSION_MAX,
    SESSIONS_MAX,
    STAFF_MAX,
    Mode,
    StaffRole,
)
from services.booking.keys import Keys
from services.booking.queries.askable import TAKES_REQUESTS
from services.booking.queries.helpers import list_venues_of
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import HelperMatter
from shared.messaging.due import schedule
from shared.messaging.outbox import work_in_bulk
from shared.tokens import Identity

# Kind of `due`, for a class.
CLASS_OVER = "class_over"
ROOM_MAX_LENGTH = 60
MATERIALS_MAX_LENGTH = 500


class SessionOrder(msgspec.Struct, frozen=True, kw_only=True):
    """When a session is, where in the venue, and what is prepared for it."""

    starts_at: datetime
    ends_at: datetime
    room_ja: str
    materials_ja: str


_SESSIONS = text(f"""
    SELECT session_id, starts_at, ends_at, room_ja FROM course_session
    WHERE (municipality, course_id) = (:municipality, :course_id) ORDER BY starts_at LIMIT {SESSIONS_MAX + 1}
""")
_ADD = text("""
    INSERT INTO course_session (municipality, session_id, course_id, starts_at, ends_at, room_ja, materials_ja)
    VALUES (:municipality, :session_id, :course_id, :starts_at, :ends_at, :room_ja, :materials_ja)
""")
_CHANGE = text("""
    UPDATE course_session
    SET starts_at = :starts_at, ends_at = :ends_at, room_ja = :room_ja, materials_ja = :materials_ja
    WHERE (municipality, session_id) = (:municipality, :session_id)
""")
_REMOVE = text("DELETE FROM course_session WHERE (municipality, session_id) = (:municipality, :session_id)")
_TOUCH = text("UPDATE course SET changed_at = :now WHERE (municipality, course_id) = (:municipality, :course_id)")
_STAFF = text(f"""
    SELECT helper_ref FROM course_staff WHERE (municipality, session_id) = (:municipality, :session_id)
    ORDER BY helper_ref LIMIT {STAFF_MAX}
""")
# Whoever suspends them meanwhile is waited for, or waits and takes them out of it (trigger `guard_active_helper`).
_TAKES_PART = text(f"""
    SELECT 1 FROM helper h
    WHERE (h.municipality, h.helper_ref) = (:municipality, :helper_ref) AND {TAKES_REQUESTS} FOR SHARE
""")
_IS_BUSY = text("""
    SELECT EXISTS (
        SELECT 1 FROM assignment a WHERE a.municipality = :municipality AND a.helper_ref = :helper_ref
          AND a.state IN ('asked', 'accepted') AND a.during && tstzrange(:starts_at, :ends_at))
    OR EXISTS (
        SELECT 1 FROM course_staff s WHERE s.municipality = :municipality AND s.helper_ref = :helper_ref
          AND s.session_id <> :session_id AND tstzrange(s.starts_at, s.ends_at) && tstzrange(:starts_at, :ends_at))
""")
_SET_STAFF = text("""
    INSERT INTO course_staff (municipality, session_id, helper_ref, role, starts_at, ends_at)
    VALUES (:municipality, :session_id, :helper_ref, :role, :starts_at, :ends_at)
    ON CONFLICT (municipality, session_id, helper_ref) DO UPDATE SET role = excluded.role
""")
_COMING_STAFF = text(f"""
    SELECT t.helper_ref, t.session_id, t.starts_at, t.ends_at FROM course_staff t
    JOIN course_session s ON (s.municipality, s.session_id) = (t.municipality, t.session_id)
    WHERE (s.municipality, s.course_id) = (:municipality, :course_id) AND t.starts_at > :now
    ORDER BY t.starts_at, t.helper_ref LIMIT {SESSIONS_MAX * STAFF_MAX}
""")
_DROP_STAFF = text("""
    DELETE FROM course_staff
    WHERE (municipality, session_id, helper_ref) = (:municipality, :session_id, :helper_ref) RETURNING helper_ref
""")
_RISE = text("""
    UPDATE course_entry SET version = version + 1, changed_at = :now
    WHERE (municipality, course_id) = (:municipality, :course_id)
      AND state IN ('entered', 'waiting', 'offered', 'lost') RETURNING *
""")
_OVER = text("""
    UPDATE course SET state = 'over', changed_at = :now
    WHERE (municipality, course_id) = (:municipality, :course_id) AND state IN ('open', 'closed')
""")


def refuse_bad_window(
    mode: Mode, *, closes_at: datetime, begins_at: datetime, opens_at: datetime, now: datetime
) -> None:
    """People enter, then it is drawn, if it is, and they have time to read what they got; then it begins.

    Raises:
        Refusal: `class_window` (422).
    """
    rest = REST_MIN if mode == "draw" else timedelta()
    if begins_at <= now or closes_at <= opens_at or begins_at < closes_at + rest:
        raise Refusal("class_window", 422)


async def set_session(
    session: AsyncSession,
    actor: Identity,
    course_id: UUID,
    session_id: UUID | None,
    order: SessionOrder,
    keys: Keys,
    *,
    now: datetime,
) -> UUID:
    """Another session, or another time or room of one. Who entered, and who teaches, is told.

    Raises:
        Refusal: `class_unknown` (404), `class_off` (409), `class_times`, `class_window` (422), `helper_busy` (409).
    """
    course = await lock_changeable(session, actor.municipality, course_id, now=now)
    mine = {"municipality": actor.municipality, "course_id": course_id, "now": now}
    rows = (await session.execute(_SESSIONS, mine)).all()
    before = next((row for row in rows if row.session_id == session_id), None)
    if session_id is not None and before is None:
        raise Refusal("class_unknown", 404)
    others = [row for row in rows if row.session_id != session_id]
    _refuse_bad_times(order, others, before, now=now)
    if course.state != "draft":
        begins_at = min([order.starts_at, *(row.starts_at for row in others)])
        _refuse_earlier(course, begins_at)
    wanted = session_id or uuid4()
    values = mine | msgspec.structs.asdict(order) | {"session_id": wanted}
    staff = list((await session.execute(_STAFF, values)).scalars())
    for helper_ref in staff:
        await _refuse_busy(session, values, helper_ref)
    await session.execute(_ADD if before is None else _CHANGE, values)
    has_moved = before is None or (before.starts_at, before.ends_at) != (order.starts_at, order.ends_at)
    # What is prepared for it is nobody's business but the coordinators'.
    is_told = has_moved or (before is not None and before.room_ja != order.room_ja)
    if is_told:
        await _tell_each(session, course, wanted, order.starts_at, order.ends_at, staff, "changed", now=now)
    await _settle(session, actor, course, staff if has_moved else [], keys, is_told=is_told, now=now)
    await record_deed(session, actor, "class-session", wanted, now=now)
    return wanted


async def remove_session(
    session: AsyncSession, actor: Identity, course_id: UUID, session_id: UUID, keys: Keys, *, now: datetime
) -> None:
    """Not then. The only session of a class that is published stays: that is calling it off.

    Raises:
        Refusal: `class_unknown` (404), `class_off`, `class_no_sessions` (409), `class_times` (422, it has begun).
    """
    course = await lock_changeable(session, actor.municipality, course_id, now=now)
    mine = {"municipality": actor.municipality, "course_id": course_id, "session_id": session_id, "now": now}
    rows = (await session.execute(_SESSIONS, mine)).all()
    before = next((row for row in rows if row.session_id == session_id), None)
    if before is None:
        return
    if before.starts_at <= now:
        raise Refusal("class_times", 422)
    if len(rows) == 1 and course.state != "draft":
        raise Refusal("class_no_sessions", 409)
    staff = list((await session.execute(_STAFF, mine)).scalars())
    await session.execute(_REMOVE, mine)
    await _tell_each(session, course, session_id, before.starts_at, before.ends_at, staff, "cancelled", now=now)
    await _settle(session, actor, course, staff, keys, now=now)
    await record_deed(session, actor, "class-session-remove", session_id, now=now)


async def set_staff(
    session: AsyncSession,
    actor: Identity,
    course_id: UUID,
    session_id: UUID,
    helper_ref: str,
    role: StaffRole | None,
    *,
    now: datetime,
) -> None:
    """Who teaches, or assists; None: not any more. They are told, of a draft once it is published. Nobody can book them
    then. Who is suspended, not
    trained yet or pausing can only be taken out.

    Raises:
        Refusal: `class_unknown` (404), `class_off` (409), `helper_unknown` (404), `helper_busy`, `class_staff_many`
            (409).
    """
    course = await lock_changeable(session, actor.municipality, course_id, now=now)
    mine = {"municipality": actor.municipality, "course_id": course_id, "session_id": session_id}
    rows = (await session.execute(_SESSIONS, mine)).all()
    found = next((row for row in rows if row.session_id == session_id), None)
    if found is None:
        raise Refusal("class_unknown", 404)
    values = mine | {"helper_ref": helper_ref, "role": role, "starts_at": found.starts_at, "ends_at": found.ends_at}
    if not helper_ref.isprintable():
        raise Refusal("helper_unknown", 404)
    if role is None:
        if (await session.execute(_DROP_STAFF, values)).one_or_none() is None:
            return
        who = [helper_ref]
    else:
        if (await session.execute(_TAKES_PART, values)).one_or_none() is None:
            raise Refusal("helper_unknown", 404)
        await _refuse_busy(session, values, helper_ref)
        staff = set((await session.execute(_STAFF, values)).scalars())
        if len(staff | {helper_ref}) > STAFF_MAX:
            raise Refusal("class_staff_many", 409)
        await session.execute(_SET_STAFF, values)
        # Who teaches instead of assisting comes as before.
        who = [helper_ref] if helper_ref not in staff else []
    matter: HelperMatter = "placed" if role else "cancelled"
    await _tell_each(session, course, session_id, found.starts_at, found.ends_at, who, matter, now=now)
    await record_deed(session, actor, f"class-staff-{role or 'remove'}", session_id, now=now)
    await bring_venues_of(session, actor.municipality, [helper_ref], now=now)


async def tell_all(session: AsyncSession, municipality: str, course_id: UUID, keys: Keys, *, now: datetime) -> None:
    """Everybody who has a seat, or may get one, is told how it is now. Who applied to a draw is told its result."""
    course = await lock_class(session, municipality, course_id, now=now)
    rows = (await session.execute(_RISE, {"municipality": municipality, "course_id": course_id, "now": now})).all()
    if len(rows) > 1:
        work_in_bulk(session)
    await tell_entries(session, municipality, course, rows[: 2 * ENTRIES_MAX], keys, is_changed=True, now=now)


async def tell_staff(
    session: AsyncSession, municipality: str, course_id: UUID, venue: str, matter: HelperMatter, *, now: datetime
) -> None:
    """Whoever teaches or assists from now on is told, of each session, once: that they do, or that it is elsewhere."""
    mine = {"municipality": municipality, "course_id": course_id, "now": now}
    for row in (await session.execute(_COMING_STAFF, mine)).all():
        told = Told(venue=venue, starts_at=row.starts_at, ends_at=row.ends_at, about=row.session_id)
        await tell_helper(session, municipality, row.helper_ref, matter, told, now=now)


async def bring_venues_of(session: AsyncSession, municipality: str, helpers: list[str], *, now: datetime) -> None:
    """Helpers are somewhere else, or not any more: the places of their venues follow."""
    venues = {venue for ref in helpers for venue in await list_venues_of(session, municipality, ref)}
    if venues:
        await bring_venues(session, municipality, venues, now=now)


async def on_class_over_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `class_over`: the last session has ended."""
    mine = {"municipality": municipality, "course_id": UUID(ref), "now": now}
    course = await lock_class(session, municipality, UUID(ref), now=now)
    if course.over_at is not None and course.over_at <= now:
        await session.execute(_OVER, mine)


async def _tell_each(
    session: AsyncSession,
    course: Any,
    session_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    helpers: list[str],
    matter: HelperMatter,
    *,
    now: datetime,
) -> None:
    """These helpers are told of a session; of a draft, nobody. A later word overtakes what waits for the morning."""
    if course.state == "draft":
        return
    told = Told(venue=course.venue, starts_at=starts_at, ends_at=ends_at, about=session_id)
    for helper_ref in helpers:
        await tell_helper(session, course.municipality, helper_ref, matter, told, now=now)


async def _settle(
    session: AsyncSession,
    actor: Identity,
    course: Any,
    staff: list[str],
    keys: Keys,
    *,
    is_told: bool = True,
    now: datetime,
) -> None:
    """What follows from other times."""
    mine = {"municipality": actor.municipality, "course_id": course.course_id, "now": now}
    await session.execute(_TOUCH, mine)
    await bring_venues_of(session, actor.municipality, staff, now=now)
    if course.state == "draft":
        return
    changed = await lock_class(session, actor.municipality, course.course_id, now=now)
    ref = str(course.course_id)
    await schedule(
        session, "booking", municipality=actor.municipality, kind=CLASS_OVER, ref=ref, due_at=changed.over_at
    )
    if is_told:
        await tell_all(session, actor.municipality, course.course_id, keys, now=now)


def _refuse_bad_times(order: SessionOrder, others: list[Any], before: Any, *, now: datetime) -> None:
    is_past = order.starts_at <= now or (before is not None and before.starts_at <= now)
    is_odd = not timedelta() < order.ends_at - order.starts_at <= SESSION_MAX or order.starts_at > now + AHEAD_MAX
    overlaps = any(row.starts_at < order.ends_at and order.starts_at < row.ends_at for row in others)
    if is_past or is_odd or overlaps or len(others) >= SESSIONS_MAX:
        raise Refusal("class_times", 422)


def _refuse_earlier(course: Any, begins_at: datetime) -> None:
    """What is published: nobody enters after it has begun, and whoever wins has time to read it."""
    rest = REST_MIN if course.mode == "draw" else timedelta()
    if begins_at < course.closes_at + rest and begins_at < course.begins_at:
        raise Refusal("class_window", 422)


async def _refuse_busy(session: AsyncSession, values: dict[str, Any], helper_ref: str) -> None:
    if (await session.execute(_IS_BUSY, values | {"helper_ref": helper_ref})).scalar_one():
        raise Refusal("helper_busy", 409)
