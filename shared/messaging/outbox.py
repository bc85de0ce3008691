"""Publishing: an event and its deliveries join the caller's transaction. Commit never touches the broker."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import TOLD, Prepared
from shared.events.base import Event, event_type
from shared.events.subscriptions import BULK, SEALED_FOR, SUBSCRIPTIONS
from shared.messaging.tables import MessagingTables

# What has no receipt after this long is late: its consumer is away, or far behind. Longer than the first repetition
# (`relay.FIRST_RETRY`), so that one lost message is no outage.
LATE_AFTER = timedelta(seconds=20)
# In a message, quoted as text, it is at most twice as long: less than what a consumer reads (`MESSAGE_MAX_BYTES`).
PAYLOAD_MAX_BYTES = 1_048_576

_IN_BULK = "bulk"

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
    INSERT INTO {schema}.delivery (municipality, event_id, consumer, bulk, occurred_at, next_publish_at)
    SELECT d.municipality, d.event_id, d.consumer, d.bulk, d.occurred_at, d.occurred_at
    FROM unnest(
        CAST(:delivery_municipalities AS text[]), CAST(:delivery_event_ids AS uuid[]), CAST(:consumers AS text[]),
        CAST(:bulks AS boolean[]), CAST(:delivery_occurred_ats AS timestamptz[]))
        AS d(municipality, event_id, consumer, bulk, occurred_at)
    WHERE (SELECT count(*) FROM told) > 0
"""

# A probe of each of the relay's two indexes: what was never published, and what was and has no receipt.
_LATE = """
    SELECT EXISTS (
        SELECT 1 FROM {schema}.delivery
        WHERE acked_at IS NULL AND attempts = 0 AND bulk = ANY ('{{f,t}}') AND next_publish_at <= :late
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

    async def publish(self, session: AsyncSession, *events: Event, bulk: bool = False) -> None:
        """Write the events, and one delivery for each subscriber, into the transaction of `session`.

        With `bulk`, as for all that one mass action brings about, they keep out of the way of what somebody waits for.
        """
        if events:
            await self._publish.row(session, publish_values(events, bulk=bulk or is_bulk(session)))
            session.info[TOLD] = True

    async def is_late(self, session: AsyncSession, municipality: str, consumer: str, *, now: datetime) -> bool:
        """Whether this consumer has not taken everything that it was told of a town `LATE_AFTER` ago."""
        told = {"municipality": municipality, "consumer": consumer, "late": now - LATE_AFTER}
        return bool((await session.execute(self._late, told)).scalar_one())


def work_in_bulk(session: AsyncSession) -> None:
    """From here on, the transaction's work is bulk: what follows from a bulk event is bulk, too."""
    session.info[_IN_BULK] = True


def is_bulk(session: AsyncSession) -> bool:
    """Whether nobody waits for what this transaction does."""
    return _IN_BULK in session.info


def publish_values(events: Sequence[Event], *, bulk: bool) -> dict[str, object]:
    """What `PUBLISH` writes: one list for each column.

    Raises:
        ValueError: something is sealed that nobody would open, or too large to travel.
    """
    deliveries = [(event, consumer) for event in events for consumer in SUBSCRIPTIONS[type(event)]]
    return {
        "municipalities": [event.municipality for event in events],
        "event_ids": [event.event_id for event in events],
        "aggregate_ids": [event.aggregate_id for event in events],
        "aggregate_versions": [event.aggregate_version for event in events],
        "types": [event_type(type(event)) for event in events],
        "payloads": [_payload(event) for event in events],
        "sealeds": [event.sealed for event in events],
        "sealed_fors": [_sealed_for(event) for event in events],
        "occurred_ats": [event.occurred_at for event in events],
        "delivery_municipalities": [event.municipality for event, _ in deliveries],
        "delivery_event_ids": [event.event_id for event, _ in deliveries],
        "consumers": [consumer for _, consumer in deliveries],
        "bulks": [bulk or type(event) in BULK for event, _ in deliveries],
        "delivery_occurred_ats": [event.occurred_at for event, _ in deliveries],
    }


def _payload(event: Event) -> bytes:
    payload = msgspec.json.encode(msgspec.structs.replace(event, sealed=None))
    if len(payload) + len(event.sealed or "") > PAYLOAD_MAX_BYTES:
        raise ValueError(f"{event_type(type(event))} is too large for a message")
    return payload


def _sealed_for(event: Event) -> str | None:
    kind = type(event)
    if event.sealed is None:
        return None
    if kind not in SEALED_FOR:
        # Nobody would get it, and nobody's receipt would ever blank it.
        raise ValueError(f"{event_type(kind)} has no reader for what is sealed (SEALED_FOR)")
    return SEALED_FOR[kind]
