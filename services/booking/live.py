"""Telling the tablets that the line changed: one look per change, town and process, shared by all of its connections.

Steps of the line say so with their commit (`commands/nudge.py`), and one connection per process hears it. What does
not say so (a booking for today, a name that arrives), and what was said while nobody heard, the next poll finds.
"""

import asyncio
import contextlib
import hashlib
import signal
import threading
from collections.abc import AsyncIterator
from datetime import date
from types import FrameType
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from services.booking.commands.nudge import LINE_CHANNEL
from services.booking.queries.line import LineMark, read_line_marks
from shared.clock import Clock, jst_day
from shared.db import Database
from shared.log import describe, get_logger

log = get_logger(__name__)

POLL_INTERVAL_S = 0.4
FAILED_PAUSE_S = 2.0
HEARTBEAT_S = 15.0
MARK_DIGITS = 16


class _Town:
    def __init__(self) -> None:
        # None: nobody has looked yet.
        self.marks: dict[str, LineMark] | None = None
        self.day: date | None = None
        self.changed = asyncio.Event()
        self.nudged = asyncio.Event()
        self.listeners = 0
        self.poller: asyncio.Task[None] | None = None

    def mark(self, office: str | None) -> str | None:
        if self.marks is None:
            return None
        seen = sorted((name, mark) for name, mark in self.marks.items() if office in (None, name))
        return hashlib.sha256(msgspec.json.encode((self.day, office, seen))).hexdigest()[:MARK_DIGITS]

    def ring(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class LineWatch:
    """One per process. Its followers end when the server is told to stop, so that it need not wait for them."""

    def __init__(self, db: Database, clock: Clock, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._db = db
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._towns: dict[str, _Town] = {}
        self._listener: asyncio.Task[None] | None = None
        self._stopping = False
        self._listens_for_signals = False

    async def follow(self, municipality: str, office: str | None, *, seen: str | None = None) -> AsyncIterator[bool]:
        """True whenever the line of the office (None: of the town) changed, False when nothing did for a while.

        `seen` is the mark of the line that the follower has: True comes at once if it is another one by now.
        """
        self._listen_for_signals()
        town = self._towns.setdefault(municipality, _Town())
        town.listeners += 1
        if town.poller is None:
            town.poller = asyncio.create_task(self._poll(municipality, town))
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        try:
            while not self._stopping:
                mark = town.mark(office)
                if mark is not None and mark != seen:
                    seen = mark
                    yield True
                    continue
                try:
                    await asyncio.wait_for(town.changed.wait(), self._heartbeat_s)
                except TimeoutError:
                    yield False
        finally:
            town.listeners -= 1
            if town.listeners == 0:
                if town.poller is not None:
                    town.poller.cancel()
                    town.poller = None
                self._towns.pop(municipality, None)
            if not self._towns and self._listener is not None:
                self._listener.cancel()
                self._listener = None

    def mark(self, municipality: str, office: str | None) -> str | None:
        """What the line of the office (None: of the town) is known by, the same in every process; None: not known."""
        town = self._towns.get(municipality)
        return None if town is None else town.mark(office)

    async def stop(self) -> None:
        """End every follower."""
        self._stopping = True
        tasks = [self._listener]
        self._listener = None
        for town in list(self._towns.values()):
            town.ring()
            tasks.append(town.poller)
            town.poller = None
        for task in tasks:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _poll(self, municipality: str, town: _Town) -> None:
        while True:
            # Before the look: what is said during it may have come too late for it.
            town.nudged.clear()
            day = jst_day(self._clock())
            try:
                async with self._db.begin(municipality) as session:
                    marks = await read_line_marks(session, municipality, day)
            except (SQLAlchemyError, OSError) as error:
                # The database is away: tablets go on showing the line that they have.
                log.warning("line_watch_failed", **describe(error))
                await asyncio.sleep(FAILED_PAUSE_S)
                continue
            if (day, marks) != (town.day, town.marks):
                town.day, town.marks = day, marks
                town.ring()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(town.nudged.wait(), POLL_INTERVAL_S)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._db.listen(LINE_CHANNEL, self._hear) as lost:
                    for municipality in self._towns:
                        self._hear(municipality)  # what was said while nobody listened
                    await lost.wait()
            except (SQLAlchemyError, OSError) as error:
                log.warning("line_unheard", **describe(error))
            # Meanwhile the polls go on.
            await asyncio.sleep(FAILED_PAUSE_S)

    def _hear(self, municipality: str) -> None:
        if municipality in self._towns:
            self._towns[municipality].nudged.set()

    def _listen_for_signals(self) -> None:
        """The server waits for open streams before it shuts the application down: hear its signal beside it."""
        if self._listens_for_signals or threading.current_thread() is not threading.main_thread():
            return
        self._listens_for_signals = True
        loop = asyncio.get_running_loop()

        def stop_following() -> None:
            self._stopping = True
            for town in self._towns.values():
                town.ring()

        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)

            def handle(signum: int, frame: FrameType | None, before: Any = before) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(stop_following)
                if callable(before):
                    before(signum, frame)

            if callable(before):
                signal.signal(number, handle)
