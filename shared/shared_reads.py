"""One reads for all who ask the same at once: in a rush, the answer is worked out as often as there is time for it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class SharedReads:
    """Reads that are shared. Nobody gets an answer that was begun before they asked: what is running when they come is
    not theirs, they wait for the next, which is for all who have come meanwhile.

    Alone, a reader waits for nobody. What one read raises is raised for all of its readers.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}
        self._next: dict[Hashable, asyncio.Task[Any]] = {}

    async def read(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns, or that of somebody with the same key who asked at the same time.

        `work` depends on nothing but `key`, what is read, and when. A reader who leaves takes it from nobody.
        """
        running = self._running.get(key)
        if running is None:
            task = self._running[key] = _start(self._run(key, work))
        elif key in self._next:
            task = self._next[key]
        else:
            task = self._next[key] = _start(self._run_after(running, key, work))
        found: T = await asyncio.shield(task)
        return found

    async def _run_after(self, running: asyncio.Task[Any], key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        await asyncio.wait([running])
        return await self._run(key, work)

    async def _run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        finally:
            # Whoever comes from now on is too late for what was read, and for it alone.
            following = self._next.pop(key, None)
            if following is None:
                del self._running[key]
            else:
                self._running[key] = following


def _start(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    task = asyncio.create_task(work)
    # When all of its readers have left, nobody is there to hear of an error.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
