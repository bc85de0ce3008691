"""The consumer: applies each event once, in one transaction with its inbox row, and answers with a receipt.

Handlers are plain functions that tests can await: `async def on_x(session, event, *, now)`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import Clock
from shared.db import Database, Prepared, again_after_deadlock
from shared.erasure import is_about_erased, is_erased
from shared.errors import Poison
from shared.events.base import Event
from shared.events.subscriptions import EVENT_TYPES, SERVICES
from shared.faults import pass_step
from shared.log import describe, get_logger
from shared.messaging.broker import Envelope, Receipt
from shared.messaging.dead_letters import INBOX_TELLS, OLDER_THAN_INBOX
from shared.messaging.outbox import work_in_bulk
from shared.messaging.stamps import Stamps
from shared.telemetry import EVENTS_CONSUMED, MESSAGES_REFUSED, PICKUP_SECONDS

log = get_logger(__name__)

# After so many attempts an event is mourned as a dead letter, and its publisher told to stop.
ATTEMPT_LIMIT = 12
REASON_MAX_LENGTH = 200


class Handler(Protocol):
    """Applies one event inside the caller's transaction. May raise `Poison`; any other error means: try again later."""

    async def __call__(self, session: AsyncSession, event: Any, *, now: datetime) -> None: ...


Handlers = Mapping[type[Event], Handler]
_Known = tuple[Envelope, Event, Handler]
SendReceipt = Callable[[str, Receipt], Awaitable[None]]

_COUNT = """
    INSERT INTO {schema}.inbox (municipality, event_id, attempts, seen_at) VALUES (:municipality, :event_id, 2, :now)
    ON CONFLICT (municipality, event_id) DO UPDATE SET attempts = inbox.attempts + 1
    RETURNING attempts, outcome
"""
_CLAIM = """
    INSERT INTO {schema}.inbox (municipality, event_id, seen_at, applied_at, outcome)
    SELECT :municipality, told, :now, :now, 'applied' FROM unnest(CAST(:event_ids AS uuid[])) AS told ORDER BY told
    ON CONFLICT (municipality, event_id) DO UPDATE SET applied_at = :now, outcome = 'applied'
    WHERE inbox.outcome IS NULL
    RETURNING event_id, seen_at
"""
_MOURN = """
    INSERT INTO {schema}.dead_letter
        (municipality, event_id, publisher, type, payload, sealed, attempts, reason, died_at)
    VALUES (:municipality, :event_id, :publisher, :type, :payload, :sealed, :attempts, :reason, :now)
    ON CONFLICT DO NOTHING
"""
_REFUSE = """
    INSERT INTO {schema}.inbox (municipality, event_id, seen_at, applied_at, outcome)
    VALUES (:municipality, :event_id, :now, :now, 'refused')
    ON CONFLICT (municipality, event_id) DO UPDATE SET applied_at = :now, outcome = 'refused'
    WHERE inbox.outcome IS NULL
    RETURNING event_id
"""
# What all services publish alike, each of its own ledger.
_OF_LEDGERS = "ledger."
_OUTCOME = (
    "SELECT outcome FROM {schema}.inbox WHERE (municipality, event_id) = (:municipality, CAST(:event_id AS uuid))"
)


class _Stamped(msgspec.Struct):
    envelope: object = None
    stamp: object = None


class _OfLedger(msgspec.Struct):
    service: str


