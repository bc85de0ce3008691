"""The ways that take somebody's hands: a letter waits to be printed, a call to be made. Both are rows of ours.

A row is there once for each key, so that a repetition makes no second letter, and nobody's telephone ring twice.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.calls import list_call
from services.notifications.commands.letters import queue_letter
from services.notifications.domain.outcomes import Outcome
from services.notifications.domain.providers import CALL_LIST, PRINT_QUEUE
from services.notifications.letters.letter import CannotBePrinted, Letter, Written, read_address
from services.notifications.orders import read_key
from services.notifications.senders.sender import NOT_STARTED, START_WITHIN_S, TIMEOUT_S, Message, Report, Sender
from services.notifications.senders.text_limit import UCS2_PARTS
from shared.clock import Clock
from shared.crypto import SubjectVault
from shared.db import Database
from shared.log import describe, get_logger

log = get_logger(__name__)

_PHONE = re.compile(r"\+?[0-9]{6,15}")

# Puts a message where staff find it; None: its notice is gone. Raises ValueError: it is none that staff can carry.
Put = Callable[[AsyncSession, Message], Awaitable[str | None]]


class ByHand:
    """Puts messages into our own database, each in a transaction of its own."""

    # What is read or said aloud is as long as it is.
    limit = UCS2_PARTS
    is_idempotent = True

    def __init__(self, name: str, db: Database, put: Put) -> None:
        self.name = name
        self._db = db
        self._put = put

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        """Put each of them, one after the other."""
        loop = asyncio.get_running_loop()
        start_by = loop.time() + START_WITHIN_S
        for message in messages:
            await report(message.key, await self._send(message) if loop.time() < start_by else NOT_STARTED)

    async def close(self) -> None:
        """The database is the loop's."""

    async def _send(self, message: Message) -> Outcome:
        is_put = False
        try:
            municipality, _notice, _way = read_key(message.key)
            async with asyncio.timeout(TIMEOUT_S), self._db.begin(municipality) as session:
                ref = await self._put(session, message)
                is_put = True
        except CannotBePrinted as error:
            return Outcome(kind="permanent", error_code=error.code)
        except (ValueError, msgspec.DecodeError):
            return Outcome(kind="permanent", error_code="no_message")
        except Exception as error:  # noqa: BLE001 - the database is away: whatever it says, the next one may go
            log.warning("not_put", provider=self.name, **describe(error))
            return Outcome(kind="unknown" if is_put else "temporary", error_code="database")
        if ref is None:
            return Outcome(kind="permanent", error_code="erased")
        return Outcome(kind="accepted", provider_ref=ref)


def senders_by_hand(db: Database, vault: SubjectVault, clock: Clock) -> dict[str, Sender]:
    """Both, by their provider's name. They are there in every installation."""

    async def put_letter(session: AsyncSession, message: Message) -> str | None:
        read_address(message.to)
        letter = Letter(to=message.to, written=msgspec.json.decode(message.content, type=Written))
        return await queue_letter(session, vault, message.key, letter, now=clock())

    async def put_call(session: AsyncSession, message: Message) -> str | None:
        if not _PHONE.fullmatch(message.to):
            raise ValueError("no number")
        return await list_call(session, message.key, now=clock())

    return {PRINT_QUEUE: ByHand(PRINT_QUEUE, db, put_letter), CALL_LIST: ByHand(CALL_LIST, db, put_call)}
