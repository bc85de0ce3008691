"""Gateways that refuse, lie, break off, repeat themselves, or are away: by each of the ways, with real processes."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from deploy.local.gateways.behaviour import Mode
from tests.conftest import TestDatabase
from tests.faults.bench import (
    ARRIVAL_CEILING_S,
    POLL_S,
    REST_CEILING_S,
    SECOND_SINK,
    SINK,
    WAYS,
    WORKER,
    Bench,
    Counted,
    Told,
    Way,
    running_bench,
)
from tests.faults.conftest import Deaths

# The next message meets it, and no other.
ONCE: tuple[Mode, ...] = (
    "too_many",
    "fail_5xx",
    "closing",
    "drop_before_accept",
    "drop_after_accept",
    "garbage",
)
# This recipient's messages meet it whenever they come.
ALWAYS: tuple[Mode, ...] = (
    "reject_permanent",
    "lose",
    "deny",
    "undelivered",
    "receipts_repeated",
    "receipts_backwards",
    "receipts_early",
)
UNKNOWN: tuple[Mode, ...] = ("drop_before_accept", "drop_after_accept", "garbage")
ENDS = ("sent", "failed", "undeliverable")
DOWN_FOR = 8
PAUSE_S = 0.5


def expected(way: Way, mode: Mode) -> Counted:
    """What becomes of a message that a gateway treats so. It has no other way."""
    told, again = ("accepted",), ("unknown", "accepted")
    match mode:
        case "too_many" | "fail_5xx" | "closing":
            return Counted(1, 1, ("temporary", "accepted"))
        case "drop_before_accept" | "garbage":
            return Counted(1, 1, again)
        case "drop_after_accept" if way.tells:
            # Its receipt says what its answer would have: nobody asks again.
            return Counted(1, 1, ("unknown",))
        case "drop_after_accept":
            return Counted(1 if way.takes_key else 2, 2, again)
        case "reject_permanent":
            return Counted(0, 0, ("permanent",), "failed")
        case "deny":
            return Counted(1, 1, ("permanent",), "failed")
        case "lose":
            return Counted(0, 0, told)
        case "undelivered" if way.channel != "smtp":
            return Counted(0, 0, told)
        case _:
            return Counted(1, 1, told)


@pytest.mark.long
@pytest.mark.parametrize("name", WAYS)
async def test_a_gateway_misbehaves(bare_database: TestDatabase, tmp_path: Path, name: str) -> None:
    """In each manner, with one that behaves in between. What may not be known is known in the end, or waited for."""
    way = WAYS[name]
    async with running_bench(bare_database, tmp_path, dialect=way.dialect, tells=way.tells) as bench:
        bench.stack.start(WORKER)
        told: dict[Mode, Told] = {}
        for mode in ONCE:
            bench.misbehave(way.channel, mode, times=1)
            told[mode] = await bench.tell(way.channel)
            await wait_until_tried(bench, told[mode], waits=mode in UNKNOWN and not way.takes_key)
            good = await bench.tell(way.channel)
            await arrive(bench, good, SINK)
        for mode in ALWAYS:
            told[mode] = await bench.tell(way.channel, mode=mode)
            await wait_until_tried(bench, told[mode])
        bench.stack.stop(WORKER)
        await bench.rest()
        counted = {mode: await bench.count(each) for mode, each in told.items()}
        if way.tells and counted["drop_after_accept"].outcomes == ("accepted",):
            # The receipt was even quicker than the breaking off.
            counted["drop_after_accept"] = expected(way, "drop_after_accept")
        tasks = await bench.service.open_tasks()
    assert counted == {mode: expected(way, mode) for mode in (*ONCE, *ALWAYS)}
    # Whom nothing reached is somebody's task, and nobody else is.
    refused = ["rejected", "rejected"]
    assert sorted(tasks) == sorted([*refused, *(["not_delivered"] if way.tells else [])])


async def wait_until_tried(bench: Bench, told: Told, *, waits: bool = False) -> None:
    """Until it has its end; or until nobody knows, where that `waits`: what comes again would meet the next manner."""
    deadline = time.monotonic() + ARRIVAL_CEILING_S
    while (await bench.count(told)).state not in (*ENDS, *(["unknown"] if waits else [])):
        assert time.monotonic() < deadline, bench.stack.log_tails()
        await asyncio.sleep(POLL_S)


@pytest.mark.long
async def test_a_gateway_is_down_and_another_takes_its_messages(
    bare_database: TestDatabase, tmp_path: Path, deaths: Deaths
) -> None:
    """From the first message on; the first is left alone after some, and asked again when it is back."""
    async with running_bench(bare_database, tmp_path) as bench:
        bench.start_second()
        bench.stack.start(WORKER)
        await arrive(bench, await bench.tell("sms"), SINK)
        bench.stack.stop(SINK, signal.SIGKILL)
        took = []
        for _ in range(DOWN_FOR):
            told, began = await bench.tell("sms"), time.monotonic()
            await arrive(bench, told, SECOND_SINK)
            took.append(time.monotonic() - began)
        await wait_for_state(bench, "open")
        bench.stack.start(SINK)
        bench.stack.wait_until_ready()
        back = time.monotonic()
        while True:
            last = await bench.tell("sms")
            await wait_until_tried(bench, last)
            if bench.messages(last.address):
                break
            assert time.monotonic() - back < REST_CEILING_S, "the first is asked no more"
            await asyncio.sleep(PAUSE_S)
        closed_s = time.monotonic() - back
        await wait_for_state(bench, "closed")
    deaths.measure("an SMS gateway is down: longest until the next one has the message", max(took))
    deaths.measure("it is back: until it has a message again", closed_s)


@pytest.mark.long
async def test_a_gateway_hangs_and_another_takes_what_it_does_not_have(
    bare_database: TestDatabase, tmp_path: Path, deaths: Deaths
) -> None:
    """It takes connections and answers nobody. What it may have stays with it; the rest goes on. Each arrives once."""
    async with running_bench(bare_database, tmp_path) as bench:
        bench.start_second()
        bench.stack.start(WORKER)
        await arrive(bench, await bench.tell("sms"), SINK)
        bench.misbehave("sms", "slow")
        began = time.monotonic()
        told: list[Told] = []
        while not told or not bench.messages(told[-1].address, sink=SECOND_SINK):
            told.append(await bench.tell("sms"))
            assert time.monotonic() - began < ARRIVAL_CEILING_S, "nothing goes by the other"
            await asyncio.sleep(PAUSE_S)
        took_s = time.monotonic() - began
        bench.misbehave("sms", "slow", times=0)
        bench.stack.stop(WORKER)
        await bench.rest()
        for each in told:
            assert sum(len(bench.messages(each.address, sink=sink)) for sink in (SINK, SECOND_SINK)) == 1
    deaths.measure("an SMS gateway hangs: until the next one has the first message that it does not hold", took_s)


async def arrive(bench: Bench, told: Told, sink: str) -> None:
    """Wait until that gateway has it."""
    await bench.until(lambda: bool(bench.messages(told.address, sink=sink)), f"not at {sink}", ARRIVAL_CEILING_S)


async def wait_for_state(bench: Bench, state: str) -> None:
    """Wait until the worker says so of the first SMS gateway."""
    query = "SELECT state FROM provider_health WHERE provider = 'sms_gateway'"
    deadline = time.monotonic() + ARRIVAL_CEILING_S
    while [row.state for row in await bench.service.rows(query)] != [state]:
        assert time.monotonic() < deadline, bench.stack.log_tails()
        await asyncio.sleep(POLL_S)
