"""A file on its way in: scanned, made anew, and what will be kept scanned as well. Nothing is stored here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.routing.attachments.cleaning import Cleaned, Cleaner
from services.routing.attachments.scanning import Scanner
from shared.errors import Refusal

# Each holds up to one file in memory or a temporary file, as long as its sender takes.
READ_AT_ONCE = 16


class Receiving:
    """How this process takes files in."""

    def __init__(self, scanner: Scanner, cleaner: Cleaner | None = None, *, read_at_once: int = READ_AT_ONCE) -> None:
        self._scanner = scanner
        self._cleaner = cleaner or Cleaner()
        self._reading = asyncio.Semaphore(read_at_once)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """While somebody's file comes in.

        Raises:
            Refusal: `attachment_busy` (503), too many others' do.
        """
        if self._reading.locked():
            raise Refusal("attachment_busy", 503)
        async with self._reading:
            yield

    async def take(self, data: bytes) -> Cleaned:
        """The file made anew, with nothing found in it, before or after.

        Raises:
            Refusal: as `Scanner.scan` and `Cleaner.clean` do.
        """
        await self._scanner.scan(data)
        cleaned = await self._cleaner.clean(data)
        await self._scanner.scan(cleaned.body)
        return cleaned
