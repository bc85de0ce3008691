"""Who entered a class is erased: what lies ahead is given back, and what is past was nobody's."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_seats import look_again
from shared.reference_number import make_number

# The class before its entries, as everybody does who changes a seat.
_LOCK = """
    SELECT c.course_id FROM course c
    WHERE c.municipality = :municipality
      AND c.course_id IN (SELECT course_id FROM course_entry WHERE municipality = :municipality AND {whose})
    ORDER BY c.course_id FOR NO KEY UPDATE
"""
_ENTRIES = """
    SELECT e.entry_id, e.course_id, e.name_sealed, e.kana_sealed,
           e.state NOT IN ('withdrawn', 'called_off') AND coalesce(c.begins_at > :now, true) AS is_ahead,
           coalesce(c.over_at <= :now, false) AS is_over
    FROM course_entry e, LATERAL (
        SELECT min(s.starts_at) AS begins_at, max(s.ends_at) AS over_at FROM course_session s
        WHERE (s.municipality, s.course_id) = (e.municipality, e.course_id)) AS c
    WHERE e.municipality = :municipality AND {whose} ORDER BY e.entry_id FOR UPDATE OF e
"""
_GIVE_BACK = text("""
    UPDATE course_seat SET entry_id = NULL WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")
# The number is on the person's paper: with another, nobody gets from there to what is told of nobody.
_FORGET = text("""
    UPDATE course_entry
    SET subject_ref = NULL, case_id = NULL, contact_ref = NULL, guest_ref = NULL, name_sealed = NULL,
        kana_sealed = NULL, link_hash = NULL, code_hash = NULL, number = :number, version = version + 1,
        state = CASE WHEN CAST(:is_ahead AS boolean) THEN 'withdrawn' ELSE state END, changed_at = :now
    WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")


async def lock_classes_of(session: AsyncSession, whose: str, names: Mapping[str, Any]) -> None:
    """Whoever enters these classes, or gives a seat back, waits until the erasure is done."""
    await session.execute(text(_LOCK.format(whose=whose)), names)


async def forget_class_entries(
    session: AsyncSession, whose: str, names: Mapping[str, Any], *, only_over: bool = False, now: datetime
) -> Sequence[Any]:
    """Nothing leads from these entries to a person any more; the rows as they were. Seats ahead are for who is next."""
    rows = (await session.execute(text(_ENTRIES.format(whose=whose)), {**names, "now": now})).all()
    found = [row for row in rows if row.is_over or not only_over]
    for row in found:
        mine = {"municipality": names["municipality"], "entry_id": row.entry_id, "now": now}
        if row.is_ahead:
            await session.execute(_GIVE_BACK, mine)
            await look_again(session, names["municipality"], row.course_id, now=now)
        await session.execute(_FORGET, mine | {"is_ahead": row.is_ahead, "number": make_number(secrets.choice)})
    return found
