"""Two transactions at once, in an order that a seed can repeat: the second begins when the first has done its work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.exc import DBAPIError

from services.booking.flow import TRIES, _is_worth_another_try
from shared.errors import Refusal
from tests.simulation.world import BEFORE_COMMIT, World

Order = Callable[[], Awaitable[Any]]

_WAITS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND $1::text IS NOT NULL
"""


async def overlap(world: World, first: Order, second: Order) -> list[Any]:
    """Run both; the first commits only when the second is done, or waits for it. Their answers, or refusals."""
    at_work, may_commit = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        at_work.set()
        await may_commit.wait()

    async def begin() -> Any:
        BEFORE_COMMIT.set(wait)
        return await _answer(first)

    one = asyncio.create_task(begin())
    ready = asyncio.create_task(at_work.wait())
    await asyncio.wait({one, ready}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    two = asyncio.create_task(_answer(second))
    while not two.done() and not (await world.ask(_WAITS))[0][0]:
        await asyncio.sleep(0.001)
    may_commit.set()
    return [await one, await two]


async def _answer(order: Order) -> Any:
    """As a page gives an order: again, if the database let the other one stand (`flow.Rush`)."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return await order()
        except Refusal as refusal:
            return refusal
        except DBAPIError as error:
            if left == 0 or not _is_worth_another_try(error):
                raise
    raise AssertionError("every way out of the loop returns or raises")
