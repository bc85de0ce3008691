"""Real worker processes, killed in the middle of their work: nothing is lost, nothing is done twice."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import dramatiq
import pytest
import pytest_asyncio

from deploy.local.servers import die_with_parent
from shared.clock import utc_now
from shared.faults import STEPS, VARIABLE, Step
from shared.messaging.broker import ChoudoBroker, events_queue
from tests.conftest import TestDatabase
from tests.shared.conftest import MakeDb
from tests.shared.makers import make_availability, publish, rows_of

EVENTS = 300
# Ceilings and no waits: on a busy machine a process may take its time.
PATIENCE_S = 180
STOP_WITHIN_S = 60

EFFECTS = "SELECT count(*) AS events, coalesce(max(attempts), 0) AS most FROM routing.due WHERE kind = 'effect'"
UNACKNOWLEDGED = "SELECT count(*) FROM booking.delivery WHERE acked_at IS NULL"


class Workers:
    """The processes, and their logs."""

    def __init__(self, environ: dict[str, str], root_dir: Path, log_dir: Path) -> None:
        self._environ = {**os.environ, **environ}
        self._root_dir = root_dir
        self._log_dir = log_dir
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, service: str, *, holds_after: int = 0, dies_at: Step | None = None) -> None:
        """Start a service's worker. After so many effects it stays in the middle of the next ones (0: never)."""
        with (self._log_dir / f"{service}.log").open("ab") as log:
            self.running[service] = subprocess.Popen(
                [sys.executable, "-m", "tests.shared.crash_worker", service],
                cwd=self._root_dir,
                env=self._environ | {"CRASH_WORKER_HOLDS_AFTER": str(holds_after), VARIABLE: dies_at or ""},
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    async def kill(self, service: str) -> None:
        """As the kernel would when memory runs out."""
        self.running[service].kill()
        assert await asyncio.to_thread(self.running[service].wait, STOP_WITHIN_S) == -signal.SIGKILL

    async def death_of(self, service: str) -> None:
        """Wait until it has died at its step."""
        died = await asyncio.to_thread(self.running[service].wait, PATIENCE_S)
        assert died == -signal.SIGKILL, self.log(service)

    async def stop(self, service: str) -> int:
        """Ask for an orderly end; return the exit status."""
        self.running[service].send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.running[service].wait, STOP_WITHIN_S)

    def log(self, service: str) -> str:
        """What a service wrote."""
        return (self._log_dir / f"{service}.log").read_text()


@pytest_asyncio.fixture
async def workers(database: TestDatabase, root_dir: Path, tmp_path: Path) -> AsyncIterator[Workers]:
    """Nobody works yet; whoever still works in the end is ended."""
    made = Workers(database.environ, root_dir, tmp_path)
    yield made
    for process in made.running.values():
        process.kill()
        process.wait()


async def wait_until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await is_so():
            await asyncio.sleep(0.05)


