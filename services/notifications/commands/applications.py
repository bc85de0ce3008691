"""Following routing's online applications: the one notice that each new state asks for."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.handed_in import HandedIn, keep_access, take_over, tell
from services.notifications.domain.notices import APPLICATION_NOTICES
from services.notifications.keys import Keys
from shared.events.routing import ApplicationProgressed


async def follow_application(session: AsyncSession, keys: Keys, event: ApplicationProgressed, *, now: datetime) -> None:
    """Take over the newest state and tell it. What comes too late changes nothing but the access it alone carries.

    Raises:
        Poison: the sealed access cannot be opened.
    """
    application = HandedIn(
        municipality=event.municipality,
        application_id=event.application_id,
        version=event.aggregate_version,
        number=event.number,
        subject_ref=event.subject_ref,
        contact_ref=event.contact_ref,
        case_id=event.case_id,
        procedure=event.procedure,
        office=event.office,
        state=event.state,
    )
    is_newest = await take_over(session, application, now=now)
    await keep_access(session, keys, application, event.sealed, publisher="routing", purpose="application", now=now)
    if is_newest and event.contact_ref is not None:
        # A state may be reached again, after a correction: each version is told once.
        kind = APPLICATION_NOTICES[event.state]
        await tell(session, application, kind, occasion=str(event.aggregate_version), now=now)
