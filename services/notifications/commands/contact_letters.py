"""A contact that was given, and the letters that wait to go to it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.contacts import record_contact
from services.notifications.commands.letters import lock_waiting_letters, look_again
from services.notifications.keys import Keys
from shared.events.routing import ContactGiven


async def follow_contact(session: AsyncSession, keys: Keys, event: ContactGiven, *, now: datetime) -> None:
    """Keep it; of who takes it back, nothing is printed any more.

    Raises:
        Poison, ContactNotYet: as `record_contact` does.
    """
    is_over = event.reach == "none"
    waiting = await lock_waiting_letters(session, event.municipality, event.contact_ref) if is_over else []
    await record_contact(session, keys, event, now=now)
    await look_again(session, event.municipality, waiting, now=now)