async def test_killed_workers_and_a_wiped_broker_lose_nothing_and_repeat_nothing(
    workers: Workers, make_db: MakeDb, broker: ChoudoBroker
) -> None:
    """Seen to fail (second effects) with the inbox claim taken out of the consumer."""
    booking, routing = make_db("booking"), make_db("routing")

    async def effects() -> int:
        return int((await rows_of(routing, EFFECTS))[0].events)

    async def effects_reach(count: int) -> bool:
        return await effects() >= count

    async def all_are_acknowledged() -> bool:
        return bool((await rows_of(booking, UNACKNOWLEDGED))[0].count == 0)

    workers.start("booking")
    workers.start("routing", holds_after=20)
    await publish(booking, *(make_availability(at=utc_now()) for _ in range(EVENTS)))
    await wait_until(lambda: effects_reach(20))
    await workers.kill("routing")
    assert await effects() == 20, "killed in the middle"
    workers.start("routing")
    await wait_until(lambda: effects_reach(EVENTS // 2))
    await workers.kill("booking")
    await publish(booking, *(make_availability(at=utc_now()) for _ in range(EVENTS)))
    await workers.kill("routing")
    broker.client.flushdb()
    workers.start("routing")
    workers.start("booking")
    await wait_until(all_are_acknowledged)
    (seen,) = await rows_of(routing, EFFECTS)
    assert (seen.events, seen.most) == (2 * EVENTS, 1)
    assert await rows_of(routing, "SELECT 1 FROM routing.dead_letter") == []
    outcomes = await rows_of(booking, "SELECT DISTINCT outcome FROM booking.delivery")
    assert [row.outcome for row in outcomes] == ["applied"]
    for service in ("routing", "booking"):
        assert await workers.stop(service) == 0, workers.log(service)


# Which of the two workers passes a step: who publishes, or who consumes.
PUBLISHERS: tuple[Step, ...] = ("relay.claimed", "relay.published", "receipts.received", "receipts.settled")
CONSUMERS: tuple[Step, ...] = (
    "consumer.received",
    "consumer.counted",
    "consumer.claimed",
    "consumer.applied",
    "consumer.committed",
    "receipts.collected",
    "receipts.sent",
)
TRANSACTIONS: tuple[Step, ...] = ("transaction.written", "transaction.committed")


def test_every_step_of_a_message_is_one_at_which_somebody_dies() -> None:
    passed = {step for step in STEPS if step.partition(".")[0] in ("relay", "consumer", "receipts", "transaction")}
    assert passed == {*PUBLISHERS, *CONSUMERS, *TRANSACTIONS}


@pytest.mark.parametrize(
    ("service", "steps"), [("booking", PUBLISHERS + TRANSACTIONS), ("routing", CONSUMERS + TRANSACTIONS)]
)
async def test_dying_at_every_step_loses_nothing_and_repeats_nothing(
    workers: Workers, make_db: MakeDb, broker: ChoudoBroker, service: str, steps: tuple[Step, ...]
) -> None:
    """One death after the other, each with events of its own; then somebody who lives.

    Seen to fail (consumers; second effects) with the inbox neither claimed nor asked whether it knows the event.
    """
    booking, routing = make_db("booking"), make_db("routing")
    workers.start({"booking": "routing", "routing": "booking"}[service])
    for step in steps:
        await publish(booking, *(make_availability(at=utc_now()) for _ in range(10)))
        if step == "consumer.counted":
            # What comes for a second time: the broker was wiped.
            await wait_until(lambda: _holds_something(broker))
            broker.client.flushdb()
        workers.start(service, dies_at=step)
        await workers.death_of(service)
    workers.start(service)

    async def all_are_acknowledged() -> bool:
        return bool((await rows_of(booking, UNACKNOWLEDGED))[0].count == 0)

    await wait_until(all_are_acknowledged)
    (seen,) = await rows_of(routing, EFFECTS)
    assert (seen.events, seen.most) == (10 * len(steps), 1)
    assert await rows_of(routing, "SELECT 1 FROM routing.dead_letter") == []


async def _holds_something(broker: ChoudoBroker) -> bool:
    return broker.queue_length(events_queue("routing")) > 0


async def test_a_worker_that_is_asked_to_stop_finishes_what_it_has_in_hand(workers: Workers, make_db: MakeDb) -> None:
    booking, routing = make_db("booking"), make_db("routing")
    workers.start("booking")
    workers.start("routing")
    await publish(booking, *(make_availability(at=utc_now()) for _ in range(EVENTS)))

    async def some_effects() -> bool:
        return int((await rows_of(routing, EFFECTS))[0].events) >= 10

    await wait_until(some_effects)
    assert await workers.stop("routing") == 0, workers.log("routing")
    (seen,) = await rows_of(routing, EFFECTS)

    async def every_effect_is_acknowledged() -> bool:
        acked = await rows_of(booking, "SELECT count(*) FROM booking.delivery WHERE acked_at IS NOT NULL")
        return bool(acked[0].count == seen.events)

    await wait_until(every_effect_is_acknowledged)
    assert seen.most == 1
    assert "event_failed" not in workers.log("routing")
    assert "loop_died" not in workers.log("routing") + workers.log("booking")
    assert await workers.stop("booking") == 0, workers.log("booking")


@pytest.mark.parametrize(
    "kwargs",
    [{"envelope": {"sealed": "hanako@example.jp"}}, {"envelope": "hanako@example.jp"}, {"hanako@example.jp": "x"}],
)
async def test_a_message_that_is_none_of_ours_is_neither_kept_nor_quoted(
    workers: Workers, make_db: MakeDb, broker: ChoudoBroker, kwargs: dict[str, object]
) -> None:
    routing = make_db("routing")
    queue = events_queue("routing")
    odd: dramatiq.Message[None] = dramatiq.Message(queue, "routing.consume", ("hanako@example.jp",), kwargs, {})
    broker.enqueue_many([odd])
    workers.start("booking")
    workers.start("routing")
    await publish(make_db("booking"), make_availability(at=utc_now()))

    async def the_other_has_come() -> bool:
        return int((await rows_of(routing, EFFECTS))[0].events) == 1

    await wait_until(the_other_has_come)
    assert await workers.stop("routing") == 0, workers.log("routing")
    assert broker.client.zcard(f"{broker.namespace}:{queue}.XQ") == 0
    assert "hanako" not in workers.log("routing")
    assert "event_not_genuine" in workers.log("routing")
