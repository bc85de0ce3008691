"""What an application works on: its database, its clock and what else its handlers ask for.

Routes are made once in a process, which takes a good part of a second; what they work on comes with each request.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from shared.clock import Clock
from shared.db import Database
from shared.timekeeping import agree_on_time, keep_time
from shared.web.town import TownDirectory
from shared.web.town_texts import TownTextDirectory

IsSessionEnded = Callable[[Database, str, str], Awaitable[bool]]

EnterTown = Callable[[str], Awaitable[None]]


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one application. `asked` is what its own handlers ask for, by name."""

    service: str
    db: Database
    clock: Clock
    towns: TownDirectory
    town_texts: TownTextDirectory
    token_public_keys: tuple[str, ...]
    is_session_ended: IsSessionEnded
    secure: bool
    asked: Mapping[str, Any]
    # Told the municipality before each request of one, for what stands around it beside the town's texts.
    enter_town: EnterTown | None = None
    on_shutdown: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """What goes on as long as the application does. It closes the database when it shuts down."""
        await self.towns.prepare()
        await agree_on_time(self.db, self.clock)
        keeping = asyncio.create_task(keep_time(self.db, self.clock))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        if self.on_shutdown is not None:
            await self.on_shutdown()
        await self.db.dispose()


def parts_of(scope: Mapping[str, Any]) -> Parts:
    """The parts of the application that a request was sent to."""
    return cast("Parts", scope["state"]["parts"])
