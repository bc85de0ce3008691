"""Replaying a dead letter: the service's own worker applies the event under its own id, once, whatever else comes."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import Clock
from shared.db import Database, is_deadlock
from shared.erasure import is_erased
from shared.errors import Poison
from shared.log import describe, get_logger
from shared.messaging.broker import Envelope, Receipt
from shared.messaging.consumer import REASON_MAX_LENGTH, Handlers, SendReceipt, read_envelope
from shared.messaging.dead_letters import DUE_ENDED, DUE_REPLAY, end_letter
from shared.messaging.due import DueHandler, schedule
from shared.messaging.outbox import work_in_bulk

log = get_logger(__name__)

# Why a replay had no effect, besides what a handler says: its worker ended on the way, perhaps because of it; or what
# was sealed was destroyed between the operator's asking and the worker's coming to it.
BROKEN_OFF, SEALED_GONE = "broken_off", "sealed_gone"
# The publisher does not ask again, and one message may get lost: it is told more often. What it knows, it ignores.
TELL_AGAIN_AFTER = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))

_SAVEPOINT, _UNDO = text("SAVEPOINT replay"), text("ROLLBACK TO SAVEPOINT replay")
_BEGIN = """
    UPDATE {schema}.dead_letter SET attempts = attempts + 1, replay_begun_at = :now
    WHERE (municipality, event_id) = (:municipality, :event_id) AND replay_begun_at IS NULL RETURNING event_id
"""
_LOCK = """
    SELECT municipality, event_id, publisher, type, payload, sealed, sealed_gone_at, attempts FROM {schema}.dead_letter
    WHERE (municipality, event_id) = (:municipality, :event_id) FOR UPDATE
"""
_KEEP = """
    UPDATE {schema}.dead_letter SET reason = :reason, replay_begun_at = NULL
    WHERE (municipality, event_id) = (:municipality, :event_id)
"""
# What stands in the way of every copy of the message stands in the way of a second replay, too.
_CLAIM = """
    UPDATE {schema}.inbox SET outcome = 'applied', applied_at = :now
    WHERE (municipality, event_id) = (:municipality, :event_id) AND outcome = 'refused' RETURNING event_id
"""


class Replayer:
    """One service's replays, and the receipts that end them: handlers of `due` rows."""

    def __init__(self, db: Database, handlers: Handlers, send_receipt: SendReceipt, clock: Clock) -> None:
        self._db = db
        self._handlers = handlers
        self._send_receipt = send_receipt
        self._clock = clock
        self._begin = text(_BEGIN.format(schema=db.service))
        self._lock = text(_LOCK.format(schema=db.service))
        self._keep = text(_KEEP.format(schema=db.service))
        self._claim = text(_CLAIM.format(schema=db.service))

    @property
    def due_handlers(self) -> dict[str, DueHandler]:
        """What this does when it is due."""
        return {DUE_REPLAY: self.replay, DUE_ENDED: self.tell_publisher}

    async def replay(self, session: AsyncSession, municipality: str, event_id: str, now: datetime) -> None:
        """Apply the event and remove its letter, in this one transaction; or keep the letter and say why not."""
        key = {"municipality": municipality, "event_id": UUID(event_id)}
        # In a transaction of its own: should this replay kill its worker, the next one finds it begun, and stops there.
        async with self._db.begin_across_towns() as counting:
            begun = (await counting.execute(self._begin, key | {"now": now})).one_or_none()
        if begun is None:  # or gone: then there is nothing to keep
            await session.execute(self._keep, key | {"reason": BROKEN_OFF})
            return
        letter = (await session.execute(self._lock, key)).one_or_none()
        if letter is None:  # discarded meanwhile
            return
        if letter.sealed_gone_at is not None:
            await session.execute(self._keep, key | {"reason": SEALED_GONE})
            return
        await session.execute(_SAVEPOINT)
        try:
            try:
                await self._apply(session, letter, now)
            except DBAPIError as error:
                if not is_deadlock(error):
                    raise
                await session.execute(_UNDO)
                await self._apply(session, letter, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, the operator sees it at the letter
            await session.execute(_UNDO)
            if is_erased(error):
                # Whoever it is about was erased meanwhile: it is done with, and brings nothing back.
                await session.execute(self._claim, key | {"now": now})
                await self._end(session, letter)
                return
            reason = error.reason if isinstance(error, Poison) else f"failed:{type(error).__name__}"
            log.error("replay_failed", type=letter.type, event_id=event_id, reason=reason, **describe(error))
            await session.execute(self._keep, key | {"reason": reason[:REASON_MAX_LENGTH]})
            return
        await self._end(session, letter)

    async def _end(self, session: AsyncSession, letter: Any) -> None:
        service, town = self._db.service, letter.municipality
        await end_letter(session, service, town, letter.event_id, letter.publisher, "applied", now=self._clock())

    async def tell_publisher(self, session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        """Send the receipt of a letter that ended, and see to it that it is sent again.

        Raises:
            RedisError: the broker is away: the row stays due.
        """
        end, publisher, event_id, turn = ref.split(":")
        receipt = Receipt(municipality=municipality, event_id=event_id, consumer=self._db.service, outcome=end)
        await self._send_receipt(publisher, receipt)
        if int(turn) < len(TELL_AGAIN_AFTER):
            again = f"{end}:{publisher}:{event_id}:{int(turn) + 1}"
            due_at = now + TELL_AGAIN_AFTER[int(turn)]
            await schedule(
                session, self._db.service, municipality=municipality, kind=DUE_ENDED, ref=again, due_at=due_at
            )

    async def _apply(self, session: AsyncSession, letter: Any, now: datetime) -> None:
        key = {"municipality": letter.municipality, "event_id": letter.event_id, "now": now}
        if (await session.execute(self._claim, key)).one_or_none() is None:
            return
        envelope = Envelope(
            publisher=letter.publisher,
            consumer=self._db.service,
            municipality=letter.municipality,
            event_id=str(letter.event_id),
            type=letter.type,
            payload=bytes(letter.payload).decode(),
            sealed=letter.sealed,
            attempt=letter.attempts,
        )
        event, handler = read_envelope(envelope, self._handlers)
        # However many are replayed at once, what follows keeps out of the way of what somebody waits for now.
        work_in_bulk(session)
        await handler(session, event, now=now)
