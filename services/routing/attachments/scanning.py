"""Scanners (ウイルス対策): one small Protocol, and clamd's (ClamAV) over its socket."""

import asyncio
from typing import Protocol
from urllib.parse import urlsplit

from shared.errors import Refusal
from shared.log import describe, get_logger

log = get_logger(__name__)

CLAMD_PORT = 3_310
CHUNK_BYTES = 65_536
LENGTH_BYTES = 4
ANSWER_MAX_BYTES = 1_024
SCANNING_MAX_S = 30.0


class BadScanner(ValueError):
    """The setting names no scanner that we know."""


class Scanner(Protocol):
    """Looks into a file before it is opened, and into what is kept of it."""

    async def scan(self, data: bytes) -> None:
        """Return when nothing was found.

        Raises:
            Refusal: `attachment_infected` (422), `attachment_unscanned` (503): there is no answer, so it is not taken.
        """


class NoScanner:
    """The town has none: files are made anew all the same."""

    async def scan(self, data: bytes) -> None:
        """Nothing is looked for."""


class Clamd:
    """clamd: `INSTREAM`, pieces with their length before them, one answer. A connection for each file."""

    def __init__(self, host: str, port: int, *, max_s: float = SCANNING_MAX_S) -> None:
        self._host = host
        self._port = port
        self._max_s = max_s

    async def scan(self, data: bytes) -> None:
        """Ask clamd. Only `OK` is taken for an answer that nothing was found."""
        try:
            async with asyncio.timeout(self._max_s):
                answer = await self._ask(data)
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            log.warning("scanner_away", **describe(error))
            raise Refusal("attachment_unscanned", 503) from None
        if answer.endswith(b" FOUND"):
            log.warning("attachment_infected")
            raise Refusal("attachment_infected", 422)
        if answer != b"stream: OK":
            log.warning("scanner_unsure")
            raise Refusal("attachment_unscanned", 503)

    async def _ask(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=ANSWER_MAX_BYTES)
        try:
            writer.write(b"zINSTREAM\0")
            for start in range(0, len(data), CHUNK_BYTES):
                piece = data[start : start + CHUNK_BYTES]
                writer.write(len(piece).to_bytes(LENGTH_BYTES, "big") + piece)
                await writer.drain()
            writer.write(bytes(LENGTH_BYTES))
            await writer.drain()
            return (await reader.readuntil(b"\0")).rstrip(b"\0")
        except asyncio.LimitOverrunError as error:
            raise ValueError("answer too long") from error
        finally:
            writer.transport.abort()


def make_scanner(setting: str | None) -> Scanner:
    """The scanner that the settings name: `clamd://host:port`, or none.

    Raises:
        BadScanner: it is another.
    """
    if not setting:
        return NoScanner()
    try:
        parts = urlsplit(setting)
        host, port = parts.hostname, parts.port or CLAMD_PORT
    except ValueError as error:
        raise BadScanner("CHOUDO_SCANNER") from error
    if parts.scheme != "clamd" or not host:
        raise BadScanner("CHOUDO_SCANNER")
    return Clamd(host, port)
