"""LINE: who has left the town's account (ブロック・友だち削除) is sent nothing there: LINE would say nothing of it."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.attempts import Result, end_attempts
from services.notifications.domain.outcomes import LINE_UNFOLLOWED, Outcome
from services.notifications.orders import Order
from services.notifications.providers.providers import Providers
from services.notifications.senders.sender import NOT_STARTED
from services.notifications.tables import SERVICE, line_follow
from shared.crypto import token_hash
from shared.messaging.due import schedule

DUE_FORGET_FOLLOW = "forget_follow"
# LINE brings what it could not bring again, in any order. After that, who follows need not be known here.
TOLD_AGAIN_WITHIN = timedelta(days=7)
GONE = Outcome(kind="permanent", error_code=LINE_UNFOLLOWED)


async def record_follow(
    session: AsyncSession, municipality: str, user_id: str, *, follows: bool, told_at: datetime, now: datetime
) -> None:
    """Note that somebody follows the account or does not, if it is newer than what we know."""
    user_hash = token_hash(user_id)
    row = {"municipality": municipality, "user_hash": user_hash, "follows": follows, "told_at": told_at}
    statement = insert(line_follow).values(**row)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[line_follow.c.municipality, line_follow.c.user_hash],
            set_={"follows": follows, "told_at": told_at},
            where=line_follow.c.told_at < told_at,
        )
    )
    if follows:
        due_at = now + TOLD_AGAIN_WITHIN
        ref = user_hash.hex()
        await schedule(session, SERVICE, municipality=municipality, kind=DUE_FORGET_FOLLOW, ref=ref, due_at=due_at)


async def forget_follow(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:  # noqa: ARG001
    """Due handler: who follows, and never left since, is not kept."""
    await session.execute(
        delete(line_follow).where(
            line_follow.c.municipality == municipality,
            line_follow.c.user_hash == bytes.fromhex(ref),
            line_follow.c.follows,
        )
    )


async def without_unfollowed(
    session: AsyncSession, municipality: str, orders: Sequence[Order], providers: Providers, *, now: datetime
) -> list[Order]:
    """The orders that somebody can read; the attempts at those for LINE that nobody can end here."""
    hashes = {token_hash(order.address) for order in orders if order.reach == "line"}
    query = select(line_follow.c.user_hash).where(
        line_follow.c.municipality == municipality,
        line_follow.c.user_hash.in_(hashes),
        ~line_follow.c.follows,
    )
    gone = {bytes(user_hash) for user_hash in (await session.execute(query)).scalars()} if hashes else set()
    ended = [Result(order, GONE) for order in orders if order.reach == "line" and token_hash(order.address) in gone]
    for result in ended:
        # LINE was not asked: the turn that it took there is another one's.
        providers.hear(result.order.provider, NOT_STARTED, bulk=result.order.bulk, took_s=0.0, now=now)
    if ended:
        await end_attempts(session, municipality, ended, providers, now=now, chance=random.random)
    lost = {result.order.key for result in ended}
    return [order for order in orders if order.key not in lost]
