"""Telling those who entered a class how it stands with their seat."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.facts import seal_access
from services.booking.keys import Keys
from services.booking.tables import outbox
from shared.crypto import new_link_token, token_hash
from shared.events.booking import ClassEntryProgressed, SealedAccess

# As many as one statement writes well within its time.
BATCH = 500

_LINKS = text("""
    UPDATE course_entry e SET link_hash = made.link_hash
    FROM unnest(CAST(:entries AS uuid[]), CAST(:links AS bytea[])) AS made(entry_id, link_hash)
    WHERE (e.municipality, e.entry_id) = (:municipality, made.entry_id)
""")


async def tell_entries(
    session: AsyncSession,
    municipality: str,
    course: Any,
    entries: Sequence[Any],
    keys: Keys,
    *,
    is_changed: bool = False,
    now: datetime,
) -> None:
    """Publish the state of these entries. Whoever is told for the first time gets their way in, if there is a way to
    reach them.

    `course`: as `class_rows.lock_class` reads it; `entries`: rows as they are now, after the version has risen;
    `is_changed`: it is the class that has changed.
    """
    links = {
        entry.entry_id: new_link_token()
        for entry in entries
        if entry.link_hash is None and entry.contact_ref is not None
    }
    if links:
        hashes = [token_hash(token) for token in links.values()]
        await session.execute(_LINKS, {"municipality": municipality, "entries": list(links), "links": hashes})
    events = [
        msgspec.structs.replace(
            _fact(municipality, course, entry, keys, links.get(entry.entry_id), now=now), is_changed=is_changed
        )
        for entry in entries
    ]
    for first in range(0, len(events), BATCH):
        await outbox.publish(session, *events[first : first + BATCH])


def _fact(
    municipality: str, course: Any, entry: Any, keys: Keys, link: str | None, *, now: datetime
) -> ClassEntryProgressed:
    fact = ClassEntryProgressed(
        event_id=uuid4(),
        municipality=municipality,
        aggregate_id=str(entry.entry_id),
        aggregate_version=entry.version,
        occurred_at=now,
        entry_id=entry.entry_id,
        class_id=course.course_id,
        number=entry.number,
        subject_ref=entry.subject_ref,
        contact_ref=entry.contact_ref,
        title_ja=course.title_ja,
        venue=course.venue,
        starts_at=course.starts_at,
        ends_at=course.ends_at,
        state=entry.state,
        offer_until=entry.offer_until if entry.state == "offered" else None,
        is_asked=entry.request_id is not None,
    )
    if link is None:
        return fact
    access = SealedAccess(link_token=link, code=keys.entry_code(entry.entry_id, bytes(entry.code_hash)))
    return msgspec.structs.replace(fact, sealed=seal_access(keys, access))
