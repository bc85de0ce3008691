"""Running seeds, each process of ours on a database of its own."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import uvloop

from shared.log import configure_logging
from tests.simulation.driver import STEPS, run
from tests.simulation.house import House
from tests.simulation.world import Broken

# The fixed ones.
SEEDS = range(1, 226)

Place = tuple[str, Mapping[str, str]]
"""A migrated database: the administrator's URL, and the variables of the services."""


def run_seeds(place: Place, seeds: Sequence[int], steps: int = STEPS) -> list[str]:
    """Run seeds one after another; the reports of those that broke something."""
    # What a dying process logs is what we made it die of.
    configure_logging("simulation", level="CRITICAL")
    return uvloop.run(_run(place, seeds, steps))


def run_side_by_side(places: Sequence[Place], seeds: Sequence[int]) -> list[str]:
    """Run seeds in as many processes as there are databases."""
    shares = [seeds[at :: len(places)] for at in range(len(places))]
    with ProcessPoolExecutor(len(places), mp_context=get_context("spawn")) as processes:
        return [report for reports in processes.map(run_seeds, places, shares, repeat(STEPS)) for report in reports]


async def _run(place: Place, seeds: Sequence[int], steps: int) -> list[str]:
    house = await House.open(*place)
    reports = []
    try:
        for seed in seeds:
            try:
                await run(house, seed, steps)
            except Broken as broken:
                reports.append(str(broken))
    finally:
        await house.close()
    return reports
