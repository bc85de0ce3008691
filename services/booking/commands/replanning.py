"""A counter runs late: what its people have booked after it, in the same arrival, is planned again for the same day."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.chains import refuse_broken_chain, watch_chain
from services.booking.commands.moving import move_parts
from services.booking.domain.line import PRESENT
from services.booking.domain.one_stop import UNKNOWN_WALK_MIN, Chain, walk_min
from services.booking.domain.rules import Policy
from services.booking.queries.one_stop import list_chains, list_errands_of, list_walks
from services.booking.queries.rules import get_rules
from shared.clock import jst_day
from shared.errors import Refusal
from shared.passes import ERRANDS_MAX

WATCH_EVERY = timedelta(minutes=5)

_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('chain/' || :municipality || '/' || :chain_id, 0))")
_PARTS = text(f"""
    SELECT * FROM appointment
    WHERE municipality = :municipality AND chain_id = CAST(:chain_id AS uuid)
      AND state NOT IN ('done', 'cancelled', 'no_show')
    ORDER BY appointment_id LIMIT {ERRANDS_MAX} FOR UPDATE
""")


async def on_watch_chain_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `watch_chain`: whoever is kept so long that they would miss what comes next gets the next best times.

    They are told as of every change. Where there is nothing left on the day, what was booked stays: the office decides.
    """
    await session.execute(_ALONE, {"municipality": municipality, "chain_id": ref})
    locked = (await session.execute(_PARTS, {"municipality": municipality, "chain_id": ref})).all()
    parts = sorted(locked, key=lambda row: (row.starts_at, row.appointment_id))
    if not any(_is_coming(row, now) for row in parts):
        return
    for person in sorted({row.chain_person for row in parts}):
        mine = [row for row in parts if row.chain_person == person]
        here = next((row for row in reversed(mine) if row.state in PRESENT), None)
        if here is not None:
            rest = [row for row in mine if _is_coming(row, now) and row.starts_at > here.starts_at]
            await _plan_again(session, municipality, here, rest, now=now)
    later = [row.chain_until for row in parts if row.chain_until > now + WATCH_EVERY]
    # While somebody is there, often; before that, when they should be through.
    is_here = any(row.state in PRESENT for row in parts)
    at = now + WATCH_EVERY if is_here or not later else min(later)
    await watch_chain(session, municipality, UUID(ref), at=at)


def _is_coming(row: Any, now: datetime) -> bool:
    # Of what a closing covers its owner decides.
    return bool(row.state == "booked" and row.starts_at > now and row.closure == "none")


async def _plan_again(
    session: AsyncSession, municipality: str, here: Any, rest: Sequence[Any], *, now: datetime
) -> None:
    if not rest:
        return
    length = here.chain_until - here.starts_at
    free_at = max(now, (here.serving_at or max(now, here.starts_at)) + length)
    walk = walk_min(await list_walks(session, municipality), here.counter, rest[0].counter)
    if free_at + timedelta(minutes=walk) <= rest[0].starts_at:
        return
    policy = (await get_rules(session, municipality)).policy
    chain = await _next_best(session, municipality, rest, policy, free_at=free_at, now=now)
    if chain is None:
        return
    old = {row.procedure: row for row in rest}
    try:
        moved = {old[part.procedure].appointment_id: (part, part.person) for part in chain.parts}
        await refuse_broken_chain(session, municipality, here.chain_id, moved)
        await move_parts(session, rest, chain, policy, staff=None, now=now)
    except Refusal:
        # Somebody was faster, or a companion waits for it: at the next look there may be another way.
        return


async def _next_best(
    session: AsyncSession, municipality: str, rest: Sequence[Any], policy: Policy, *, free_at: datetime, now: datetime
) -> Chain | None:
    """The best chain of the rest that is left today. They are in the house: no notice is needed."""
    errands = await list_errands_of(session, municipality, [row.procedure for row in rest])
    if len(errands) < len(rest):
        # A procedure has left the catalogue: what cannot be planned stays as it was booked.
        return None
    at_once = msgspec.structs.replace(policy, notice_min=0)
    not_before = free_at + timedelta(minutes=UNKNOWN_WALK_MIN)
    chains = await list_chains(session, municipality, errands, at_once, most=1, not_before=not_before, now=now)
    if not chains or jst_day(chains[0].arrives_at) != jst_day(now):
        return None
    person = rest[0].chain_person
    return Chain(parts=tuple(msgspec.structs.replace(part, person=person) for part in chains[0].parts))
