"""Where a system is told what became of its notices, as managers decide about it. Its endpoint has the system's id."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.systems import WEBHOOKS
from services.notifications.queries_of_systems import get_system
from services.notifications.tables import SERVICE
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.practice import is_practice
from shared.tokens import Identity
from shared.webhooks import endpoints
from shared.webhooks.destinations import Destinations
from shared.webhooks.endpoints import Replayed
from shared.webhooks.tries import MESSAGES_KEPT

Action = Literal["test", "pause", "resume", "delete"]

_MOVE = text(f"""
    UPDATE {SERVICE}.webhook_endpoint SET url = :url, changed_at = :now
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id) RETURNING endpoint_id
""")


async def set_address(
    session: AsyncSession,
    actor: Identity,
    system_id: UUID,
    url: str,
    vault: SubjectVault,
    destinations: Destinations,
    *,
    now: datetime,
) -> str | None:
    """Tell the system at this address from now on; the secret by which it knows us, where it has none yet.

    Raises:
        Refusal: `system_unknown` (404), `webhook_url_unfit`, `webhook_url_inside` (422), `practice_town` (409).
    """
    if is_practice(actor.municipality):
        raise Refusal("practice_town", 409)
    destinations.check(url)
    town = actor.municipality
    system = await get_system(session, town, system_id)
    await record_deed(session, actor, "system-address", system_id, now=now)
    moved = {"municipality": town, "endpoint_id": system_id, "url": url, "now": now}
    if (await session.execute(_MOVE, moved)).one_or_none() is not None:
        return None
    return await endpoints.add_endpoint(
        session, SERVICE, town, system_id, name_ja=system.name_ja, url=url, kinds=WEBHOOKS, vault=vault, now=now
    )


async def roll_secret(
    session: AsyncSession, actor: Identity, system_id: UUID, vault: SubjectVault, *, now: datetime
) -> str:
    """Another secret, which is shown once; for a day the one before signs beside it.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    secret = await endpoints.roll_secret(session, actor.municipality, system_id, vault, now=now)
    await record_deed(session, actor, "system-roll", system_id, now=now)
    return secret


async def change_telling(
    session: AsyncSession, actor: Identity, system_id: UUID, action: Action, *, now: datetime
) -> None:
    """Send a test, tell nothing for now, go on, or tell it nothing ever.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    await endpoints.change_endpoint(session, SERVICE, actor.municipality, system_id, action, now=now)
    await record_deed(session, actor, f"system-telling-{action}", system_id, now=now)


async def tell_again(
    session: AsyncSession, actor: Identity, system_id: UUID, *, since: datetime, only: UUID | None = None, now: datetime
) -> Replayed:
    """Tell it again what it was told since then, or one message.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    since = max(since, now - MESSAGES_KEPT)
    again = await endpoints.replay(session, SERVICE, actor.municipality, system_id, since=since, only=only, now=now)
    await record_deed(session, actor, "system-replay", system_id, now=now)
    return again
