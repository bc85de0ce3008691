"""Publishing: an event and its deliveries join the caller's transaction. Commit never touches the broker."""

import msgspec
from sqlalchemy import MetaData, insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.events.base import Event, event_type
from shared.events.subscriptions import SEALED_FOR, SUBSCRIPTIONS
from shared.messaging.tables import MessagingTables


class Outbox:
    """A service's outbox. One per service, beside its tables."""

    def __init__(self, service: str, metadata: MetaData) -> None:
        self.service = service
        self.tables = MessagingTables(metadata)

    async def publish(self, session: AsyncSession, *events: Event) -> None:
        """Write the events, and one delivery for each subscriber, into the transaction of `session`."""
        if not events:
            return
        await session.execute(insert(self.tables.outbox), [_outbox_row(event) for event in events])
        deliveries = [
            {
                "municipality": event.municipality,
                "event_id": event.event_id,
                "consumer": consumer,
                "next_publish_at": event.occurred_at,
            }
            for event in events
            for consumer in SUBSCRIPTIONS[type(event)]
        ]
        if deliveries:
            await session.execute(insert(self.tables.delivery), deliveries)


def _outbox_row(event: Event) -> dict[str, object]:
    kind = type(event)
    if event.sealed is not None and kind not in SEALED_FOR:
        # Nobody would get it, and nobody's receipt would ever blank it.
        raise ValueError(f"{event_type(kind)} has no reader for what is sealed (SEALED_FOR)")
    return {
        "municipality": event.municipality,
        "event_id": event.event_id,
        "aggregate_id": event.aggregate_id,
        "aggregate_version": event.aggregate_version,
        "type": event_type(kind),
        "payload": msgspec.json.encode(msgspec.structs.replace(event, sealed=None)),
        "sealed": event.sealed,
        "sealed_for": SEALED_FOR[kind] if event.sealed is not None else None,
        "occurred_at": event.occurred_at,
    }
