"""The web process with a ledger that nobody writes to, to see what writing it costs. See `ledger.py`."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from deploy.front import main
from shared.events.base import Event
from shared.ledger.entry import Entry
from shared.ledger.ledger import Ledger


def write_nothing() -> None:
    """Only what a command tells beside its entries is published."""

    async def write(self: Ledger, session: AsyncSession, *_: Entry, events: Sequence[Event] = ()) -> None:
        await self._outbox.publish(session, *events)

    Ledger.write = write  # type: ignore[method-assign]


if __name__ == "__main__":
    write_nothing()
    main()
