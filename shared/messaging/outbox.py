"""Publishing: an event and its deliveries join the caller's transaction. Commit never touches the broker."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Prepared
from shared.events.base import Event, event_type
from shared.events.subscriptions import SEALED_FOR, SUBSCRIPTIONS
from shared.messaging.tables import MessagingTables

# What has no receipt after this long is late: its consumer is away, or far behind. Longer than the first repetition
# (`relay.FIRST_RETRY`), so that one lost message is no outage.
LATE_AFTER = timedelta(seconds=20)

# One statement for any number of events, and prebuilt: each way to the database and back, and each statement put
# together anew, costs more than the rows. The deliveries' foreign key is checked when the statement ends.
PUBLISH = """
    told AS (
        INSERT INTO {schema}.outbox (municipality, event_id, aggregate_id, aggregate_version, type, payload, sealed,
                                     sealed_for, occurred_at)
        SELECT * FROM unnest(
            CAST(:municipalities AS text[]), CAST(:event_ids AS uuid[]), CAST(:aggregate_ids AS text[]),
            CAST(:aggregate_versions AS int[]), CAST(:types AS text[]), CAST(:payloads AS bytea[]),
            CAST(:sealeds AS text[]), CAST(:sealed_fors AS text[]), CAST(:occurred_ats AS timestamptz[]))
        RETURNING event_id)
    INSERT INTO {schema}.delivery (municipality, event_id, consumer, occurred_at, next_publish_at)
    SELECT d.municipality, d.event_id, d.consumer, d.occurred_at, d.occurred_at
    FROM unnest(
        CAST(:delivery_municipalities AS text[]), CAST(:delivery_event_ids AS uuid[]), CAST(:consumers AS text[]),
        CAST(:delivery_occurred_ats AS timestamptz[])) AS d(municipality, event_id, consumer, occurred_at)
    WHERE (SELECT count(*) FROM told) > 0
"""

# A probe of each of the relay's two indexes: what was never published, and what was and has no receipt.
_LATE = """
    SELECT EXISTS (
        SELECT 1 FROM {schema}.delivery WHERE acked_at IS NULL AND attempts = 0 AND next_publish_at <= :late
          AND (municipality, consumer) = (:municipality, :consumer)
    ) OR EXISTS (
        SELECT 1 FROM {schema}.delivery WHERE acked_at IS NULL AND attempts > 0 AND consumer = :consumer
          AND municipality = :municipality AND occurred_at <= :late)
"""


class Outbox:
    """A service's outbox. One per service, beside its tables."""

    def __init__(self, service: str, metadata: MetaData) -> None:
        self.service = service
        self.tables = MessagingTables(metadata)
        self._late = text(_LATE.format(schema=metadata.schema))
        self._publish = Prepared(f"WITH {PUBLISH.format(schema=metadata.schema)}")

    async def publish(self, session: AsyncSession, *events: Event) -> None:
        """Write the events, and one delivery for each subscriber, into the transaction of `session`."""
        if events:
            await self._publish.row(session, publish_values(events))

    async def is_late(self, session: AsyncSession, municipality: str, consumer: str, *, now: datetime) -> bool:
        """Whether this consumer has not taken everything that it was told of a town `LATE_AFTER` ago."""
        told = {"municipality": municipality, "consumer": consumer, "late": now - LATE_AFTER}
        return bool((await session.execute(self._late, told)).scalar_one())


def publish_values(events: Sequence[Event]) -> dict[str, object]:
    """What `PUBLISH` writes: one list for each column.

    Raises:
        ValueError: something is sealed that nobody would open.
    """
    deliveries = [(event, consumer) for event in events for consumer in SUBSCRIPTIONS[type(event)]]
    return {
        "municipalities": [event.municipality for event in events],
        "event_ids": [event.event_id for event in events],
        "aggregate_ids": [event.aggregate_id for event in events],
        "aggregate_versions": [event.aggregate_version for event in events],
        "types": [event_type(type(event)) for event in events],
        "payloads": [msgspec.json.encode(msgspec.structs.replace(event, sealed=None)) for event in events],
        "sealeds": [event.sealed for event in events],
        "sealed_fors": [_sealed_for(event) for event in events],
        "occurred_ats": [event.occurred_at for event in events],
        "delivery_municipalities": [event.municipality for event, _ in deliveries],
        "delivery_event_ids": [event.event_id for event, _ in deliveries],
        "consumers": [consumer for _, consumer in deliveries],
        "delivery_occurred_ats": [event.occurred_at for event, _ in deliveries],
    }


def _sealed_for(event: Event) -> str | None:
    kind = type(event)
    if event.sealed is None:
        return None
    if kind not in SEALED_FOR:
        # Nobody would get it, and nobody's receipt would ever blank it.
        raise ValueError(f"{event_type(kind)} has no reader for what is sealed (SEALED_FOR)")
    return SEALED_FOR[kind]
