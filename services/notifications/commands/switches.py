"""Somebody else chose for the person by which channel their case goes on: they are told, where they can be reached."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.handed_in import HandedIn, take_over, tell
from services.notifications.domain.notices import CASE_SWITCHED
from shared.events.routing import CaseSwitched


async def follow_switch(session: AsyncSession, event: CaseSwitched, *, now: datetime) -> None:
    """Tell the person what was done for them; what they did themselves they know."""
    if event.by_others is None or event.contact_ref is None or event.subject_ref is None:
        return
    case = HandedIn(
        municipality=event.municipality,
        application_id=event.case_id,
        version=event.aggregate_version,
        # A case has no number of its own: its page is found by whoever began it.
        number="",
        subject_ref=event.subject_ref,
        contact_ref=event.contact_ref,
        case_id=event.case_id,
        procedure=event.procedure,
        office=event.office,
        state=event.channel,
    )
    if await take_over(session, case, now=now):
        await tell(session, case, CASE_SWITCHED, occasion=str(event.aggregate_version), now=now)
