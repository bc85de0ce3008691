"""A helper and somebody sit side by side: whether the person agreed to it, as routing tells."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.events.routing import MeetingAgreed

# With whom it was said to: to another helper who comes instead nobody has said yes.
_AGREED = text("""
    UPDATE assignment SET agreed_at = :agreed_at, agreed_until = :until, agreed_version = :version
    WHERE municipality = :municipality AND appointment_id = :appointment_id AND helper_ref = :helper_ref
      AND state = 'accepted' AND coalesce(agreed_version, 0) < :version
""")


async def keep_agreement(session: AsyncSession, event: MeetingAgreed, *, now: datetime) -> None:  # noqa: ARG001
    """Keep that they agreed and until when; the newest word stands, also when it ends early."""
    await session.execute(
        _AGREED,
        {
            "municipality": event.municipality,
            "appointment_id": event.appointment_id,
            "helper_ref": event.helper_ref,
            "agreed_at": event.agreed_at,
            "until": event.until,
            "version": event.aggregate_version,
        },
    )
