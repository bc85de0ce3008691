"""Who can write to Redis can still tell no service anything: neither an event nor a receipt."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import dramatiq
import msgspec
import pytest
from nacl.public import PrivateKey

from shared.crypto import ServiceBox
from shared.db import service_metadata
from shared.events.base import Event
from shared.ledger.ledger import Ledger
from shared.messaging.broker import ChoudoBroker, Envelope, Receipt, events_queue, receipts_queue
from shared.messaging.consumer import genuine_envelope
from shared.messaging.outbox import Outbox
from shared.messaging.receipts import genuine_receipts, stamped
from shared.messaging.relay import _message
from shared.messaging.stamps import Stamps
from shared.settings import MissingSettings
from shared.telemetry import MESSAGES_REFUSED
from tests.conftest import TestDatabase
from tests.logs import Logged
from tests.shared.conftest import MakeDb
from tests.shared.makers import (
    BOXES,
    TOWN,
    make_availability,
    make_checkpoint_made,
    make_contact_given,
    make_entry,
    make_envelope,
    make_stamps,
    publish,
    rows_of,
)
from tests.shared.test_messaging_crashes import Workers, wait_until, workers

__all__ = ["workers"]

LEFT = """
    SELECT (SELECT count(*) FROM routing.inbox) AS inbox, (SELECT count(*) FROM routing.dead_letter) AS dead,
           (SELECT count(*) FROM routing.due WHERE kind = 'effect') AS effects
"""
WAITING = "SELECT count(*) FROM booking.delivery WHERE acked_at IS NULL"


# What the other threads of a worker have in hand meanwhile.
MEANWHILE_S = 0.5
NONSENSE: tuple[object, ...] = (None, [], "x", {}, {"publisher": "booking"})


def make_receipts(consumer: str = "routing", *, outcome: str = "applied") -> list[Receipt]:
    ids = (str(uuid4()), str(uuid4()))
    return [Receipt(municipality=TOWN, event_id=one, consumer=consumer, outcome=outcome) for one in ids]


def taken(envelope: Any, stamp: Any, *, service: str = "routing") -> Envelope | None:
    return genuine_envelope(service, envelope, stamp, make_stamps(service))


def test_what_its_publisher_stamped_is_taken() -> None:
    envelope = make_envelope(make_availability())
    assert taken(msgspec.to_builtins(envelope), make_stamps("booking").make("routing", envelope)) == envelope
    # Some events a service hears itself.
    own = make_envelope(reuse_of("routing"), publisher="routing")
    assert taken(msgspec.to_builtins(own), make_stamps("routing").make("routing", own)) == own


@pytest.mark.parametrize(
    "change",
    [
        {"publisher": "notifications"}, {"consumer": "booking"}, {"municipality": "999999"}, {"event_id": str(uuid4())},
        {"type": "booking.appointment_booked.v1"}, {"payload": "{}"}, {"sealed": "x"}, {"attempt": 2},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_was_altered_on_its_way_is_not(change: dict[str, Any]) -> None:
    envelope = make_envelope(make_availability())
    stamp = make_stamps("booking").make("routing", envelope)
    assert taken(msgspec.to_builtins(msgspec.structs.replace(envelope, **change)), stamp) is None


def test_what_has_no_stamp_or_anothers_is_not() -> None:
    envelope = make_envelope(make_availability())
    stranger = Stamps(ServiceBox([PrivateKey.generate()], {name: [key.public_key] for name, key in BOXES.items()}))
    stamps = [
        None, "", "0" * 64, 0, b"x", "\ud7ff", "印",
        stranger.make("routing", envelope),
        make_stamps("notifications").make("routing", envelope),
        # For another reader, who must not be able to pass it on.
        make_stamps("booking").make("notifications", envelope),
    ]  # fmt: skip
    for stamp in stamps:
        assert taken(msgspec.to_builtins(envelope), stamp) is None, stamp
    for nonsense in NONSENSE:
        assert taken(nonsense, make_stamps("booking").make("routing", nonsense)) is None


def test_a_stamp_does_not_work_in_the_other_direction() -> None:
    """A pair's key is one for both ways; the message itself says which way it goes."""
    envelope = make_envelope(make_availability(), publisher="booking", consumer="notifications")
    stamp = make_stamps("booking").make("notifications", envelope)
    assert taken(msgspec.to_builtins(envelope), stamp, service="booking") is None


