"""Letters (手紙): queued by the sender, put together in batches, printed and posted by staff.

What is written is sealed with the letter's own key until it is printed. Locks are taken as everybody takes them: the
notice before its letter.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.by_hand import not_arrived, read_newest, take_back, take_out, why_not
from services.notifications.commands.subjects import context_of_letter
from services.notifications.commands.ways_left import is_letter_in_time
from services.notifications.domain.by_post import DUE_FORGET_LETTERS, LETTERS_KEPT
from services.notifications.domain.notices import UNSETTLED
from services.notifications.domain.outcomes import LETTER_LATE, LETTER_RETURNED, WAY_GONE
from services.notifications.letters.letter import Letter
from services.notifications.orders import read_key
from services.notifications.tables import SERVICE
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.db import Prepared
from shared.errors import Refusal
from shared.messaging.due import schedule
from shared.tokens import Identity

CONTENT = "content"
# What one printer prints while somebody waits for it, and one pile of envelopes.
BATCH_MAX = 50

# An erased notice has no row any more; one that is just being erased is waited for.
_QUEUE = Prepared(f"""
    WITH known AS (
        SELECT municipality, notice_id FROM {SERVICE}.notice
        WHERE (municipality, notice_id) = (:municipality, :notice_id) FOR KEY SHARE)
    INSERT INTO {SERVICE}.letter (municipality, letter_id, notice_id, way_no, content_sealed, wrapped_key, queued_at)
    SELECT municipality, CAST(:letter_id AS uuid), notice_id, CAST(:way_no AS int), CAST(:sealed AS bytea),
           CAST(:wrapped_key AS bytea), CAST(:now AS timestamptz) FROM known
    ON CONFLICT (municipality, notice_id, way_no) DO NOTHING
""")
_IS_QUEUED = Prepared(f"""
    SELECT 1 FROM {SERVICE}.letter
    WHERE (municipality, letter_id) = (:municipality, :letter_id) AND taken_out_at IS NULL
""")
# Two of the staff at once: each takes what the other has not. What somebody is just sending waits for their answer.
_NEXT = Prepared(f"""
    SELECT l.letter_id, l.notice_id, l.way_no FROM {SERVICE}.letter l
    JOIN {SERVICE}.notice n USING (municipality, notice_id)
    WHERE l.municipality = :municipality AND l.batch_id IS NULL AND l.taken_out_at IS NULL
      AND n.state <> ALL (CAST(:unsettled AS text[]))
    ORDER BY l.queued_at, l.letter_id LIMIT :most FOR UPDATE OF n, l SKIP LOCKED
""")
_MAKE = Prepared(f"""
    INSERT INTO {SERVICE}.letter_batch (municipality, batch_id, made_at, made_by, size)
    VALUES (:municipality, :batch_id, :now, :made_by, :size)
""")
_PUT = Prepared(f"""
    UPDATE {SERVICE}.letter l SET batch_id = :batch_id, position = put.position
    FROM unnest(CAST(:letters AS uuid[])) WITH ORDINALITY AS put(letter_id, position)
    WHERE l.municipality = :municipality AND l.letter_id = put.letter_id
""")
_BATCH = Prepared(f"""
    SELECT * FROM {SERVICE}.letter_batch WHERE (municipality, batch_id) = (:municipality, :batch_id) FOR UPDATE
""")
_IN_BATCH = Prepared(f"""
    SELECT letter_id, notice_id, way_no, content_sealed, wrapped_key FROM {SERVICE}.letter
    WHERE (municipality, batch_id) = (:municipality, :batch_id) AND taken_out_at IS NULL ORDER BY position
""")
_KEPT = Prepared(f"""
    SELECT count(*) AS count FROM {SERVICE}.letter WHERE (municipality, batch_id) = (:municipality, :batch_id)
""")
_PRINTED = Prepared(f"""
    UPDATE {SERVICE}.letter_batch SET printed = printed + 1 WHERE (municipality, batch_id) = (:municipality, :batch_id)
""")
_POSTED = Prepared(f"""
    UPDATE {SERVICE}.letter_batch SET posted_at = :now, posted_by = :posted_by
    WHERE (municipality, batch_id) = (:municipality, :batch_id)
""")
_FIND = Prepared(f"""
    SELECT l.notice_id, l.way_no, l.came_back_at, b.posted_at FROM {SERVICE}.letter l
    JOIN {SERVICE}.letter_batch b USING (municipality, batch_id)
    WHERE (l.municipality, l.batch_id, l.letter_id) = (:municipality, :batch_id, :letter_id)
      AND l.taken_out_at IS NULL
""")
_CAME_BACK = Prepared(f"""
    UPDATE {SERVICE}.letter SET came_back_at = :now
    WHERE (municipality, letter_id) = (:municipality, :letter_id) AND came_back_at IS NULL RETURNING letter_id
