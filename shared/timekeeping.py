"""Keeping time with the database: what `AgreedClock` is told, and when. `docs/decisions/0018-one-clock.md`."""

import asyncio

from shared.clock import AgreedClock, Clock
from shared.db import Database
from shared.log import describe, get_logger

log = get_logger(__name__)

ASK_EVERY_S = 10.0
ASK_AGAIN_S = 0.5
# Whoever is asked and not answered for so long has noticed no step of the clock either.
NOTICED_WITHIN_S = ASK_EVERY_S + 3.0


def is_agreed(clock: Clock) -> bool:
    """Whether this is a time that others may share."""
    return not isinstance(clock, AgreedClock) or clock.is_agreed


async def agree_on_time(db: Database, clock: Clock) -> bool:
    """Ask the database for the time once; return whether it answered. A clock of a test's own stays what it is."""
    if not isinstance(clock, AgreedClock):
        return True
    try:
        told, asked_at, answered_at = await db.tell_time()
    except Exception as error:  # noqa: BLE001 - it is away, or has no connection for this just now
        log.warning("time_not_told", **describe(error))
        return False
    if clock.agree(told, asked_at=asked_at, answered_at=answered_at):
        log.warning("clock_stepped", service=db.service)
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


def was_set_within(clock: Clock, seconds: float) -> bool:
    """Whether the database's clock was set so short ago."""
    return isinstance(clock, AgreedClock) and clock.has_stepped_within(seconds)


def may_differ(clock: Clock) -> bool:
    """Whether another process may go by another time now: one of us may not have noticed yet that the clock was set."""
    return isinstance(clock, AgreedClock) and (
        not clock.was_heard_within(NOTICED_WITHIN_S) or clock.has_stepped_within(NOTICED_WITHIN_S)
    )


def may_outlive(clock: Clock, lease_s: float) -> bool:
    """Whether leases of so many seconds that seem to have run out may be valid: given by the time before a step."""
    given_within = NOTICED_WITHIN_S + lease_s
    return isinstance(clock, AgreedClock) and (
        clock.has_stepped_within(given_within) or clock.has_begun_within(given_within)
    )
