"""A file on its way in: scanned, made anew, and what will be kept scanned as well. Nothing is stored here."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.routing.attachments.cleaning import Cleaned, Cleaner
from services.routing.attachments.scanning import Scanner
from shared.errors import Refusal

# Each holds up to one file in memory or a temporary file, from its first byte until it is scanned and made anew.
READ_AT_ONCE = 16
# Slow senders behind one address take no other's turn. A town hall may share an address.
READ_AT_ONCE_PER_ADDRESS = 4


class Receiving:
    """How this process takes files in."""

    def __init__(self, scanner: Scanner, cleaner: Cleaner | None = None, *, read_at_once: int = READ_AT_ONCE) -> None:
        self._scanner = scanner
        self._cleaner = cleaner or Cleaner()
        self._reading = asyncio.Semaphore(read_at_once)
        self._by_address: Counter[str] = Counter()

    @asynccontextmanager
    async def receiving(self, address: str) -> AsyncIterator[None]:
        """While somebody's file comes in, and is looked at.

        Raises:
            Refusal: `attachment_busy` (503), too many others' do, or too many from this address.
        """
        if self._reading.locked() or self._by_address[address] >= READ_AT_ONCE_PER_ADDRESS:
            raise Refusal("attachment_busy", 503)
        self._by_address[address] += 1
        try:
            async with self._reading:
                yield
        finally:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def take(self, data: bytes) -> Cleaned:
        """The file made anew, with nothing found in it, before or after.

        Raises:
            Refusal: as `Scanner.scan` and `Cleaner.clean` do.
        """
        await self._scanner.scan(data)
        cleaned = await self._cleaner.clean(data)
        await self._scanner.scan(cleaned.body)
        return cleaned
