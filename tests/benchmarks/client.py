"""A small HTTP client on bare sockets, so that what is measured is the server: httpx costs more than a request of ours.

Connections are opened before the clock starts. At a steady rate, a request's time counts from the moment at which it
was due, so a server that stalls cannot hide it by being asked later.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

CONNECTIONS = 32
TIMEOUT_S = 90.0
NO_ANSWER = 0
HEAD_MAX_BYTES = 1 << 20


class Answer(msgspec.Struct, frozen=True):
    """What came back, and how long it took; the status is `NO_ANSWER` when nothing did in time."""

    status: int
    body: bytes
    seconds: float


class Connection:
    """One kept-alive connection. One request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> "Connection":
        """Connect to the server of a URL."""
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        return cls(*await asyncio.open_connection(parts.hostname, parts.port, limit=HEAD_MAX_BYTES))

    async def ask(self, request: bytes, *, since: float | None = None) -> Answer:
        """Send a request and read its answer; its time counts from `since`, or from now."""
        since = time.perf_counter() if since is None else since
        self._writer.write(request)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status, body = await self._read()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            status, body = NO_ANSWER, b""
        return Answer(status, body, time.perf_counter() - since)

    async def _read(self) -> tuple[int, bytes]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        lengths = (line[15:] for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:")
        return int(head[9:12]), await self._reader.readexactly(int(next(lengths, b"0")))

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(OSError):  # the server may have been quicker
            await self._writer.wait_closed()


def make_request(url: str, method: str, path: str, *, headers: Mapping[str, str] | None = None,
                 body: object = None, host: str | None = None) -> bytes:  # fmt: skip
    """The bytes of one request, from the same site; `body` becomes JSON."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host or urlsplit(url).netloc}",
        "Accept: application/json",
        "Sec-Fetch-Site: same-origin",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    if method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def ask_at_once(url: str, requests: Sequence[bytes]) -> list[Answer]:
    """Send all requests at the same moment, each on a connection of its own."""
    connections: list[Connection] = []
    try:
        for _ in requests:
            connections.append(await Connection.open(url))  # noqa: PERF401 - what was opened is closed, whatever happens
        began = time.perf_counter()
        return list(
            await asyncio.gather(
                *(
                    connection.ask(request, since=began)
                    for connection, request in zip(connections, requests, strict=True)
                )
            )
        )
    finally:
        for connection in connections:
            await connection.close()


async def ask_steadily(
    url: str, requests: Sequence[bytes], *, per_second: float, connections: int = CONNECTIONS
) -> list[Answer]:
    """Send the requests at a steady rate, whatever the answers take."""
    idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    everyone = [await Connection.open(url) for _ in range(connections)]
    for connection in everyone:
        idle.put_nowait(connection)

    async def send(request: bytes, due: float) -> Answer:
        connection = await idle.get()
        try:
            return await connection.ask(request, since=due)
        finally:
            idle.put_nowait(connection)

    began = time.perf_counter() + 0.1
    tasks = []
    for number, request in enumerate(requests):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(send(request, due)))
    answers = await asyncio.gather(*tasks)
    for connection in everyone:
        await connection.close()
    return list(answers)


async def ask_as_fast_as_possible(
    url: str, requests: Sequence[bytes], *, seconds: float, connections: int = CONNECTIONS
) -> tuple[list[Answer], float]:
    """Each connection sends one request after another until the time is over; the answers, and the seconds it took."""
    waiting = iter(requests)
    answers: list[Answer] = []
    everyone = [await Connection.open(url) for _ in range(connections)]
    began = time.perf_counter()

    async def keep_asking(connection: Connection) -> None:
        while time.perf_counter() - began < seconds and (request := next(waiting, None)) is not None:
            answers.append(await connection.ask(request))

    await asyncio.gather(*(keep_asking(connection) for connection in everyone))
    took = time.perf_counter() - began
    for connection in everyone:
        await connection.close()
    return answers, took
