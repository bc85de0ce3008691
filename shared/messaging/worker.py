"""A worker process: dramatiq's threads for consuming, and the loops (relay, due, sealer), all on one event loop.

Our own process around `dramatiq.Worker`, because dramatiq's command line hangs when its process group is signalled.
"""

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import dramatiq
import uvloop
from dramatiq.asyncio import get_event_loop_thread

from shared.clock import Clock, utc_now
from shared.crypto import ServiceBox
from shared.db import POOL_SIZE, Database
from shared.log import describe, get_logger
from shared.messaging.broker import ChoudoBroker, events_queue, make_broker, receipts_queue
from shared.messaging.consumer import Consumer, Handlers, genuine_envelope, genuine_envelopes
from shared.messaging.due import DueHandler, DueLoop
from shared.messaging.receipts import ReceiptSender, genuine_receipts, settle
from shared.messaging.relay import Relay
from shared.messaging.replay import Replayer
from shared.messaging.stamps import Stamps
from shared.messaging.upkeep import Upkeep
from shared.stopping import end_in_time
from shared.telemetry import MESSAGES_REFUSED, serve_metrics
from shared.timekeeping import is_agreed, keep_time, wait_for_time

log = get_logger(__name__)

WORKER_THREADS = 8
# Threads and consumers are woken by what comes. This long they sleep when nothing does, or until they notice a stop.
WORKER_IDLE_MS = 1_000
# Among what this process has in hand, as dramatiq counts: the lower comes first.
SOON, LATER = 0, 10
ACTOR_TIMEOUT_S = 30
# Together less than `STOP_WITHIN_S`: the handlers' time, in which the loops end, too; then the last receipts.
HANDLERS_STOP_S = 10
LOOPS_STOP_S = 11
RECEIPTS_STOP_S = 5
LOOP_RESTART_PAUSE_S = 1.0

Loop = Callable[[], Coroutine[Any, Any, None]]


class Stopping(Exception):
    """The process ends before the database has told the time: what came is not begun, and comes again."""