""")
# Their notices locked, as everybody locks them: before the contact.
_WAITING_AT = Prepared(f"""
    SELECT l.letter_id, l.notice_id, l.way_no FROM {SERVICE}.letter l
    JOIN {SERVICE}.notice n USING (municipality, notice_id)
    WHERE (n.municipality, n.contact_ref) = (:municipality, :contact_ref)
      AND (CAST(:way_no AS int) IS NULL OR l.way_no = :way_no) AND l.batch_id IS NULL AND l.taken_out_at IS NULL
    ORDER BY n.notice_id FOR UPDATE OF n
""")
_ALIVE = Prepared(f"""
    SELECT contact_ref, way_no FROM {SERVICE}.contact_way
    WHERE municipality = :municipality AND contact_ref = ANY (CAST(:contacts AS uuid[])) AND state <> 'dead'
""")
_FORGET = Prepared(f"""
    UPDATE {SERVICE}.letter SET content_sealed = NULL, wrapped_key = NULL
    WHERE (municipality, batch_id) = (:municipality, :batch_id)
""")


class Printable(msgspec.Struct, frozen=True, kw_only=True):
    """The letters of a batch, in their order, and the day that they are dated."""

    letters: tuple[Letter, ...]
    dated: datetime

    def __repr__(self) -> str:
        # Never what is open in it: a representation ends up in logs.
        return f"Printable({len(self.letters)})"


async def queue_letter(
    session: AsyncSession, vault: SubjectVault, key: str, letter: Letter, *, now: datetime
) -> str | None:
    """Keep a letter for the printer, once for each key of an order; its id. None: its notice was erased, or the letter
    was taken out of the queue."""
    municipality, notice_id, way_no = read_key(key)
    letter_id = uuid5(NAMESPACE_URL, f"letter:{key}")
    context = context_of_letter(municipality, letter_id)
    wrapped = vault.new_key(context)
    ours = {"municipality": municipality, "letter_id": letter_id}
    values = ours | {
        "notice_id": notice_id,
        "way_no": way_no,
        "wrapped_key": wrapped,
        "sealed": vault.seal_bytes(wrapped, context, CONTENT, msgspec.json.encode(letter)),
        "now": now,
    }
    await _QUEUE.row(session, values)
    return str(letter_id) if await _IS_QUEUED.row(session, ours) is not None else None


async def make_batch(session: AsyncSession, identity: Identity, *, most: int = BATCH_MAX, now: datetime) -> UUID | None:
    """Put the letters that wait longest together, at most so many; None: none is to be printed.

    What is not true any more is taken out of the queue. What would be too late by now, or goes where nobody is to be
    reached any more, goes by the next way. What nobody prints is forgotten as what nobody says that they posted.
    """
    town = identity.municipality
    waiting = await _NEXT.rows(session, {"municipality": town, "most": most, "unsettled": UNSETTLED})
    staying = await _still_true(session, town, waiting, now=now)
    if not staying:
        return None
    batch_id = uuid4()
    batch = {"municipality": town, "batch_id": batch_id}
    await _MAKE.row(session, batch | {"now": now, "made_by": identity.ref, "size": len(staying)})
    await _PUT.row(session, batch | {"letters": [row.letter_id for row in staying]})
    await _forget_later(session, town, batch_id, now=now)
    await record_deed(session, identity, "letters_batched", batch_id, now=now)
    return batch_id


async def print_batch(
    session: AsyncSession, vault: SubjectVault, identity: Identity, batch_id: UUID, *, now: datetime
) -> Printable:
    """Open the letters of a batch, to be printed, or printed again; what is not true any more is taken out.

    Raises:
        Refusal: `not_found` (404).
    """
    batch = await _find_batch(session, identity, batch_id)
    ours = {"municipality": identity.municipality, "batch_id": batch_id}
    rows = await _IN_BATCH.rows(session, ours)
    if batch.posted_at is None:
        rows = await _still_true(session, identity.municipality, rows, now=now)
    letters = tuple(_open(vault, identity.municipality, row) for row in rows if row.wrapped_key is not None)
    if letters:
        await _PRINTED.row(session, ours)
        if batch.posted_at is None:
            await _forget_later(session, identity.municipality, batch_id, now=now)
        await record_deed(session, identity, "letters_printed", batch_id, now=now)
    return Printable(letters=letters, dated=batch.made_at)


async def post_batch(session: AsyncSession, identity: Identity, batch_id: UUID, *, missing: int, now: datetime) -> int:
    """They are on their way (発送した). A second tap changes nothing.

    Of what is not true any more since it was printed, nothing is posted: it is taken out, and how many are to be taken
    out of the pile first is the answer; 0: they are posted. Of whom was erased there is no letter any more: `missing`
    is how many such sheets the page named that was pressed on.

    Raises:
        Refusal: `not_found` (404); `letters_unprinted` (409).
    """
    batch = await _find_batch(session, identity, batch_id)
    if batch.posted_at is not None:
        return 0
    if not batch.printed:
        raise Refusal("letters_unprinted", 409)
    ours = {"municipality": identity.municipality, "batch_id": batch_id}
    letters = await _IN_BATCH.rows(session, ours)
    taken_out = len(letters) - len(await _still_true(session, identity.municipality, letters, now=now))
    kept = await _KEPT.row(session, ours)
    taken_out += max(int(batch.size) - int(kept.count) - missing, 0)
    if taken_out:
        return taken_out
    await _POSTED.row(session, ours | {"now": now, "posted_by": identity.ref})
    await _forget_later(session, identity.municipality, batch_id, now=now)
    await record_deed(session, identity, "letters_posted", batch_id, now=now)
    return 0


async def letter_came_back(
    session: AsyncSession, identity: Identity, batch_id: UUID, letter_id: UUID, *, now: datetime
) -> bool:
    """A letter came back (宛先不明): its address is dead, and the next way is taken at once. Whether there is one.

    Raises:
        Refusal: `not_found` (404); `letter_not_posted` (409).
    """
    ours = {"municipality": identity.municipality, "batch_id": batch_id, "letter_id": letter_id}
    letter = await _FIND.row(session, ours)
    if letter is None:
        raise Refusal("not_found", 404)
    if letter.posted_at is None:
        raise Refusal("letter_not_posted", 409)
    # The notice first, as everybody locks them.
    await read_newest(session, identity.municipality, [letter.notice_id])
    if await _CAME_BACK.row(session, ours | {"now": now}) is None:
        return False
    await record_deed(session, identity, "letter_came_back", letter_id, now=now)
    return await not_arrived(session, identity.municipality, letter.notice_id, letter.way_no, LETTER_RETURNED, now=now)


async def lock_waiting_letters(
    session: AsyncSession, municipality: str, contact_ref: UUID, way_no: int | None = None
) -> Sequence[Any]:
    """The letters that wait to go to a contact, or by one way of it, for whoever is about to change that: before they
    lock the contact. Afterwards they let each be looked at again (`look_again`)."""
    asked = {"municipality": municipality, "contact_ref": contact_ref, "way_no": way_no}
    return await _WAITING_AT.rows(session, asked)


async def look_again(session: AsyncSession, municipality: str, letters: Sequence[Any], *, now: datetime) -> None:
    """Take those out of the queue that are not to be printed any more; what they tell goes by the next way."""
    await _still_true(session, municipality, letters, now=now)


async def forget_letters(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: forget what was written in the letters of a batch. What nobody has printed by then has told nobody
    anything: it goes by the next way."""
    ours = {"municipality": municipality, "batch_id": UUID(ref)}
    batch = await _BATCH.row(session, ours)
    if batch is not None and not batch.printed:
        letters = await _IN_BATCH.rows(session, ours)
        for letter in await _still_true(session, municipality, letters, now=now):
            await _go_on(session, municipality, letter, LETTER_LATE, now=now)
    await _FORGET.row(session, ours)


