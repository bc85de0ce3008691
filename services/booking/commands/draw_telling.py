"""Telling those who entered a draw what became of it, where that is no appointment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.keys import Keys
from services.booking.tables import outbox
from shared.events.booking import DrawEntryProgressed, DrawEntryState, SealedTicket

# As many as one statement writes well within its time.
BATCH = 500
TICKET_PURPOSE = "ticket"
# A lost entry may still win, and nothing follows that.
VERSIONS: dict[DrawEntryState, int] = {"lost": 1, "called_off": 1, "won": 2}


async def tell_entries(
    session: AsyncSession, municipality: str, draw: Any, entries: Sequence[Any], state: DrawEntryState, keys: Keys, *,
    now: datetime,
) -> None:  # fmt: skip
    """Publish the state of these entries. `draw` has `draw_id`, `procedure` and `office`."""
    events = [
        DrawEntryProgressed(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(entry.entry_id),
            aggregate_version=VERSIONS[state],
            occurred_at=now,
            sealed=keys.box.seal_for("notifications", TICKET_PURPOSE, _sealed(entry.ticket)),
            entry_id=entry.entry_id,
            draw_id=draw.draw_id,
            subject_ref=entry.subject_ref,
            contact_ref=entry.contact_ref,
            case_id=entry.case_id,
            procedure=draw.procedure,
            office=draw.office,
            state=state,
        )
        for entry in entries
        # Whoever was erased meanwhile is told nothing.
        if entry.subject_ref is not None and entry.case_id is not None
    ]
    for first in range(0, len(events), BATCH):
        await outbox.publish(session, *events[first : first + BATCH])


def _sealed(ticket: str) -> bytes:
    return msgspec.msgpack.encode(SealedTicket(ticket=ticket))
