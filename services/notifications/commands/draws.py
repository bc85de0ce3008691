"""Following entries to draws: one notice for each state. Who won has an appointment, told as any other."""

from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.handed_in import HandedIn, take_over, tell
from services.notifications.domain.notices import DRAW_NOTICES
from services.notifications.keys import Keys
from shared.crypto import SealBroken
from shared.errors import Poison
from shared.events.booking import DrawEntryProgressed, SealedTicket


async def follow_entry(session: AsyncSession, keys: Keys, event: DrawEntryProgressed, *, now: datetime) -> None:
    """Take over the newest state, and tell it.

    Raises:
        Poison: the sealed ticket cannot be opened.
    """
    entry = HandedIn(
        municipality=event.municipality,
        application_id=event.entry_id,
        version=event.aggregate_version,
        number=_open_ticket(keys, event),
        subject_ref=event.subject_ref,
        contact_ref=event.contact_ref,
        case_id=event.case_id,
        procedure=event.procedure,
        office=event.office,
        state=event.state,
    )
    kind = DRAW_NOTICES.get(event.state)
    if await take_over(session, entry, now=now) and kind is not None:
        await tell(session, entry, kind, occasion="once", now=now)


def _open_ticket(keys: Keys, event: DrawEntryProgressed) -> str:
    try:
        body = keys.box.open_from("booking", "ticket", event.sealed or "")
        return msgspec.msgpack.decode(body, type=SealedTicket).ticket
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