async def _still_true(session: AsyncSession, municipality: str, letters: Sequence[Any], *, now: datetime) -> list[Any]:
    """Of these letters, in their order, those that are to be printed; the others are taken out."""
    found = await read_newest(session, municipality, [letter.notice_id for letter in letters])
    newest = {row.notice_id: row for row in found}
    contacts = {"municipality": municipality, "contacts": [row.contact_ref for row in found if row.contact_ref]}
    alive = {tuple(way) for way in await _ALIVE.rows(session, contacts)} if found else set()
    staying = []
    for letter in letters:
        row = newest.get(letter.notice_id)
        if row is None:
            # Erased between two statements, and the letter with it.
            continue
        reason = why_not(row, now=now)
        if reason is not None:
            await take_back(session, municipality, [letter.notice_id], reason, now=now)
        elif (row.contact_ref, letter.way_no) not in alive:
            await _go_on(session, municipality, letter, WAY_GONE, now=now)
        elif not is_letter_in_time(row, at_hand=True, now=now):
            await _go_on(session, municipality, letter, LETTER_LATE, now=now)
        else:
            staying.append(letter)
    return staying


async def _go_on(session: AsyncSession, municipality: str, letter: Any, code: str, *, now: datetime) -> None:
    """A letter is not printed or posted, for this reason: the next way, or staff."""
    await take_out(session, municipality, [letter.notice_id], now=now)
    await not_arrived(session, municipality, letter.notice_id, letter.way_no, code, now=now)


async def _forget_later(session: AsyncSession, municipality: str, batch_id: UUID, *, now: datetime) -> None:
    """So long after what was done last with a batch."""
    due_at = now + LETTERS_KEPT
    ref = str(batch_id)
    await schedule(session, SERVICE, municipality=municipality, kind=DUE_FORGET_LETTERS, ref=ref, due_at=due_at)


async def _find_batch(session: AsyncSession, identity: Identity, batch_id: UUID) -> Any:
    batch = await _BATCH.row(session, {"municipality": identity.municipality, "batch_id": batch_id})
    if batch is None:
        raise Refusal("not_found", 404)
    return batch


def _open(vault: SubjectVault, municipality: str, row: Any) -> Letter:
    context = context_of_letter(municipality, row.letter_id)
    opened = vault.open_bytes(row.wrapped_key, context, CONTENT, bytes(row.content_sealed))
    return msgspec.json.decode(opened, type=Letter)
