"""Makers of events, entries and envelopes, and a few looks into the tables."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from nacl.public import PrivateKey
from sqlalchemy import text

from shared.crypto import ServiceBox
from shared.db import Database, service_metadata
from shared.events.base import Event, event_type
from shared.events.booking import AppointmentBooked, AvailabilityChanged
from shared.events.ledger import CheckpointMade
from shared.events.routing import ContactGiven, SessionEnded
from shared.events.subscriptions import SERVICES
from shared.ledger.entry import Entry
from shared.messaging.broker import ChoudoBroker, Envelope
from shared.messaging.outbox import Outbox
from shared.messaging.stamps import Stamps

BOXES = {service: PrivateKey.generate() for service in SERVICES}
NOW = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
TODAY = NOW.date()
TOWN = "143421"


def make_box(service: str) -> ServiceBox:
    """What the service seals and stamps with, in tests that start no process of it."""
    return ServiceBox([BOXES[service]], {other: [key.public_key] for other, key in BOXES.items()})


def make_stamps(service: str) -> Stamps:
    """The stamps of a service."""
    return Stamps(make_box(service))


def make_outbox(service: str) -> Outbox:
    """An outbox as the service has it, over the tables that its migrations made."""
    return Outbox(service, service_metadata(service))


def make_availability(
    *, municipality: str = TOWN, at: datetime = NOW, version: int = 1, counter: str = "3"
) -> AvailabilityChanged:
    """Published by booking, heard by routing alone."""
    return AvailabilityChanged(
        event_id=uuid4(),
        municipality=municipality,
        aggregate_id=f"counter-{counter}",
        aggregate_version=version,
        occurred_at=at,
        counter=counter,
        earliest_at=at + timedelta(days=1),
        as_of=at,
    )


def make_session_ended(*, municipality: str = TOWN, at: datetime = NOW) -> SessionEnded:
    """Published by routing, heard by booking and notifications."""
    session_id = uuid4().hex
    return SessionEnded(
        event_id=uuid4(),
        municipality=municipality,
        aggregate_id=session_id,
        aggregate_version=1,
        occurred_at=at,
        session_id=session_id,
        tokens_valid_until=at + timedelta(minutes=10),
    )


def make_contact_given(*, sealed: str | None = "sealed-contact", at: datetime = NOW) -> ContactGiven:
    """Published by routing, heard by notifications, with something sealed for it."""
    contact = uuid4()
    return ContactGiven(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(contact),
        aggregate_version=1,
        occurred_at=at,
        sealed=sealed,
        contact_ref=contact,
        subject_ref=uuid4(),
        reach="email",
        language="ja",
        approval_id=uuid4(),
        case_id=uuid4(),
    )


def make_booked(*, sealed: str | None = "sealed-access", at: datetime = NOW) -> AppointmentBooked:
    """Published by booking, heard by notifications (with something sealed for it) and routing."""
    appointment = uuid4()
    return AppointmentBooked(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(appointment),
        aggregate_version=1,
        occurred_at=at,
        sealed=sealed,
        appointment_id=appointment,
        number="A-123",
        subject_ref=uuid4(),
        contact_ref=None,
        case_id=None,
        procedure="RES01",
        office="戸籍",
        counter="2",
        starts_at=at + timedelta(days=1),
        ends_at=at + timedelta(days=1, minutes=20),
        state="booked",
        sequence=0,
    )


def make_checkpoint_made(service: str, *, day: date = TODAY, size: int = 3, root: str = "5d" * 32) -> CheckpointMade:
    """Published by every service of its own ledger, heard by routing."""
    return CheckpointMade(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=f"{service}/{day}",
        aggregate_version=1,
        occurred_at=NOW,
        service=service,
        day=day,
        tree_size=size,
        root=root,
        made_at=NOW,
    )


def make_envelope(event: Event, *, publisher: str = "booking", consumer: str = "routing", attempt: int = 1) -> Envelope:
    """The message that a relay would send."""
    return Envelope(
        publisher=publisher,
        consumer=consumer,
        municipality=event.municipality,
        event_id=str(event.event_id),
        type=event_type(type(event)),
        payload=msgspec.json.encode(msgspec.structs.replace(event, sealed=None)).decode(),
        sealed=event.sealed,
        attempt=attempt,
    )


def make_entry(*, municipality: str = TOWN, at: datetime = NOW, purpose: str = "booking", **values: Any) -> Entry:
    """A ledger entry."""
    given: dict[str, Any] = {
        "entry_id": uuid4(),
        "municipality": municipality,
        "occurred_at": at,
        "entry_type": "applied",
        "subject_ref": uuid4(),
        "actor_kind": "guest",
        "actor_ref": "g1",
        "office": "戸籍",
        "source_procedure": "RES01",
        "source_case": uuid4(),
        "source_step": "you",
        "source_collected_at": at - timedelta(minutes=3),
        "target_service": "booking",
        "target_step": "visit",
        "items": ("name", "kana"),
        "commitments": {"name": "ab" * 32},
        "purpose": purpose,
    }
    return Entry(**(given | values))


async def publish(db: Database, *events: Event, bulk: bool = False) -> None:
    """Publish events in one transaction of their town."""
    async with db.begin(events[0].municipality) as session:
        await make_outbox(db.service).publish(session, *events, bulk=bulk)


async def rows_of(db: Database, query: str, **values: Any) -> list[Any]:
    """Rows of a query over the tables that know no town."""
    async with db.begin_across_towns() as session:
        return list((await session.execute(text(query), values)).all())


def take_all(broker: ChoudoBroker, queue: str) -> list[Envelope]:
    """Everything on a queue, taken off it the way a worker does."""
    return [msgspec.convert(kwargs["envelope"], Envelope) for kwargs in _take_all(broker, queue)]


def take_all_together(broker: ChoudoBroker, queue: str) -> list[list[Envelope]]:
    """The same of a queue of bulk: what each message carries."""
    return [
        [msgspec.convert(each["envelope"], Envelope) for each in kwargs["together"]]
        for kwargs in _take_all(broker, queue)
    ]


def _take_all(broker: ChoudoBroker, queue: str) -> list[dict[str, Any]]:
    consumer = broker.consume(queue, prefetch=1_000, timeout=20)
    taken = []
    for message in iter(lambda: next(consumer), None):
        taken.append(message.kwargs)
        consumer.ack(message)
    consumer.close()
    return taken
