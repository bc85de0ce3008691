"""Telling the tablets that the line changed: one poll per town and process, shared by all of its connections."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from services.booking.queries.line import LineMark, read_line_marks
from shared.clock import Clock, jst_day
from shared.db import Database
from shared.log import describe, get_logger

log = get_logger(__name__)

POLL_INTERVAL_S = 0.4
FAILED_PAUSE_S = 2.0
HEARTBEAT_S = 15.0


class _Town:
    def __init__(self) -> None:
        self.marks: dict[str, LineMark] = {}
        self.changed = asyncio.Event()
        self.listeners = 0
        self.poller: asyncio.Task[None] | None = None

    def mark(self, office: str | None) -> object:
        return self.marks.get(office) if office is not None else tuple(sorted(self.marks.items(), key=lambda kv: kv[0]))

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
        self._stopping = False
        self._listens_for_signals = False

    async def follow(self, municipality: str, office: str | None) -> AsyncIterator[bool]:
        """True whenever the line of the office (None: of the town) changed, False when nothing did for a while."""
        self._listen_for_signals()
        town = self._towns.setdefault(municipality, _Town())
        town.listeners += 1
        if town.poller is None:
            town.poller = asyncio.create_task(self._poll(municipality, town))
        try:
            seen = town.mark(office)
            while not self._stopping:
                try:
                    await asyncio.wait_for(town.changed.wait(), self._heartbeat_s)
                except TimeoutError:
                    yield False
                    continue
                if town.mark(office) != seen:
                    seen = town.mark(office)
                    yield True
        finally:
            town.listeners -= 1
            if town.listeners == 0 and town.poller is not None:
                town.poller.cancel()
                town.poller = None
                self._towns.pop(municipality, None)

    async def stop(self) -> None:
        """End every follower."""
        self._stopping = True
        for town in list(self._towns.values()):
            town.ring()
            if town.poller is not None:
                town.poller.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await town.poller
                town.poller = None

    async def _poll(self, municipality: str, town: _Town) -> None:
        while True:
            try:
                async with self._db.begin(municipality) as session:
                    marks = await read_line_marks(session, municipality, jst_day(self._clock()))
            except (SQLAlchemyError, OSError) as error:
                # The database is away: tablets go on showing the line that they have.
                log.warning("line_watch_failed", **describe(error))
                await asyncio.sleep(FAILED_PAUSE_S)
                continue
            if marks != town.marks:
                town.marks = marks
                town.ring()
            await asyncio.sleep(POLL_INTERVAL_S)

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
