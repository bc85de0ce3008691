"""A helper's calendar feed: its address is a secret that is kept as a hash, and can be renewed."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.shifts import check_on_roster
from shared.audit import record_deed
from shared.crypto import new_link_token, token_hash
from shared.tokens import Identity

_RENEW = text("""
    UPDATE helper SET feed_hash = :feed_hash, feed_made_at = :now
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref)
""")
_END = text("""
    UPDATE helper SET feed_hash = NULL, feed_made_at = NULL
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref) AND feed_hash IS NOT NULL RETURNING helper_ref
""")


async def renew_feed(session: AsyncSession, actor: Identity, *, now: datetime) -> str:
    """A new token for the feed's address; with the one before, nothing is found any more.

    Raises:
        Refusal: `roster_missing` (409).
    """
    await check_on_roster(session, actor)
    token = new_link_token()
    me = {"municipality": actor.municipality, "helper_ref": actor.ref}
    await session.execute(_RENEW, me | {"feed_hash": token_hash(token), "now": now})
    await record_deed(session, actor, "renew-feed", actor.ref, now=now)
    return token


async def end_feed(session: AsyncSession, actor: Identity, *, now: datetime) -> None:
    """The feed has no address any more; with the one that it had, nothing is found. Ended again, nothing changes.

    Raises:
        Refusal: `roster_missing` (409).
    """
    await check_on_roster(session, actor)
    me = {"municipality": actor.municipality, "helper_ref": actor.ref}
    if (await session.execute(_END, me)).one_or_none() is not None:
        await record_deed(session, actor, "end-feed", actor.ref, now=now)
