"""What can be asked of letters and calls. No address, and nothing of what is written, is in any answer but the order's,
from which the words of a call are made."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.notice_rows import order_of, select_notices
from services.notifications.keys import Keys
from services.notifications.orders import Order
from services.notifications.tables import SERVICE, letter, staff_task
from shared.town_texts import SOURCE_LANGUAGE, read_town_texts

BATCHES_MAX = 30

_BATCHES = text(f"""
    SELECT b.batch_id, b.made_at, b.printed, b.posted_at, b.letters, b.taken_out, b.came_back, b.is_forgotten,
           ARRAY(SELECT position FROM generate_series(1, b.size) AS position
                 EXCEPT SELECT k.position FROM {SERVICE}.letter k
                 WHERE (k.municipality, k.batch_id) = (b.municipality, b.batch_id) ORDER BY 1) AS missing
    FROM (
        SELECT b.batch_id, b.made_at, b.printed, b.posted_at,
               count(l.letter_id) FILTER (WHERE l.taken_out_at IS NULL) AS letters,
               count(l.letter_id) FILTER (WHERE l.taken_out_at IS NOT NULL) AS taken_out,
               count(l.letter_id) FILTER (WHERE l.came_back_at IS NOT NULL) AS came_back,
               count(l.wrapped_key) = 0 AS is_forgotten, b.municipality, b.size
        FROM {SERVICE}.letter_batch b LEFT JOIN {SERVICE}.letter l USING (municipality, batch_id)
        WHERE b.municipality = :municipality AND (CAST(:batch_id AS uuid) IS NULL OR b.batch_id = :batch_id)
        GROUP BY b.municipality, b.batch_id) b
    ORDER BY b.made_at DESC, b.batch_id LIMIT {BATCHES_MAX}
""")
_LETTERS = text(f"""
    SELECT l.letter_id, l.position, l.taken_out_at, l.came_back_at, coalesce(a.number, p.number, '') AS number
    FROM {SERVICE}.letter l JOIN {SERVICE}.notice n USING (municipality, notice_id)
    LEFT JOIN {SERVICE}.appointment a USING (municipality, appointment_id)
    LEFT JOIN {SERVICE}.application p USING (municipality, application_id)
    WHERE l.municipality = :municipality AND l.batch_id = :batch_id ORDER BY l.position
""")


class Waiting(msgspec.Struct, frozen=True):
    """How many letters are to be printed, and since when the first of them waits."""

    count: int
    oldest: datetime | None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Letters that are printed and posted together. `is_forgotten`: there is nothing left to print; `missing`: the
    places in the pile of those whose people were erased."""

    batch_id: UUID
    made_at: datetime
    printed: int
    posted_at: datetime | None
    letters: int
    taken_out: int
    came_back: int
    is_forgotten: bool
    missing: list[int]


class BatchLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: its place in the pile, and the number of what it is about."""

    letter_id: UUID
    position: int
    number: str
    taken_out_at: datetime | None
    came_back_at: datetime | None


async def count_waiting(session: AsyncSession, municipality: str) -> Waiting:
    """Letters that are in no batch yet."""
    query = select(func.count(), func.min(letter.c.queued_at)).where(
        letter.c.municipality == municipality, letter.c.batch_id.is_(None), letter.c.taken_out_at.is_(None)
    )
    return Waiting(*(await session.execute(query)).one())


async def list_batches(session: AsyncSession, municipality: str) -> list[Batch]:
    """The newest first, at most `BATCHES_MAX`."""
    rows = await session.execute(_BATCHES, {"municipality": municipality, "batch_id": None})
    return [Batch(**row._mapping) for row in rows]


async def find_batch(session: AsyncSession, municipality: str, batch_id: UUID) -> Batch | None:
    """One batch."""
    row = (await session.execute(_BATCHES, {"municipality": municipality, "batch_id": batch_id})).one_or_none()
    return Batch(**row._mapping) if row else None


async def list_letters(session: AsyncSession, municipality: str, batch_id: UUID) -> list[BatchLetter]:
    """The letters of a batch, in the order of the pile."""
    rows = await session.execute(_LETTERS, {"municipality": municipality, "batch_id": batch_id})
    return [BatchLetter(**row._mapping) for row in rows]


async def read_call(session: AsyncSession, keys: Keys, municipality: str, task_id: UUID) -> Order | None:
    """What is to be told on the telephone to the person of a task; None while the town's words are not here."""
    task = select(staff_task.c.notice_id).where(
        staff_task.c.municipality == municipality, staff_task.c.task_id == task_id
    )
    notice_id = (await session.execute(task)).scalar_one()
    row = (await session.execute(select_notices(municipality, [notice_id], locked=False))).one()
    if row.town_name is None:
        return None
    # Whom nobody has asked for a language is spoken to in the town's.
    language = row.language or SOURCE_LANGUAGE
    order = order_of(row, keys, municipality, 0, False, None, "")
    texts = await read_town_texts(session, municipality) if language != SOURCE_LANGUAGE else {}
    return msgspec.structs.replace(order, language=language, reach="call", texts=texts, link_token=None, code=None)
