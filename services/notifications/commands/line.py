"""LINE: who has left the town's account (ブロック・友だち削除) is sent nothing there: LINE would say nothing of it."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.attempts import Result, end_attempts
from services.notifications.commands.dead_ways import ask_anew, tell_state
from services.notifications.domain.outcomes import LINE_UNFOLLOWED, Outcome
from services.notifications.orders import Order
from services.notifications.providers.providers import Providers
from services.notifications.senders.sender import NOT_STARTED
from services.notifications.tables import SERVICE, line_follow
from shared.crypto import token_hash
from shared.db import Prepared
from shared.messaging.due import schedule

DUE_FORGET_FOLLOW = "forget_follow"
# LINE brings what it could not bring again, in any order. After that, the ways themselves say who is there.
TOLD_AGAIN_WITHIN = timedelta(days=7)
# `found_by` no notice.
_TURN = Prepared("""
    UPDATE notifications.contact_way w SET state = :state, state_at = :now, state_no = state_no + 1
    FROM notifications.contact_point c
    WHERE (w.municipality, w.line_hash) = (:municipality, :user_hash) AND w.state <> :state
      AND (c.municipality, c.contact_ref) = (w.municipality, w.contact_ref)
    RETURNING w.contact_ref, w.way_no, w.kind, w.state_no, c.case_id, CAST(NULL AS text) AS found_by
""")
GONE = Outcome(kind="permanent", error_code=LINE_UNFOLLOWED)


async def record_follow(
    session: AsyncSession, municipality: str, user_id: str, *, follows: bool, told_at: datetime, now: datetime
) -> None:
    """Note that somebody follows the account or does not, if it is newer than what we know: their ways are alive, or
    dead, and their people asked for better ones."""
    user_hash = token_hash(user_id)
    row = {"municipality": municipality, "user_hash": user_hash, "follows": follows, "told_at": told_at}
    statement = insert(line_follow).values(**row)
    is_newer = await session.execute(
        statement.on_conflict_do_update(
            index_elements=[line_follow.c.municipality, line_follow.c.user_hash],
            set_={"follows": follows, "told_at": told_at},
            where=line_follow.c.told_at < told_at,
        ).returning(line_follow.c.follows)
    )
    if is_newer.one_or_none() is None:
        return
    about = {"municipality": municipality, "user_hash": user_hash, "now": now}
    for way in await _TURN.rows(session, about | {"state": "good" if follows else "dead"}):
        if follows:
            await tell_state(session, municipality, way.case_id, way, is_dead=False, now=now)
        else:
            await ask_anew(session, municipality, way, now=now)
    await schedule(
        session,
        SERVICE,
        municipality=municipality,
        kind=DUE_FORGET_FOLLOW,
        ref=user_hash.hex(),
        due_at=now + TOLD_AGAIN_WITHIN,
    )


async def forget_follow(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:  # noqa: ARG001
    """Due handler: who followed or left so long ago; a way that is dead stays so."""
    await session.execute(
        delete(line_follow).where(
            line_follow.c.municipality == municipality, line_follow.c.user_hash == bytes.fromhex(ref)
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