class Worker:
    """One service's worker: `due_handlers` are for its rows of `due`; `make_loops` makes coroutine functions that run
    until cancelled, beside relay, receipts and what is due."""

    def __init__(
        self,
        *,
        database_url: str,
        pool_size: int = POOL_SIZE,
        service: str,
        redis_url: str,
        box: ServiceBox,
        make_handlers: Callable[[Database], Handlers],
        due_handlers: Mapping[str, DueHandler],
        make_loops: Callable[[Database, Clock, Relay], Sequence[Loop]],
        clock: Clock = utc_now,
        metrics_address: str | None = None,
    ) -> None:
        self._service = service
        self._database_url = database_url
        self._pool_size = pool_size
        self._clock = clock
        self._make_handlers = make_handlers
        self._due_handlers = due_handlers
        self._make_loops = make_loops
        self._metrics_address = metrics_address
        self._stamps = Stamps(box)
        self._broker: ChoudoBroker = make_broker(redis_url, self._stamps)
        self._worker = dramatiq.Worker(self._broker, worker_timeout=WORKER_IDLE_MS, worker_threads=WORKER_THREADS)
        self._loops: list[asyncio.Task[None]] = []
        self._answering: list[asyncio.Task[None]] = []
        self._db: Database | None = None
        self._is_time_agreed = asyncio.Event()
        # From zero: of a counter that begins at one, no alert sees the first.
        for kind in ("event", "receipts", "unreadable"):
            MESSAGES_REFUSED.labels(service, kind)

    def start(self) -> None:
        """Start threads and loops; returns at once."""
        # The actors need the loop's objects, and dramatiq makes its loop at boot: boot pauses until they are there.
        ready = threading.Event()
        self._declare_actors(ready)
        self._worker.start()
        self._run(self._open())
        ready.set()
        serve_metrics(self._metrics_address)
        log.info("worker_started", queues=[events_queue(self._service), receipts_queue(self._service)])

    def stop(self) -> None:
        """Finish what is in hand, close the loops, the database and the broker. Each has its time, and no more."""
        thread = get_event_loop_thread()
        assert thread is not None
        # Who waits for a database that is away goes home.
        thread.loop.call_soon_threadsafe(self._is_time_agreed.set)
        asyncio.run_coroutine_threadsafe(_end(self._loops, LOOPS_STOP_S), thread.loop)
        # What is in hand may still send receipts; they and the engine close on their own loop, just before it ends.
        closing = _CloseBeforeLoopStops(self._close)
        self._broker.add_middleware(closing, after=dramatiq.middleware.AsyncIO)
        self._worker.stop(timeout=HANDLERS_STOP_S * 1_000)
        self._broker.close()
        log.info("worker_stopped")

    def run_until_signalled(self) -> None:
        """Run until SIGTERM or SIGINT."""
        done = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: done.set())
        # dramatiq makes the loop: this is how it is told which.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        self.start()
        # What the process is made of stays until the end: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        while not done.wait(0.5):
            pass
        end_in_time()
        self.stop()

    def _declare_actors(self, ready: threading.Event) -> None:
        # Whatever somebody wrote to the queue, in whatever shape: what lacks its stamp goes no further.
        async def consume(*, envelope: object = None, stamp: object = None, **__: object) -> None:
            async with self._in_hand(ready):
                genuine = genuine_envelope(self._service, envelope, stamp, self._stamps)
                if genuine is not None:
                    await self._consumer.consume(genuine)

        async def consume_bulk(*, together: object = None, **__: object) -> None:
            async with self._in_hand(ready):
                await self._consumer.consume_together(genuine_envelopes(self._service, together, self._stamps))

        async def receive_receipts(*, receipts: object = None, stamp: object = None, **__: object) -> None:
            async with self._in_hand(ready):
                assert self._db is not None
                genuine = genuine_receipts(self._service, receipts, stamp, self._stamps)
                if genuine:
                    await settle(self._db, genuine, self._clock)

        name = self._service
        # A queue has one actor, of its own name: no message says who is to read it.
        for queue, actor, priority in (
            (events_queue(name), consume, SOON),
            (receipts_queue(name), receive_receipts, SOON),
            (events_queue(name, bulk=True), consume_bulk, LATER),
        ):
            dramatiq.actor(broker=self._broker, actor_name=queue, queue_name=queue, priority=priority)(actor)

    @asynccontextmanager
    async def _in_hand(self, ready: threading.Event) -> AsyncIterator[None]:
        await _wait_for(ready)
        try:
            async with asyncio.timeout(ACTOR_TIMEOUT_S):
                await self._wait_for_time()
                yield
        except Exception as error:  # noqa: BLE001 dramatiq would log the whole message and keep it for a week
            # What it was about comes again from PostgreSQL.
            log.error("message_failed", **describe(error))

    async def _open(self) -> None:
        db = self._db = Database(self._database_url, service=self._service, pool_size=self._pool_size)
        receipts = ReceiptSender(self._broker)
        handlers = self._make_handlers(db)
        self._consumer = Consumer(db, handlers, receipts.send, self._clock)
        replayer = Replayer(db, handlers, receipts.send_now, self._clock)
        relay = Relay(db, self._broker, self._clock)
        db.when_told(relay.wake)
        due = DueLoop(db, self._due_handlers, self._clock)
        # Apart: what a day asks for does not wait behind ten thousand replays, nor behind a broker that is away.
        replays = DueLoop(db, replayer.due_handlers, self._clock)
        upkeep = Upkeep(db, self._clock)
        loops = [relay.run, due.run, replays.run, upkeep.run, *self._make_loops(db, self._clock, relay)]
        loops = [self._keep_time, *map(self._in_time, loops)]
        self._loops = [asyncio.create_task(_keep_running(loop)) for loop in loops]
        self._answering = [asyncio.create_task(_keep_running(receipts.run))]

    async def _keep_time(self) -> None:
        assert self._db is not None
        await wait_for_time(self._db, self._clock)
        self._is_time_agreed.set()
        await keep_time(self._db, self._clock)

    async def _wait_for_time(self) -> None:
        await self._is_time_agreed.wait()
        if not is_agreed(self._clock):
            raise Stopping

    def _in_time(self, loop: Loop) -> Loop:
        """Nothing is judged by a time that nobody else may share."""

        async def run() -> None:
            await self._wait_for_time()
            await loop()

        return run

    async def _close(self) -> None:
        await asyncio.wait(self._loops, timeout=LOOPS_STOP_S)
        await _end(self._answering, RECEIPTS_STOP_S)
        assert self._db is not None
        await self._db.dispose()

    @staticmethod
    def _run(coroutine: Coroutine[Any, Any, None]) -> None:
        thread = get_event_loop_thread()
        assert thread is not None
        thread.run_coroutine(coroutine)


class _CloseBeforeLoopStops(dramatiq.Middleware):
    def __init__(self, close: Loop) -> None:
        self._close = close

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        thread = get_event_loop_thread()
        if thread is not None:
            thread.run_coroutine(self._close())


async def _wait_for(ready: threading.Event) -> None:
    while not ready.is_set():
        await asyncio.sleep(0.01)


async def _end(tasks: Sequence[asyncio.Task[None]], within_s: float) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=within_s)


async def _keep_running(loop: Loop) -> None:
    while True:
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - one loop's bug must not stop the others
            log.error("loop_died", **describe(error))
            await asyncio.sleep(LOOP_RESTART_PAUSE_S)