def reuse_of(service: str) -> Event:
    metadata = service_metadata(service)
    return Ledger(metadata, Outbox(service, metadata))._recorded(make_entry())


@pytest.mark.parametrize(
    "event",
    [make_contact_given(sealed=None), reuse_of("routing"), make_checkpoint_made("routing")],
    ids=["anothers_event", "anothers_ledger", "anothers_checkpoint"],
)
def test_a_service_tells_of_itself_only(event: Event) -> None:
    """Notifications, taken over by somebody, says what routing alone may say."""
    envelope = make_envelope(event, publisher="notifications", consumer="booking")
    stamp = make_stamps("notifications").make("booking", envelope)
    assert taken(msgspec.to_builtins(envelope), stamp, service="booking") is None


@pytest.mark.parametrize("make", [reuse_of, make_checkpoint_made])
def test_a_service_tells_of_its_own_ledger(make: Callable[[str], Event]) -> None:
    """Seen to fail for checkpoints when entries alone were known as every service's: no root was ever published."""
    envelope = make_envelope(make("notifications"), publisher="notifications", consumer="routing")
    stamp = make_stamps("notifications").make("routing", envelope)
    assert taken(msgspec.to_builtins(envelope), stamp, service="routing") == envelope


def test_receipts_are_their_consumers_own() -> None:
    receipts = make_receipts()
    stamp = make_stamps("routing").make("booking", stamped("booking", receipts))
    booking = make_stamps("booking")

    def heard(raw: Any, mark: Any) -> list[Receipt]:
        return genuine_receipts("booking", raw, mark, booking)

    raw = msgspec.to_builtins(receipts)
    assert heard(raw, stamp) == receipts
    anothers = make_receipts("notifications")
    mixed = [*receipts, *anothers]
    for forged, mark in (
        (raw, None),
        (raw[:1], stamp),
        (msgspec.to_builtins(make_receipts()), stamp),
        (msgspec.to_builtins([msgspec.structs.replace(one, outcome="refused") for one in receipts]), stamp),
        # Routing answers for notifications.
        (msgspec.to_builtins(anothers), make_stamps("routing").make("booking", stamped("booking", anothers))),
        (msgspec.to_builtins(mixed), make_stamps("routing").make("booking", stamped("booking", mixed))),
        # Meant for another publisher.
        (raw, make_stamps("routing").make("booking", stamped("notifications", receipts))),
        (None, stamp),
        ([], make_stamps("routing").make("booking", stamped("booking", []))),
    ):
        assert heard(forged, mark) == []


def test_keys_rotate_by_being_listed_on_either_side() -> None:
    old, new = BOXES["booking"], PrivateKey.generate()
    public = {name: [key.public_key] for name, key in BOXES.items()}
    both_known = {**public, "booking": [old.public_key, new.public_key]}
    envelope = make_envelope(make_availability())
    raw = msgspec.to_builtins(envelope)
    reader = Stamps(ServiceBox([BOXES["routing"]], both_known))
    for writer in (ServiceBox([old], public), ServiceBox([new, old], public), ServiceBox([new], both_known)):
        assert genuine_envelope("routing", raw, Stamps(writer).make("routing", envelope), reader) == envelope
    # And towards the one that rotates.
    back = make_envelope(make_availability(), publisher="booking", consumer="booking")
    for known in (public, both_known, {**public, "booking": [new.public_key]}):
        stamp = Stamps(ServiceBox([BOXES["routing"]], known)).make("booking", ("x", back))
        assert Stamps(ServiceBox([new, old], public)).hold("routing", ("x", back), stamp)


def test_a_service_that_lacks_a_neighbours_key_says_so_at_its_start() -> None:
    public = {name: [key.public_key] for name, key in BOXES.items() if name != "notifications"}
    with pytest.raises(MissingSettings, match="CHOUDO_BOX_PUBLIC_KEYS: no key of notifications"):
        Stamps(ServiceBox([BOXES["booking"]], public))


