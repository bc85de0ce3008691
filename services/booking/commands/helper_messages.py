"""What coordinators write to a group of helpers: each is told by the way that they chose, and what was sent is kept."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.telling_helpers import write_to_helper
from services.booking.keys import Keys, helper_message_context
from services.booking.queries.helper_messages import Group, list_group
from shared.audit import record_deed
from shared.errors import Refusal
from shared.events.booking import SealedMessage
from shared.tokens import Identity

SUBJECT_MAX_LENGTH, BODY_MAX_LENGTH = 60, 1_000
# As long as somebody may ask what was said to whom.
KEPT = timedelta(days=180)

_KEEP = text("""
    INSERT INTO helper_message
        (municipality, message_id, sent_by, sent_at, sent_to, people, text_sealed, wrapped_key)
    VALUES (:municipality, :message_id, :sent_by, :now, CAST(:sent_to AS jsonb), :people, :text_sealed, :wrapped_key)
    ON CONFLICT (municipality, message_id) DO NOTHING RETURNING message_id
""")


class SendMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The order to write to a group. `message_id` is the page's: sent twice, it is one message."""

    message_id: UUID
    group: Group
    message: SealedMessage


async def send_message(session: AsyncSession, actor: Identity, order: SendMessage, keys: Keys, *, now: datetime) -> int:
    """Write to everybody of a group; return how many they are.

    Raises:
        Refusal: `message_unfit` (422): no words, or too many; `group_empty` (409).
    """
    message = order.message
    if not (0 < len(message.subject) <= SUBJECT_MAX_LENGTH and 0 < len(message.body) <= BODY_MAX_LENGTH):
        raise Refusal("message_unfit", 422)
    refs = await list_group(session, actor.municipality, order.group)
    if not refs:
        raise Refusal("group_empty", 409)
    context = helper_message_context(actor.municipality, order.message_id)
    wrapped_key = keys.vault.new_key(context)
    kept = {
        "municipality": actor.municipality,
        "message_id": order.message_id,
        "sent_by": actor.ref,
        "sent_to": msgspec.json.encode(order.group).decode(),
        "people": len(refs),
        "text_sealed": keys.vault.seal(wrapped_key, context, "text", msgspec.json.encode(message).decode()),
        "wrapped_key": wrapped_key,
        "now": now,
    }
    if (await session.execute(_KEEP, kept)).one_or_none() is None:
        return len(refs)
    for ref in refs:
        await write_to_helper(session, actor.municipality, ref, message, keys, now=now)
    await record_deed(session, actor, "write-to-helpers", order.message_id, now=now)
    return len(refs)
