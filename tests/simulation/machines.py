"""A service's worker as it is put together by `shared.messaging.worker` and the service, step by step in our hands."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking import consumers as booking_consumers
from services.booking.keys import Keys as BookingKeys
from services.booking.settings import load_settings as load_booking
from services.booking.worker import DUE_HANDLERS as BOOKING_DUE
from services.notifications import consumers as notifications_consumers
from services.notifications.domain.ways import WayKind
from services.notifications.keys import make_keys as make_notifications_keys
from services.notifications.providers.provider import Provider
from services.notifications.providers.providers import Providers
from services.notifications.sending import SendingLoop
from services.notifications.settings import load_settings as load_notifications
from services.notifications.worker import DUE_HANDLERS as NOTIFICATIONS_DUE
from services.routing import consumers as routing_consumers
from services.routing.keys import make_keys as make_routing_keys
from services.routing.settings import load_settings as load_routing
from services.routing.worker import DUE_HANDLERS as ROUTING_DUE
from shared.db import Database
from shared.events.base import Event
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.sealer import Sealer
from shared.messaging.broker import Receipt, events_queue, receipts_queue
from shared.messaging.consumer import Consumer, Handler, Handlers, genuine_envelope, genuine_envelopes
from shared.messaging.due import DueHandler, DueLoop
from shared.messaging.receipts import ReceiptSender, genuine_receipts, settle
from shared.messaging.relay import Relay
from shared.messaging.stamps import Stamps
from tests.shared.makers import make_outbox
from tests.simulation.clock import SimulatedClock
from tests.simulation.transport import Parcel, Transport

WAYS: dict[str, WayKind] = {"smtp": "email", "sms_gateway": "sms"}
_EFFECT = text("INSERT INTO simulation.effect (municipality, consumer, event_id) VALUES (:town, :consumer, :event_id)")


class Service:
    """What all seeds share: a service's database and keys."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        if name == "routing":
            settings = load_routing(environ)
            self.keys: Any = make_routing_keys(settings)
            self.handlers = routing_consumers.make_handlers()
            self.due: Mapping[str, DueHandler] = ROUTING_DUE
        elif name == "booking":
            booking = load_booking(environ)
            self.keys = BookingKeys.from_settings(booking)
            self.handlers = booking_consumers.make_handlers(self.keys)
            self.due = BOOKING_DUE
        else:
            notifications = load_notifications(environ)
            self.keys = make_notifications_keys(notifications)
            self.handlers = notifications_consumers.make_handlers(self.keys)
            self.due = NOTIFICATIONS_DUE
        self.db = Database(environ[f"CHOUDO_{name.upper()}_DATABASE_URL"], service=name, pool_size=4)
        self.stamps = Stamps(self.keys.box)
        self.outbox = make_outbox(name)