def test_a_forgery_is_counted_and_logged_without_what_it_says(logged: Logged) -> None:
    counter = MESSAGES_REFUSED.labels("routing", "event")
    before = counter._value.get()
    forged = msgspec.structs.replace(make_envelope(make_availability()), payload="印鑑", publisher="someone")
    assert taken(msgspec.to_builtins(forged), "x") is None
    assert counter._value.get() == before + 1
    [line] = logged.of("event_not_genuine")
    assert line["publisher"] is None
    assert forged.event_id not in logged.text


# --- through the worker's own door -----------------------------------------------------------------------------------


def message(queue: str, actor: str, **kwargs: Any) -> "dramatiq.Message[None]":
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=(), kwargs=kwargs, options={})


def real_stamps(database: TestDatabase, service: str) -> Stamps:
    """Those of the processes that run beside the test."""
    environ = database.environ
    return Stamps(
        ServiceBox.from_settings(environ[f"CHOUDO_{service.upper()}_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    )


async def test_a_worker_does_nothing_of_what_a_stranger_put_on_its_queue(
    database: TestDatabase, make_db: MakeDb, broker: ChoudoBroker, workers: Workers
) -> None:
    """Neither an effect nor an inbox row nor a dead letter: those would stand in the way of the real event.

    Seen to fail with `genuine_envelope` taking everything.
    """
    db, routing = make_db("booking"), make_db("routing")
    event, last = make_availability(), make_availability()
    queue, actor = events_queue("routing"), "routing.consume"
    forged = [
        message(queue, actor, envelope=msgspec.to_builtins(make_envelope(event))),
        message(queue, actor, envelope=msgspec.to_builtins(make_envelope(event)), stamp="0" * 64),
        message(queue, actor, envelope={"publisher": "booking"}, stamp="x"),
        message(queue, actor),
        # With keys that are not these services'.
        _message(msgspec.structs.replace(make_envelope(make_availability()), payload="{"), make_stamps("booking")),
    ]
    broker.enqueue_many([*forged, _message(make_envelope(last), real_stamps(database, "booking"))])
    workers.start("routing")

    async def has_come_to_the_last() -> bool:
        return bool((await rows_of(routing, LEFT))[0].effects)

    await wait_until(has_come_to_the_last)
    await asyncio.sleep(MEANWHILE_S)
    assert await rows_of(routing, LEFT) == [(1, 0, 1)]
    assert workers.log("routing").count("event_not_genuine") == len(forged)
    # The real one, with the very same id.
    await publish(db, event)
    workers.start("booking")

    async def is_acknowledged() -> bool:
        return await rows_of(db, WAITING) == [(0,)]

    await wait_until(is_acknowledged)
    assert await rows_of(routing, LEFT) == [(2, 0, 2)]


async def test_a_publisher_believes_no_strangers_receipt(
    database: TestDatabase, make_db: MakeDb, broker: ChoudoBroker, workers: Workers
) -> None:
    """A forged receipt would end republishing, and blank what was sealed: the event would be lost.

    Seen to fail with `genuine_receipts` taking everything.
    """
    db = make_db("booking")
    event, last = make_availability(), make_availability()
    await publish(db, event, last)
    queue, actor = receipts_queue("booking"), "booking.receive_receipts"

    def receipt_of(one: Event, stamps: Stamps | None) -> "dramatiq.Message[None]":
        receipts = [Receipt(municipality=TOWN, event_id=str(one.event_id), consumer="routing", outcome="applied")]
        stamp = stamps.make("booking", stamped("booking", receipts)) if stamps else None
        return message(queue, actor, receipts=msgspec.to_builtins(receipts), stamp=stamp)

    broker.enqueue_many(
        [
            receipt_of(event, None),
            receipt_of(event, make_stamps("routing")),
            receipt_of(event, real_stamps(database, "notifications")),
            receipt_of(last, real_stamps(database, "routing")),
        ]
    )
    workers.start("booking")

    async def waiting() -> int:
        return int((await rows_of(db, WAITING))[0][0])

    async def has_come_to_the_last() -> bool:
        return await waiting() < 2

    await wait_until(has_come_to_the_last)
    await asyncio.sleep(MEANWHILE_S)
    assert await waiting() == 1
    assert workers.log("booking").count("receipts_not_genuine") == 3
    workers.start("routing")

    async def is_acknowledged() -> bool:
        return await waiting() == 0

    await wait_until(is_acknowledged)