class Consumer:
    """One service's consumer of all the events that it subscribes to."""

    def __init__(self, db: Database, handlers: Handlers, send_receipt: SendReceipt, clock: Clock) -> None:
        self._db = db
        self._handlers = handlers
        self._send_receipt = send_receipt
        self._clock = clock
        self._count = text(_COUNT.format(schema=db.service))
        self._claim = Prepared(_CLAIM.format(schema=db.service))
        self._mourn = text(_MOURN.format(schema=db.service))
        self._refuse = text(_REFUSE.format(schema=db.service))
        self._outcome = text(_OUTCOME.format(schema=db.service))

    async def consume(self, envelope: Envelope, *, bulk: bool = False) -> None:
        """Apply one message's event, whether new, repeated or out of order, and send its receipt.

        What follows from one that came in bulk is bulk, too.
        """
        try:
            outcome = await self._apply(envelope, bulk=bulk)
        except Poison as poison:
            outcome = await self._give_up(envelope, poison.reason)
        except Exception as error:  # noqa: BLE001 - anything else may pass with time: the relay will come again
            log.error("event_failed", type=envelope.type, event_id=envelope.event_id, **describe(error))
            EVENTS_CONSUMED.labels(self._db.service, "failed").inc()
            return
        await self._answer(envelope, outcome)

    async def consume_together(self, envelopes: Sequence[Envelope]) -> None:
        """Apply what came in one bulk message: in one transaction, or, if anything is amiss with any, each in its own.

        A transaction costs more than most of what is done in it.
        """
        outcomes = await self._apply_together(envelopes) if len(envelopes) > 1 else None
        if outcomes is None:
            for envelope in envelopes:
                await self.consume(envelope, bulk=True)
            return
        for envelope, outcome in zip(envelopes, outcomes, strict=True):
            await self._answer(envelope, outcome)

    async def _answer(self, envelope: Envelope, outcome: str) -> None:
        EVENTS_CONSUMED.labels(self._db.service, outcome).inc()
        receipt = Receipt(
            municipality=envelope.municipality,
            event_id=envelope.event_id,
            consumer=envelope.consumer,
            outcome=outcome,
        )
        await self._send_receipt(envelope.publisher, receipt)

    async def _apply(self, envelope: Envelope, *, bulk: bool) -> str:
        now = self._receive()
        if envelope.attempt > 1:
            # Counted in a transaction of its own, so that a message that kills its worker does not loop for ever.
            key = {"municipality": envelope.municipality, "event_id": envelope.event_id, "now": now}
            async with self._db.begin_across_towns() as session:
                seen = (await session.execute(self._count, key)).one()
            pass_step("consumer.counted")
            if seen.outcome is not None:
                return str(seen.outcome)
            if seen.attempts > ATTEMPT_LIMIT:
                return await self._give_up(envelope, "attempts")
        known = self._read([envelope], now=now)
        try:
            [outcome] = await again_after_deadlock(partial(self._apply_all, known, bulk=bulk, now=now))
        except DBAPIError as error:
            if not is_erased(error):
                raise
            return await self._pass_over(envelope, now=now)
        return outcome

    async def _apply_together(self, envelopes: Sequence[Envelope]) -> list[str] | None:
        """The outcomes; None if each must be looked at by itself."""
        town = envelopes[0].municipality
        if any(envelope.attempt > 1 or envelope.municipality != town for envelope in envelopes):
            return None
        now = self._receive()
        try:
            return await self._apply_all(self._read(envelopes, now=now), bulk=True, now=now)
        except Exception as error:  # noqa: BLE001 - whichever it is: alone, it gets what it deserves
            log.info("bulk_taken_apart", count=len(envelopes), **describe(error))
            return None

    def _receive(self) -> datetime:
        pass_step("consumer.received")
        return self._clock()

    def _read(self, envelopes: Sequence[Envelope], *, now: datetime) -> list[_Known]:
        known = [(envelope, *read_envelope(envelope, self._handlers)) for envelope in envelopes]
        for _, event, _ in known:
            PICKUP_SECONDS.labels(self._db.service).observe(max(0.0, (now - event.occurred_at).total_seconds()))
        return known

    async def _apply_all(self, known: Sequence[_Known], *, bulk: bool, now: datetime) -> list[str]:
        """Claim and apply events of one town in one transaction; what became of each."""
        town = known[0][0].municipality
        outcomes = []
        async with self._db.begin(town) as session:
            claimed = await self._claim_all(session, [envelope for envelope, _, _ in known], now=now)
            pass_step("consumer.claimed")
            if bulk:
                work_in_bulk(session)
            for envelope, event, handler in known:
                seen_at = claimed.get(UUID(envelope.event_id))
                if seen_at is None:
                    outcomes.append(await self._decided(session, envelope))
                    continue
                if seen_at - event.occurred_at > INBOX_TELLS:
                    raise Poison(OLDER_THAN_INBOX)
                await handler(session, event, now=now)
                outcomes.append("applied")
            pass_step("consumer.applied")
        pass_step("consumer.committed")
        return outcomes

    async def _claim_all(
        self, session: AsyncSession, envelopes: Sequence[Envelope], *, now: datetime
    ) -> dict[UUID, datetime]:
        """When those that are ours to apply were first seen."""
        told = {
            "municipality": envelopes[0].municipality,
            "event_ids": [envelope.event_id for envelope in envelopes],
            "now": now,
        }
        return {row.event_id: row.seen_at for row in await self._claim.rows(session, told)}

    async def _pass_over(self, envelope: Envelope, *, now: datetime) -> str:
        """Whoever it is about was erased meanwhile: it is done with, and brings nothing back."""
        async with self._db.begin_across_towns() as session:
            if await self._claim_all(session, [envelope], now=now):
                return "applied"
            return await self._decided(session, envelope)

    async def _give_up(self, envelope: Envelope, reason: str) -> str:
        # Of whoever was erased nothing is kept, nor in a dead letter.
        if await is_about_erased(self._db, envelope.municipality, envelope.payload):
            return await self._pass_over(envelope, now=self._clock())
        letter = {
            "municipality": envelope.municipality,
            "event_id": envelope.event_id,
            "publisher": envelope.publisher,
            "type": envelope.type,
            "payload": envelope.payload.encode(),
            "sealed": envelope.sealed,
            "attempts": envelope.attempt,
            "reason": reason[:REASON_MAX_LENGTH],
            "now": self._clock(),
        }
        async with self._db.begin_across_towns() as session:
            refused = await session.execute(
                self._refuse, {name: letter[name] for name in ("municipality", "event_id", "now")}
            )
            if refused.one_or_none() is None:  # another copy of the message was quicker
                return await self._decided(session, envelope)
            await session.execute(self._mourn, letter)
        log.error("event_dead", type=envelope.type, event_id=envelope.event_id, reason=reason)
        return "refused"

    async def _decided(self, session: AsyncSession, envelope: Envelope) -> str:
        key = {"municipality": envelope.municipality, "event_id": envelope.event_id}
        return str((await session.execute(self._outcome, key)).scalar_one())


