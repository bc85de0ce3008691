"""Groups of helpers, and what was written to them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.keys import Keys, helper_message_context
from services.booking.queries.helpers import HELPERS_MAX, Standing
from shared.crypto import SealBroken
from shared.events.booking import SealedMessage
from shared.log import get_logger

log = get_logger(__name__)

SENT_MAX = 100


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Which helpers: those to whom all of it applies. Without a standing: everybody who is not suspended."""

    venue: str = ""
    topic: str = ""
    language: str = ""
    standing: Standing | Literal[""] = ""


class SentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was sent. `message` None: it cannot be read."""

    message_id: UUID
    sent_by: str
    sent_at: datetime
    group: Group
    people: int
    message: SealedMessage | None


_GROUP = text(f"""
    SELECT h.helper_ref FROM helper h
    WHERE h.municipality = :municipality AND h.is_open
      AND CASE WHEN CAST(:standing AS text) = '' THEN h.standing <> 'suspended' ELSE h.standing = :standing END
      AND (CAST(:language AS text) = '' OR :language = ANY (h.languages))
      AND (CAST(:topic AS text) = '' OR :topic = ANY (h.topics))
      AND (CAST(:venue AS text) = '' OR EXISTS (
          SELECT 1 FROM helper_shift f
          WHERE f.municipality = h.municipality AND f.helper_ref = h.helper_ref AND f.venue = :venue))
    ORDER BY h.helper_ref LIMIT {HELPERS_MAX}
""")
_SENT = text(f"""
    SELECT * FROM helper_message WHERE municipality = :municipality ORDER BY sent_at DESC, message_id LIMIT {SENT_MAX}
""")


async def list_group(session: AsyncSession, municipality: str, group: Group) -> list[str]:
    """Who is in a group."""
    rows = await session.execute(_GROUP, {"municipality": municipality} | msgspec.structs.asdict(group))
    return list(rows.scalars())


async def list_sent(session: AsyncSession, municipality: str, keys: Keys) -> list[SentMessage]:
    """What was written to helpers, the newest first."""
    rows = (await session.execute(_SENT, {"municipality": municipality})).all()
    return [
        SentMessage(
            message_id=row.message_id,
            sent_by=row.sent_by,
            sent_at=row.sent_at,
            group=msgspec.convert(row.sent_to, Group),
            people=row.people,
            message=_open(row, keys),
        )
        for row in rows
    ]


def _open(row: Any, keys: Keys) -> SealedMessage | None:
    context = helper_message_context(row.municipality, row.message_id)
    try:
        return msgspec.json.decode(
            keys.vault.open(row.wrapped_key, context, "text", row.text_sealed), type=SealedMessage
        )
    except (SealBroken, msgspec.DecodeError):
        log.error("helper_message_unreadable", message_id=str(row.message_id))
        return None
