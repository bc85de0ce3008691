"""One seed: open its town, let things happen, ask every invariant after each, then let everything come to rest."""

import asyncio
import hashlib
from datetime import timedelta

from shared.errors import Refusal
from shared.faults import Fault, armed
from tests.quick import quick_passwords
from tests.simulation import closings, helpers, residents, town_hall, weather  # noqa: F401  their actions
from tests.simulation.house import House, end_town, open_town
from tests.simulation.remembered import check
from tests.simulation.rest import come_to_rest
from tests.simulation.world import ACTIONS, Action, Broken, World

STEPS = 20
SHOWN_STEPS = 25
_ALWAYS = [known for known in ACTIONS if not known.closes]
_UNFINISHED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND $1::text IS NOT NULL
      AND backend_type = 'client backend'
"""


class Crashed(BaseException):
    """A process died here."""


async def run(house: House, seed: int, steps: int = STEPS) -> list[str]:
    """Run a seed; return its history, a line for each step.

    Raises:
        Broken: an invariant did not hold.
    """
    world = house.new_world(seed)
    step = 0
    try:
        with quick_passwords():
            await open_town(world)
            for step in range(1, steps + 1):
                world.clock.move(timedelta(milliseconds=world.rng.randint(500, 20_000)))
                await _take_step(world, step)
                await check(world)
            step = steps + 1
            await come_to_rest(world)
    except Exception as error:
        raise Broken(_report(world, step, error)) from error
    finally:
        await end_town(world)
    return world.history


def digest_of(history: list[str]) -> str:
    """The same for two histories that are the same."""
    return hashlib.sha256("\n".join(history).encode()).hexdigest()[:16]


async def _take_step(world: World, step: int) -> None:
    able = ACTIONS if world.closes else _ALWAYS
    while True:
        action = world.rng.choices(able, weights=[known.weight for known in able])[0]
        said = await _do(world, action)
        if said is not None:
            world.history.append(f"{step:3} {world.clock} {action.name}: {said}")
            return


async def _do(world: World, action: Action) -> str | None:
    """What came of it; None when there was nothing to do."""
    fault = _draw_fault(world, action)
    others = asyncio.all_tasks()
    try:
        if fault is None:
            return await action.do(world)
        with armed(Fault(*fault, die=_die)):
            return await action.do(world)
    except Refusal as refusal:
        return f"no: {refusal.code}"
    except Crashed:
        await _bury(world, others)
        return f"dies at {fault}"


def _draw_fault(world: World, action: Action) -> tuple[str, int] | None:
    if not action.dies_at or world.rng.random() >= action.deaths:
        return None
    return world.rng.choice(action.dies_at), world.rng.randint(1, action.passes)


def _die() -> None:
    raise Crashed


async def _bury(world: World, before: set[asyncio.Task[None]]) -> None:
    """Nothing of a dead process goes on, and PostgreSQL has noticed that it is gone."""
    left = asyncio.all_tasks() - before
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for worker in world.workers.values():
        worker.start()
    while (await world.ask(_UNFINISHED))[0][0]:
        await asyncio.sleep(0.001)


def _report(world: World, step: int, error: Exception) -> str:
    shown = "\n".join(world.history[-SHOWN_STEPS:])
    what = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
    return (
        f"seed {world.seed} step {step}: {what}\n{shown}\n"
        f'Again: make simulate ARGS="--seed {world.seed}"'
    )  # fmt: skip
