"""A case goes on by another channel: written with who said it, in the one place that changes a case's channel."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.contact import update_case
from services.routing.domain.switching import Proposed, Said
from services.routing.tables import case_switch


async def move_case(
    session: AsyncSession,
    case: Row[Any],
    *,
    channel: str,
    state: str,
    step: str,
    said: Said,
    office: str | None = None,
    proposed: Proposed | None = None,
    now: datetime,
) -> None:
    """Give a locked case another channel, and its next version. The history keeps it; the figures count it."""
    version = case.version + 1
    await session.execute(update_case(case).values(channel=channel, state=state, updated_at=now, version=version))
    await session.execute(
        insert(case_switch).values(
            municipality=case.municipality,
            case_id=case.case_id,
            version=version,
            from_channel=case.channel,
            to_channel=channel,
            step=step,
            # What was sent is stuck on no page.
            page=case.open_page if case.channel == "online" and case.state != "submitted" else None,
            said=said,
            office=office,
            counter=proposed.counter if proposed else None,
            starts_at=proposed.starts_at if proposed else None,
            switched_at=now,
        )
    )
