"""Matching requests for help: two hundred over eighty helpers, and a quarter beside first come, first served."""

import asyncio
import time
from statistics import median

from services.booking.domain.matching import match_help
from tests.benchmarks.figures import Figure, make_figure
from tests.benchmarks.house import House
from tests.booking.matching_town import large_town
from tests.booking.quarter import Quarter, first_come, live_through

SEEDS = (1, 2, 3)
TARGET_S = 1


async def measure(_house: House) -> list[Figure]:
    """Seconds of the plan as the worker makes it; shares and loads of the same quarters, matched in both ways."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    taken = [_time_plan(seed) for seed in SEEDS]
    greedy = [_time_greedy(seed) for seed in SEEDS]
    ours = [live_through(seed, match_help) for seed in SEEDS]
    theirs = [live_through(seed, first_come) for seed in SEEDS]
    for quarters in (ours, theirs):
        for each in quarters:
            print(f"  {_say(each)}")
    note = "The median of three seeds. A quarter: 13 weeks, 80 helpers, 1,500 requests (`tests/booking/quarter.py`)."
    return [
        make_figure(
            "matching", "200 open requests over 80 helpers", median(taken), "s", f"≤ {TARGET_S} s",
            reference=median(greedy), reference_name="first come, first served", met=max(taken) <= TARGET_S, note=note,
        ),
        *(
            make_figure(
                "matching", name, median(getattr(each, field) for each in ours), unit, target,
                reference=median(getattr(each, field) for each in theirs), reference_name="first come, first served",
            )
            for name, field, unit, target in (
                ("A quarter's requests met", "percent_met", "%", "stated"),
                ("Of those that could be met", "percent_of_possible", "%", "stated"),
                ("Met by who knows the topic", "percent_skilled", "%", "stated"),
                ("How unequally visits are shared (Gini)", "gini", "", "stated"),
                ("The busiest helper's visits to the median", "max_to_median", "×", "stated"),
            )
        ),
    ]  # fmt: skip


def _time_plan(seed: int) -> float:
    town = large_town(seed)
    begun = time.perf_counter()
    match_help(*town)
    return time.perf_counter() - begun


def _time_greedy(seed: int) -> float:
    town = large_town(seed)
    begun = time.perf_counter()
    first_come(*town)
    return time.perf_counter() - begun


def _say(lived: Quarter) -> str:
    return f"{lived.met:,} of {lived.asked:,} met, {lived.possible:,} possible, Gini {lived.gini:.2f}"