class Worker:
    """One service's worker process. `start` after a death begins with nothing in memory."""

    def __init__(
        self,
        service: Service,
        transport: Transport,
        clock: SimulatedClock,
        senders: Mapping[str, Any],
    ) -> None:
        self.service = service
        self.name = service.name
        self.db = service.db
        self._transport = transport
        self._clock = clock.of(service.name)
        self._senders = senders
        # Its handlers take so long that the receipts' loop has a turn before they have committed.
        self.is_slow = False
        self._handlers = _counted(service.name, service.handlers, self._meanwhile)
        self.start()

    def start(self) -> None:
        """A new process."""
        broker = self._transport.broker_for(self.service.stamps)
        self._receipts = ReceiptSender(broker)
        self._answers = 0
        self._consumer = Consumer(self.db, self._handlers, self._answer, self._clock)
        self._relay = Relay(self.db, broker, self._clock)
        self._due = DueLoop(self.db, self.service.due, self._clock)
        self._sealer = Sealer(self.db)
        self._relay.tell(self._sealer.look_in)

    async def publish(self) -> int:
        """A round of the relay: a look, and what is due."""
        return await self._relay.publish_due() if await self._relay.is_anything_due() else 0

    async def look_at_broker(self, *, was_away: bool) -> None:
        """The relay's look at whether the broker is new."""
        await self._relay.look_at_broker(was_away=was_away)

    async def take_event(self, parcel: Parcel, queue: str) -> None:
        """What the actor of one of this service's queues of events does."""
        opened = parcel.open()
        if queue == events_queue(self.name, bulk=True):
            together = genuine_envelopes(self.name, opened["together"], self.service.stamps)
            assert len(together) == len(opened["together"])
            await self._consumer.consume_together(together)
            return
        envelope = genuine_envelope(self.name, opened["envelope"], opened["stamp"], self.service.stamps)
        assert envelope is not None
        await self._consumer.consume(envelope)

    async def _answer(self, publisher: str, receipt: Receipt) -> None:
        self._answers += 1
        await self._receipts.send(publisher, receipt)

    async def _meanwhile(self) -> None:
        if self.is_slow:
            await self.send_receipts()

    async def take_twice(self, parcel: Parcel, queue: str) -> None:
        """The same message in two hands at once."""
        await asyncio.gather(self.take_event(parcel, queue), self.take_event(parcel, queue))

    async def take_receipts(self, parcel: Parcel) -> None:
        """What the actor of this service's receipts does."""
        opened = parcel.open()
        receipts = genuine_receipts(self.name, opened["receipts"], opened["stamp"], self.service.stamps)
        assert receipts
        await settle(self.db, receipts, self._clock)

    async def take_all_events(self) -> None:
        """Everything on its queues, in order."""
        for queue in self.events:
            while waiting := self._transport.queues[queue]:
                await self.take_event(waiting.pop(0), queue)

    async def take_all_receipts(self) -> None:
        """The same of its receipts."""
        while waiting := self._transport.queues[self.receipts]:
            await self.take_receipts(waiting.pop(0))

    async def send_receipts(self) -> bool:
        """What the receipts' loop has collected goes out. Whether there was anything."""
        if not self._answers:
            return False
        self._answers = 0
        # Stopped as soon as it has begun, it sends what there is: a whole turn would take twenty real milliseconds.
        loop = asyncio.create_task(self._receipts.run())
        await asyncio.sleep(0)
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop
        return True

    async def do_what_is_due(self) -> int:
        """A round of the due loop: a look, and what is due."""
        return await self._due.run_once() if await self._due.is_anything_due() else 0

    async def seal(self, *, everywhere: bool) -> int:
        """A round of the ledger's sealer: of the towns it was told, or of all."""
        return await (self._sealer.seal_all() if everywhere else self._sealer.seal_told())

    async def seal_twice(self) -> int:
        """A round of this process's sealer and of another's, at once."""
        return sum(await asyncio.gather(self._sealer.seal_all(), Sealer(self.db).seal_all()))

    async def close_day(self, municipality: str) -> bool:
        """This process's checkpoint of a town's ledger and another's, at once; whether one was made."""
        two = [Checkpointer(self.db, self.service.outbox) for _ in range(2)]
        made = await asyncio.gather(*(each.make(municipality, now=self._clock()) for each in two))
        return sum(checkpoint is not None for checkpoint in made) == 1

    async def send(self) -> int:
        """A round of sending in each lane, as a process that has just begun."""
        sent = 0
        for bulk in (False, True):
            # Both are one provider, and it recognises repetitions.
            providers = Providers(
                Provider(name, way, is_idempotent=True, pace=lambda: self._clock().timestamp())
                for name, way in WAYS.items()
            )
            loop = SendingLoop(
                self.db, self.service.keys, self._senders, providers, self._clock, bulk=bulk,
                mail_from="town@example.jp",
            )  # fmt: skip
            sent += await loop.run_once()
        return sent

    @property
    def events(self) -> tuple[str, str]:
        """Where it hears events: of each lane."""
        return events_queue(self.name), events_queue(self.name, bulk=True)

    @property
    def receipts(self) -> str:
        """Where it hears what became of its own."""
        return receipts_queue(self.name)


def _counted(service: str, handlers: Handlers, meanwhile: Callable[[], Awaitable[None]]) -> Handlers:
    """The same handlers, each writing in its own transaction that it took effect, and taking its time."""

    def counted(handler: Handler) -> Handler:
        async def count(session: AsyncSession, event: Event, *, now: datetime) -> None:
            await handler(session, event, now=now)
            key = {"town": event.municipality, "consumer": service, "event_id": event.event_id}
            await session.execute(_EFFECT, key)
            await meanwhile()

        return count

    return {kind: counted(handler) for kind, handler in handlers.items()}
