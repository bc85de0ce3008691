"""Keeping time with the database: what `AgreedClock` is told, and when."""

import asyncio
import time

from shared.clock import STEP, AgreedClock, Clock
from shared.db import Database
from shared.log import describe, get_logger

log = get_logger(__name__)

ASK_EVERY_S = 10.0
ASK_AGAIN_S = 0.5
# A slower answer tells too little of when it was true.
TRUSTED_WITHIN_S = 0.5


async def agree_on_time(db: Database, clock: Clock) -> bool:
    """Ask the database for the time once; return whether it answered. A clock of a test's own stays what it is."""
    if not isinstance(clock, AgreedClock):
        return True
    asked_at = time.monotonic()
    try:
        told = await db.tell_time()
    except Exception as error:  # noqa: BLE001 - it is away, or has no connection for this just now
        log.warning("time_not_told", **describe(error))
        return False
    answered_at = time.monotonic()
    if answered_at - asked_at > TRUSTED_WITHIN_S and clock.is_agreed:
        return False
    off = clock.agree(told, asked_at=asked_at, answered_at=answered_at)
    if abs(off) > STEP:
        log.warning("clock_stepped", service=db.service, seconds=round(off.total_seconds(), 3))
    return True


async def wait_for_time(db: Database, clock: Clock) -> None:
    """Ask until the database has answered."""
    while not await agree_on_time(db, clock):
        await asyncio.sleep(ASK_AGAIN_S)


async def keep_time(db: Database, clock: Clock) -> None:
    """Go on asking until cancelled."""
    while True:
        await wait_for_time(db, clock)
        await asyncio.sleep(ASK_EVERY_S)


def may_differ_from_others(clock: Clock, lease_s: float = 0.0) -> bool:
    """Whether the clock was set so lately that others may not have noticed, or have leases of `lease_s` of the time
    before."""
    return isinstance(clock, AgreedClock) and clock.has_stepped_within(lease_s + ASK_EVERY_S + TRUSTED_WITHIN_S)
