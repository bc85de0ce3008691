"""Following requests for a helper: that one is looked for, and that none was found. Who is met has an appointment."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.handed_in import HandedIn, keep_access, take_over, tell
from services.notifications.domain.notices import HELP_NOTICES
from services.notifications.keys import Keys
from shared.events.booking import HelpRequestProgressed


async def follow_help_request(
    session: AsyncSession, keys: Keys, event: HelpRequestProgressed, *, now: datetime
) -> None:
    """Take over the newest state, and tell it.

    Raises:
        Poison: the sealed access cannot be opened.
    """
    request = HandedIn(
        municipality=event.municipality,
        application_id=event.request_id,
        version=event.aggregate_version,
        number=event.number,
        subject_ref=event.subject_ref,
        contact_ref=event.contact_ref,
        case_id=event.case_id,
        procedure=event.procedure,
        state=event.state,
        until=event.until,
        classes=event.classes,
    )
    kind = HELP_NOTICES.get(event.state)
    is_newest = await take_over(session, request, now=now)
    await keep_access(session, keys, request, event.sealed, publisher="booking", purpose="access", now=now)
    if is_newest and kind is not None:
        # Looked for again after somebody could not come, it was told already.
        await tell(session, request, kind, occasion="once", now=now)
