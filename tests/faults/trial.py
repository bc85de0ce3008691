"""A trial: the product under a live flow, one fault after another, and after each the look whether all is well."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import httpx

from shared.clock import JST
from shared.events.subscriptions import SERVICES
from shared.faults import VARIABLE, Step
from tests.faults.check import check_all, unfinished
from tests.faults.flow import Flow, Told
from tests.faults.servers import Machines
from tests.stack import Stack

# A Tuesday morning: nobody is quiet, and there are times for weeks.
MORNING = datetime(2026, 11, 24, 9, 10, tzinfo=JST)
# The design's figure: what was told before is taken in so long after a fault of the broker or of a worker.
RECOVERY_LIMIT_S = 20.0
# Ceilings of waits, no waits: on a busy machine things take their time.
RECOVERY_CEILING_S = 150.0
REST_CEILING_S = 300.0
DEATH_CEILING_S = 240.0
POLL_S = 0.05
# The flow is under way once so many were told that they have an appointment.
UNDER_WAY = 2

WAITING = " UNION ALL ".join(f"SELECT event_id FROM {service}.delivery WHERE acked_at IS NULL" for service in SERVICES)


@dataclass(frozen=True)
class Recovery:
    """What became of one fault, for the report."""

    fault: str
    bookings: int
    waiting: int
    recovered_s: float
    rested_s: float


class Trial:
    """The running product, all that residents were told so far, and all that the providers accepted."""

    def __init__(self, stack: Stack, machines: Machines, recoveries: list[Recovery], *, insists: bool) -> None:
        self.stack = stack
        self.machines = machines
        self.recoveries = recoveries
        # What a failure leaves behind is in nobody else's way: the next test starts another product.
        self.is_spoiled = False
        self._insists = insists
        self._told = Told()
        self._accepted: Counter[str] = Counter()

    @contextlib.contextmanager
    def fault(
        self, name: str, *, limit_s: float | None = RECOVERY_LIMIT_S, before_rest: Callable[[], None] = lambda: None
    ) -> Iterator[Flow]:
        """A live flow for the block, which does something bad and undoes it. Raises AssertionError if all is not well.

        The recovery is measured from the end of the block, until what waits for a receipt then has one. In the long
        form it must not take longer than `limit_s`. `before_rest` happens when nobody comes any more.
        """
        self.is_spoiled = True
        flow = Flow(self.stack.url, self.stack.web_ports, seed=len(self.recoveries))
        flow.start()
        try:
            flow.wait_for_more(UNDER_WAY)
            yield flow
            over = time.monotonic()
            waiting = self._waiting()
            self.wait_for(lambda: not waiting & self._waiting(), "not recovered", RECOVERY_CEILING_S)
            recovered_s = time.monotonic() - over
        finally:
            told = flow.stop()
        before_rest()
        stopped = time.monotonic()
        self.wait_for(lambda: not self._unfinished(), "not at rest")
        rested_s = time.monotonic() - stopped
        self.recoveries.append(Recovery(name, len(told.appointments), len(waiting), recovered_s, rested_s))
        self._check(told)
        assert not (self._insists and limit_s) or recovered_s <= limit_s, f"{name}: recovered after {recovered_s:.1f} s"
        self.is_spoiled = False

    def kill_at(
        self, process: str, step: Step, passes: int = 1, while_away: Callable[[], object] | None = None
    ) -> None:
        """Start a process anew that dies at a step; once it is dead, start it as a supervisor would.

        `while_away` prepares what makes it pass the step, if the flow does not.
        """
        self.stack.stop(process)
        if while_away is not None:
            while_away()
        own = self.stack.own_environ.get(process, {})
        self.stack.own_environ[process] = own | {VARIABLE: f"{step}:{passes}"}
        self.stack.start(process)
        self.stack.own_environ[process] = own
        try:
            status = self.stack.processes[process].wait(DEATH_CEILING_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{process} never came to {step}\n{self.stack.log_tails()}") from None
        assert status == -signal.SIGKILL, f"{process}: {status}\n{self.stack.log_tails()}"
        self.stack.start(process)

    def restart(self, *processes: str) -> None:
        """Stop processes in order, and start them with whatever their environment is now."""
        for process in processes:
            self.stack.stop(process)
        for process in processes:
            self.stack.start(process)
        self.stack.wait_until_ready()

    def misbehave(self, channel: str, mode: str, *, times: int = 10_000, slow_s: float = 30.0) -> None:
        """Let a provider misbehave from now on; `times=0` ends it."""
        behaviour = {"channel": channel, "mode": mode, "times": times, "slow_s": slow_s}
        httpx.post(f"{self.stack.sink_url}/behaviour", json=behaviour, timeout=30).raise_for_status()

    def ask(self, query: str, *values: object) -> list[asyncpg.Record]:
        """What the database holds."""

        async def fetch() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.stack.environ["DATABASE_URL"])
            try:
                rows: list[asyncpg.Record] = await connection.fetch(query, *values)
                return rows
            finally:
                await connection.close()

        return asyncio.run(fetch())

    def wait_for(self, what: Callable[[], bool], otherwise: str, ceiling_s: float = REST_CEILING_S) -> None:
        """Poll until it is so. Raises AssertionError with the logs' ends."""
        deadline = time.monotonic() + ceiling_s
        while not what():
            assert time.monotonic() < deadline, f"{otherwise}: {self._unfinished()}\n{self.stack.log_tails()}"
            time.sleep(POLL_S)

    def _waiting(self) -> set[object]:
        return {row["event_id"] for row in self.ask(WAITING)}

    def _unfinished(self) -> dict[str, int]:
        return asyncio.run(unfinished(self.stack.environ["DATABASE_URL"]))

    def _check(self, told: Told) -> None:
        assert not told.surprises, told.surprises
        dead = {name: process.poll() for name, process in self.stack.processes.items() if process.poll() is not None}
        assert dead == {}, f"died by themselves\n{self.stack.log_tails()}"
        self._told.appointments |= told.appointments
        self._told.in_doubt += told.in_doubt
        for message in self.stack.messages():
            self._accepted[message["key"]] += message["times"]
        # It keeps some hundreds only. Whatever comes again later is counted again.
        httpx.delete(f"{self.stack.sink_url}/messages", timeout=30).raise_for_status()
        check_all(
            self.stack.environ,
            self._told.appointments,
            self._told.in_doubt,
            self._accepted,
            may_be_too_late=bool(told.expected),
        )
