"""What is told to a contact about its own ways: the code that proves one, and that another leads nowhere."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.telling import Content, Telling, seal_content, tell
from services.notifications.domain.notices import CONTACT_CODE, CONTACT_DEAD
from shared.crypto import SubjectVault


async def send_code(
    session: AsyncSession,
    vault: SubjectVault,
    municipality: str,
    contact_ref: UUID,
    way_no: int,
    code: str,
    *,
    about: UUID,
    until: datetime,
    now: datetime,
) -> None:
    """Send a code by that very way, though nobody has proved it; one that still waits (`about` the same) is not sent.

    It is forgotten when it opens nothing any more.
    """
    telling = Telling(municipality=municipality, contact_ref=contact_ref, occurred_at=now, about=about, until=until)
    sealed = seal_content(vault, telling, Content(code=code))
    await tell(session, telling, CONTACT_CODE, sealed, only_way=way_no, now=now)


async def tell_dead(session: AsyncSession, municipality: str, contact_ref: UUID, *, about: UUID, now: datetime) -> None:
    """Tell somebody by the ways that are left that one of theirs leads nowhere. It does not say where to."""
    telling = Telling(municipality=municipality, contact_ref=contact_ref, occurred_at=now, about=about)
    await tell(session, telling, CONTACT_DEAD, now=now)
