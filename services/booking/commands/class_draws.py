"""A class with more who want to come than seats: it is drawn as any draw is, and anybody can draw it again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_rows import lock_class
from services.booking.commands.class_telling import tell_entries
from services.booking.commands.help_returns import match_at, settle_entered_soon
from services.booking.domain.classes import ENTRIES_MAX
from services.booking.domain.draw import Seats, Ticket, allocate, digest_of
from services.booking.keys import Keys, draw_context
from shared.messaging.due import DueHandler
from shared.messaging.outbox import work_in_bulk

# Kind of `due`, for a class.
CLASS_DRAW = "class_draw"

_APPLIED = text(f"""
    SELECT entry_id, lot FROM course_entry
    WHERE (municipality, course_id) = (:municipality, :course_id) AND state = 'applied' ORDER BY lot
    LIMIT {2 * ENTRIES_MAX} FOR UPDATE
""")
_DRAWN = text("""
    UPDATE course SET seed = :seed, entries_digest = :entries_digest, drawn_at = :now, changed_at = :now
    WHERE (municipality, course_id) = (:municipality, :course_id)
""")
_SEATS = text("""
    UPDATE course_seat s SET entry_id = won.entry_id
    FROM unnest(CAST(:entries AS uuid[])) WITH ORDINALITY AS won(entry_id, seat_no)
    WHERE (s.municipality, s.course_id, s.seat_no) = (:municipality, :course_id, won.seat_no)
""")
_RESULT = text("""
    UPDATE course_entry e
    SET state = CASE WHEN drawn.rank <= :seats THEN 'entered' ELSE 'lost' END, rank = drawn.rank,
        version = e.version + 1, changed_at = :now
    FROM unnest(CAST(:entries AS uuid[])) WITH ORDINALITY AS drawn(entry_id, rank)
    WHERE (e.municipality, e.entry_id) = (:municipality, drawn.entry_id) RETURNING e.*
""")


def class_draw_handlers(keys: Keys) -> dict[str, DueHandler]:
    """The draw of a class, when it is due."""

    async def on_class_draw_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await draw_class(session, municipality, UUID(ref), keys, now=now)

    return {CLASS_DRAW: on_class_draw_due}


async def draw_class(session: AsyncSession, municipality: str, course_id: UUID, keys: Keys, *, now: datetime) -> None:
    """Due kind `class_draw`: tell the seed, and give every seat to a lot: all, or nothing. What is drawn stays.

    A class is a draw of one session: `domain/draw.py` decides, `choudo draw replay` checks.
    """
    # Whoever is just entering is waited for, and whoever comes later finds it drawn.
    course = await lock_class(session, municipality, course_id, now=now)
    if course.mode != "draw" or course.drawn_at is not None or course.state not in ("open", "closed"):
        return
    work_in_bulk(session)
    mine = {"municipality": municipality, "course_id": course_id, "now": now}
    by_lot = {row.lot: row.entry_id for row in (await session.execute(_APPLIED, mine)).all()}
    seats = [Seats(str(course_id), course.seats)]
    lots = [Ticket(lot, (str(course_id),)) for lot in by_lot]
    seed = _open_seed(keys, municipality, course)
    entries = [by_lot[each.ticket] for each in allocate(seed, seats, lots)]
    digest = bytes.fromhex(digest_of(seats, lots))
    await session.execute(_DRAWN, mine | {"seed": seed, "entries_digest": digest})
    await session.execute(_SEATS, mine | {"entries": entries[: course.seats]})
    rows = (await session.execute(_RESULT, mine | {"entries": entries, "seats": course.seats})).all()
    await tell_entries(session, municipality, course, rows, keys, now=now)
    await settle_entered_soon(session, municipality, entries[: course.seats], now=now)
    # What nobody wanted may be of use to whoever asked for help.
    await match_at(session, municipality, now)


def _open_seed(keys: Keys, municipality: str, course: Any) -> bytes:
    context = draw_context(municipality, course.course_id)
    return bytes.fromhex(keys.vault.open(course.wrapped_key, context, "seed", course.seed_sealed))
