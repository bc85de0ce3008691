"""Notes that helpers leave to the next one of the same case (引き継ぎメモ)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.notes import NOTE_MAX_LENGTH, NOTE_WRITTEN_WITHIN, NOTES_KEPT, PHRASES, find_personal
from services.booking.keys import Keys, note_context
from shared.audit import record_deed
from shared.crypto import SealBroken
from shared.errors import Refusal
from shared.log import get_logger
from shared.tokens import Identity

log = get_logger(__name__)

NOTES_MAX = 20

# The appointment's row is kept meanwhile: whoever is erased at this moment leaves no note behind.
_MEETING = text("""
    SELECT s.helper_ref, s.state, a.starts_at, a.appointment_id, a.case_id
    FROM assignment s JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    WHERE (s.municipality, s.assignment_id) = (:municipality, :assignment_id) FOR UPDATE OF a
""")
_WRITE = text("""
    INSERT INTO helper_note AS known
        (municipality, assignment_id, appointment_id, case_id, phrases, text_sealed, wrapped_key, written_at)
    VALUES (:municipality, :assignment_id, :appointment_id, :case_id, :phrases, :text_sealed, :wrapped_key, :now)
    ON CONFLICT (municipality, assignment_id) DO UPDATE
    SET (phrases, text_sealed, wrapped_key, written_at)
      = (excluded.phrases, excluded.text_sealed, excluded.wrapped_key, excluded.written_at)
""")
_TAKE_BACK = text("DELETE FROM helper_note WHERE (municipality, assignment_id) = (:municipality, :assignment_id)")
# Of the meeting itself, and of those of its case before.
_LIST = text(f"""
    SELECT n.assignment_id, n.phrases, n.text_sealed, n.wrapped_key, n.written_at
    FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    JOIN helper_note n ON n.municipality = s.municipality
         AND (n.assignment_id = s.assignment_id OR n.appointment_id = a.appointment_id OR n.case_id = a.case_id)
    WHERE (s.municipality, s.assignment_id) = (:municipality, :assignment_id) AND n.written_at >= :since
    ORDER BY n.written_at DESC LIMIT {NOTES_MAX}
""")
_KNOWN = text("SELECT 1 FROM assignment WHERE (municipality, assignment_id) = (:municipality, :assignment_id)")


class HelperNote(msgspec.Struct, frozen=True, kw_only=True):
    """What was left to the next helper. `words` empty: phrases only, or they cannot be read (any more)."""

    assignment_id: UUID
    phrases: tuple[str, ...]
    words: str
    written_at: datetime


async def write_note(
    session: AsyncSession,
    actor: Identity,
    keys: Keys,
    assignment_id: UUID,
    *,
    phrases: Iterable[str],
    words: str,
    now: datetime,
) -> None:
    """A helper leaves a note of their own meeting, instead of the one before; an empty one takes it back.

    Raises:
        Refusal: `request_unknown` (404), also for somebody else's; `not_begun`, `note_late` (409);
            `note_personal` (422), there is something of a person in the words.
    """
    mine = {"municipality": actor.municipality, "assignment_id": assignment_id}
    row = (await session.execute(_MEETING, mine)).one_or_none()
    if row is None or row.helper_ref != actor.ref or row.state != "accepted":
        raise Refusal("request_unknown", 404)
    if now < row.starts_at:
        raise Refusal("not_begun", 409)
    if now > row.starts_at + NOTE_WRITTEN_WITHIN:
        raise Refusal("note_late", 409)
    words = words.strip()
    if len(words) > NOTE_MAX_LENGTH or find_personal(words) is not None:
        raise Refusal("note_personal", 422)
    chosen = [phrase for phrase in PHRASES if phrase in set(phrases)]
    if not chosen and not words:
        await session.execute(_TAKE_BACK, mine)
    else:
        context = note_context(actor.municipality, assignment_id)
        wrapped_key = keys.vault.new_key(context) if words else None
        written = mine | {
            "appointment_id": row.appointment_id,
            "case_id": row.case_id,
            "phrases": chosen,
            "text_sealed": keys.vault.seal(wrapped_key, context, "note", words) if wrapped_key is not None else None,
            "wrapped_key": wrapped_key,
            "now": now,
        }
        await session.execute(_WRITE, written)
    await record_deed(session, actor, "helper-note", assignment_id, now=now)


async def list_notes(
    session: AsyncSession, municipality: str, keys: Keys, assignment_id: UUID, *, now: datetime
) -> list[HelperNote]:
    """The notes of a meeting's case, the newest first, for whoever comes next. Who may ask, the caller knows."""
    asked = {"municipality": municipality, "assignment_id": assignment_id, "since": now - NOTES_KEPT}
    rows = (await session.execute(_LIST, asked)).all()
    return [
        HelperNote(
            assignment_id=row.assignment_id,
            phrases=tuple(row.phrases),
            words=_open_words(keys, municipality, row),
            written_at=row.written_at,
        )
        for row in rows
    ]


async def list_notes_for_coordinator(
    session: AsyncSession, actor: Identity, keys: Keys, assignment_id: UUID, *, now: datetime
) -> list[HelperNote]:
    """The same for a coordinator, who looks after all of them.

    Raises:
        Refusal: `request_unknown` (404).
    """
    mine = {"municipality": actor.municipality, "assignment_id": assignment_id}
    if (await session.execute(_KNOWN, mine)).one_or_none() is None:
        raise Refusal("request_unknown", 404)
    await record_deed(session, actor, "view_helper_notes", assignment_id, now=now)
    return await list_notes(session, actor.municipality, keys, assignment_id, now=now)


def _open_words(keys: Keys, municipality: str, row: Any) -> str:
    if row.text_sealed is None or row.wrapped_key is None:
        return ""
    context = note_context(municipality, row.assignment_id)
    try:
        return keys.vault.open(row.wrapped_key, context, "note", row.text_sealed)
    except SealBroken:
        log.error("note_unreadable", assignment_id=str(row.assignment_id))
        return ""
