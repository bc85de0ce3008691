"""A way to a server that can be made to carry nothing any more, in either direction, while every connection stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

PART_BYTES = 65_536


class Stalling:
    """Between a process and a server: `url` leads to the server until `stall` is called."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    def stall(self) -> None:
        """As a server that was frozen, or a network that drops everything."""
        self._flowing.clear()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        who = self._parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._parts._replace(netloc=f"{who}@127.0.0.1:{port}"))

    async def close(self) -> None:
        """Drop everything."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed by the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        try:
            await self._flowing.wait()
            there, back = await asyncio.open_connection(self._parts.hostname, self._parts.port)
            ends.append(back)
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(PART_BYTES):
            await self._flowing.wait()
            writer.write(part)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def stalling(url: str) -> AsyncIterator[Stalling]:
    """One that flows."""
    made = Stalling(url)
    await made.start()
    try:
        yield made
    finally:
        await made.close()