def genuine_envelope(service: str, envelope: object, stamp: object, stamps: Stamps) -> Envelope | None:
    """What was on the queue, if its publisher stamped it for us and may say such a thing; else None.

    A forgery leaves no trace but a count and a log line: an inbox row or a dead letter under an id that somebody made
    up could stand in the way of the real event.
    """
    try:
        known = msgspec.convert(envelope, Envelope)
    except msgspec.ValidationError:
        known = None
    if (
        known is not None
        and known.consumer == service
        # Of what was sent: its publisher's version may say more than ours understands.
        and stamps.hold(known.publisher, envelope, stamp)
        and _is_publishers_own(known)
    ):
        return known
    MESSAGES_REFUSED.labels(service, "event").inc()
    # Whom it names is a hint for an operator whose services have been given each other's wrong keys.
    named = known.publisher if known is not None and known.publisher in SERVICES else None
    log.error("event_not_genuine", publisher=named)
    return None


def genuine_envelopes(service: str, together: object, stamps: Stamps) -> list[Envelope]:
    """What came together in bulk, without what is not genuine."""
    try:
        known = msgspec.convert(together, list[_Stamped])
    except msgspec.ValidationError:
        known = [_Stamped()]
    read = (genuine_envelope(service, each.envelope, each.stamp, stamps) for each in known)
    return [envelope for envelope in read if envelope is not None]


def _is_publishers_own(envelope: Envelope) -> bool:
    """A service tells of itself only: its own events, and the entries and checkpoints of its own ledger."""
    if not envelope.type.startswith(_OF_LEDGERS):
        return envelope.type.startswith(f"{envelope.publisher}.")
    try:
        return msgspec.json.decode(envelope.payload, type=_OfLedger).service == envelope.publisher
    except (msgspec.DecodeError, RecursionError):
        return False


def read_envelope(envelope: Envelope, handlers: Handlers) -> tuple[Event, Handler]:
    """The event in a message, and who applies it.

    Raises:
        Poison: `unknown_type`, `undecodable`, `no_handler`.
    """
    kind = EVENT_TYPES.get(envelope.type)
    if kind is None:
        raise Poison("unknown_type")
    try:
        event = msgspec.json.decode(envelope.payload, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Poison("undecodable") from error
    handler = handlers.get(kind)
    if handler is None:
        raise Poison("no_handler")
    return msgspec.structs.replace(event, sealed=envelope.sealed), handler
