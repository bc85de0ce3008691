"""Seats of a class: each is a row, which one entry holds. What is given back is kept a while for who is next."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_rows import lock_class, lock_entry
from services.booking.commands.class_telling import tell_entries
from services.booking.commands.help_returns import match_at
from services.booking.domain.classes import SEATS_MAX, offer_until
from services.booking.keys import Keys
from shared.errors import Refusal
from shared.messaging.due import DueHandler, schedule

# Kinds of `due`: for an entry that is offered a seat; and for a class some seat of which may be free.
CLASS_OFFER, CLASS_SEATS = "class_offer", "class_seats"
LOOK_AGAIN = timedelta(seconds=1)

# Racers skip the seats that others are just taking: none waits for another, and the database gives each seat once.
_TAKE = text("""
    UPDATE course_seat t SET entry_id = :entry_id
    WHERE (t.municipality, t.course_id, t.seat_no) = (
        SELECT f.municipality, f.course_id, f.seat_no FROM course_seat f
        WHERE f.municipality = :municipality AND f.course_id = :course_id AND f.entry_id IS NULL
        ORDER BY f.seat_no LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING t.seat_no
""")
_GIVE_BACK = text("""
    UPDATE course_seat SET entry_id = NULL WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")
# Those who lost the draw in the order drawn, then those who came later in theirs.
_NEXT = text("""
    SELECT entry_id FROM course_entry
    WHERE municipality = :municipality AND course_id = :course_id AND state IN ('waiting', 'lost')
    ORDER BY rank NULLS LAST, entered_at, entry_id LIMIT 1
""")
_SET = text("""
    UPDATE course_entry
    SET state = :state, version = version + 1, changed_at = :now,
        offer_until = coalesce(CAST(:offer_until AS timestamptz), offer_until),
        -- Nobody calls whoever does not come.
        name_sealed = CASE WHEN CAST(:state AS text) = 'withdrawn' THEN NULL ELSE name_sealed END,
        kana_sealed = CASE WHEN CAST(:state AS text) = 'withdrawn' THEN NULL ELSE kana_sealed END
    WHERE (municipality, entry_id) = (:municipality, :entry_id) RETURNING *
""")


async def take_seat(session: AsyncSession, municipality: str, course_id: UUID, entry_id: UUID) -> bool:
    """A free seat is theirs, if there is one."""
    mine = {"municipality": municipality, "course_id": course_id, "entry_id": entry_id}
    return (await session.execute(_TAKE, mine)).one_or_none() is not None


async def set_entry(
    session: AsyncSession,
    municipality: str,
    course: Any,
    entry_id: UUID,
    state: str,
    keys: Keys,
    *,
    until: datetime | None = None,
    now: datetime,
) -> None:
    """An entry is so from now on, and its owner is told."""
    values = {"municipality": municipality, "entry_id": entry_id, "state": state, "offer_until": until, "now": now}
    row = (await session.execute(_SET, values)).one()
    await tell_entries(session, municipality, course, [row], keys, now=now)


async def leave(
    session: AsyncSession, municipality: str, course: Any, entry_id: UUID, keys: Keys, *, now: datetime
) -> None:
    """They do not come: their seat, if they have one, is for the next; whoever asked for help is looked for again. The
    class is locked by the caller."""
    await session.execute(_GIVE_BACK, {"municipality": municipality, "entry_id": entry_id})
    await set_entry(session, municipality, course, entry_id, "withdrawn", keys, now=now)
    await pass_on(session, municipality, course, keys, now=now)
    await match_at(session, municipality, now)


async def pass_on(session: AsyncSession, municipality: str, course: Any, keys: Keys, *, now: datetime) -> None:
    """Each free seat is offered to whoever is next. The class is locked by the caller."""
    if course.state not in ("open", "closed"):
        return
    until = offer_until(course.begins_at, now=now)
    if until is None:
        return
    mine = {"municipality": municipality, "course_id": course.course_id}
    for _ in range(SEATS_MAX):
        entry_id = (await session.execute(_NEXT, mine)).scalar_one_or_none()
        if entry_id is None or not await take_seat(session, municipality, course.course_id, entry_id):
            return
        await set_entry(session, municipality, course, entry_id, "offered", keys, until=until, now=now)
        ref = str(entry_id)
        await schedule(session, "booking", municipality=municipality, kind=CLASS_OFFER, ref=ref, due_at=until)


async def look_again(session: AsyncSession, municipality: str, course_id: UUID, *, now: datetime) -> None:
    """A seat may be free in a moment: whoever was just taking it may not, or somebody was erased."""
    at, ref = now + LOOK_AGAIN, str(course_id)
    await schedule(session, "booking", municipality=municipality, kind=CLASS_SEATS, ref=ref, due_at=at, keep=True)


def seat_handlers(keys: Keys) -> dict[str, DueHandler]:
    """What is done about seats when it is due, and needs our keys."""

    async def on_seats_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        course = await lock_class(session, municipality, UUID(ref), now=now)
        await pass_on(session, municipality, course, keys, now=now)

    async def on_offer_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        try:
            course, entry = await lock_entry(session, municipality, UUID(ref), now=now)
        except Refusal:
            return
        if entry.state == "offered" and entry.offer_until <= now:
            await leave(session, municipality, course, entry.entry_id, keys, now=now)

    return {CLASS_SEATS: on_seats_due, CLASS_OFFER: on_offer_due}
