"""A class is called off: everybody who entered is told, and those who would have taught are free then."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_draws import CLASS_DRAW
from services.booking.commands.class_rows import lock_class
from services.booking.commands.class_telling import tell_entries
from services.booking.commands.class_times import CLASS_OVER, bring_venues_of
from services.booking.commands.help_returns import SETTLE_SEAT, match_at
from services.booking.commands.telling_helpers import Told, tell_helper
from services.booking.keys import Keys
from shared.audit import record_deed
from shared.errors import Refusal
from shared.messaging.due import Due, schedule_all, unschedule
from shared.messaging.outbox import work_in_bulk
from shared.tokens import Identity

REASON_MAX_LENGTH = 100

# Nobody shall ever read what the seed was of a draw that did not come to be.
_CALL_OFF = text("""
    UPDATE course
    SET state = 'called_off', reason_ja = :reason_ja, called_off_at = :now, changed_at = :now,
        wrapped_key = CASE WHEN drawn_at IS NULL THEN NULL ELSE wrapped_key END
    WHERE (municipality, course_id) = (:municipality, :course_id)
""")
_SEATS = text("UPDATE course_seat SET entry_id = NULL WHERE (municipality, course_id) = (:municipality, :course_id)")
_ENTRIES = text("""
    UPDATE course_entry
    SET state = 'called_off', version = version + 1, changed_at = :now, name_sealed = NULL, kana_sealed = NULL
    WHERE (municipality, course_id) = (:municipality, :course_id) AND state NOT IN ('withdrawn', 'called_off')
    RETURNING *
""")
# Sessions that have been held stay as they were.
_STAFF = text("""
    DELETE FROM course_staff t USING course_session s
    WHERE (s.municipality, s.course_id) = (:municipality, :course_id) AND s.ends_at > :now
      AND (t.municipality, t.session_id) = (s.municipality, s.session_id)
    RETURNING t.helper_ref, t.session_id, t.starts_at, t.ends_at
""")


async def call_off_class(
    session: AsyncSession, actor: Identity, course_id: UUID, reason_ja: str, keys: Keys, *, now: datetime
) -> None:
    """It does not take place. Whoever is just entering is waited for, and told, too. Ordered again, nothing happens.

    Raises:
        Refusal: `class_unknown` (404), `class_off` (409, it is over).
    """
    course = await lock_class(session, actor.municipality, course_id, now=now)
    if course.state == "called_off":
        return
    if course.state == "over":
        raise Refusal("class_off", 409)
    mine = {"municipality": actor.municipality, "course_id": course_id, "now": now}
    await session.execute(_CALL_OFF, mine | {"reason_ja": reason_ja})
    await session.execute(_SEATS, mine)
    entries = (await session.execute(_ENTRIES, mine)).all()
    staff = (await session.execute(_STAFF, mine)).all()
    for kind in (CLASS_DRAW, CLASS_OVER):
        await unschedule(session, "booking", municipality=actor.municipality, kind=kind, ref=str(course_id))
    # Whose request for help it met, or would have, is looked for again.
    asked = [Due(SETTLE_SEAT, str(each.request_id), now) for each in entries if each.request_id is not None]
    await schedule_all(session, "booking", actor.municipality, asked)
    await match_at(session, actor.municipality, now)
    await record_deed(session, actor, "class-call-off", course_id, now=now)
    for row in staff if course.state != "draft" else []:
        told = Told(venue=course.venue, starts_at=row.starts_at, ends_at=row.ends_at, about=row.session_id)
        await tell_helper(session, actor.municipality, row.helper_ref, "cancelled", told, now=now)
    helpers = sorted({row.helper_ref for row in staff})
    await bring_venues_of(session, actor.municipality, helpers, now=now)
    # Nobody waits for the rest: there may be many.
    work_in_bulk(session)
    await tell_entries(session, actor.municipality, course, entries, keys, now=now)
