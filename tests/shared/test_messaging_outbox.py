"""Publishing joins the caller's transaction; what is written can be read by nobody but its reader."""

import base64
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
from nacl.public import PrivateKey
from sqlalchemy import text

from shared.crypto import ServiceBox
from shared.events.base import event_type
from shared.events.booking import AppointmentBooked
from shared.events.routing import SealedContact
from shared.events.subscriptions import EVENT_TYPES
from shared.messaging.outbox import LATE_AFTER
from tests.shared.conftest import MakeDb
from tests.shared.makers import (
    NOW,
    TOWN,
    make_availability,
    make_booked,
    make_contact_given,
    make_outbox,
    make_session_ended,
    publish,
    rows_of,
)


async def test_an_event_and_one_delivery_for_each_subscriber_are_written_at_commit(make_db: MakeDb) -> None:
    db = make_db("booking")
    event = make_booked()
    await publish(db, event)
    (row,) = await rows_of(db, "SELECT * FROM booking.outbox")
    assert (row.municipality, row.event_id, row.aggregate_id) == (TOWN, event.event_id, event.aggregate_id)
    assert row.type == "booking.appointment_booked.v1"
    deliveries = await rows_of(db, "SELECT consumer, attempts, acked_at, next_publish_at FROM booking.delivery")
    assert {delivery.consumer for delivery in deliveries} == {"notifications", "routing"}
    assert {(each.attempts, each.acked_at, each.next_publish_at) for each in deliveries} == {
        (0, None, event.occurred_at)
    }


@pytest.mark.parametrize("attempts", [0, 1])
async def test_what_a_consumer_has_not_taken_in_time_is_late_until_its_receipt(make_db: MakeDb, attempts: int) -> None:
    """Whether the relay is away (no attempt yet) or the consumer is; in this town, and for this consumer."""
    db, outbox = make_db("booking"), make_outbox("booking")
    await publish(db, make_booked(at=NOW))
    on_time, later = NOW + LATE_AFTER - timedelta(milliseconds=1), NOW + LATE_AFTER
    mine, others = (TOWN, "notifications"), (("999999", "notifications"), (TOWN, "routing"))
    async with db.begin_across_towns() as session:
        await session.execute(text("UPDATE booking.delivery SET attempts = :attempts"), {"attempts": attempts})
        taken = "UPDATE booking.delivery SET acked_at = occurred_at WHERE consumer = 'routing'"
        await session.execute(text(taken))
        assert not await outbox.is_late(session, *mine, now=on_time)
        assert await outbox.is_late(session, *mine, now=later)
        for other in others:
            assert not await outbox.is_late(session, *other, now=later)
        await session.execute(text("UPDATE booking.delivery SET acked_at = occurred_at"))
        assert not await outbox.is_late(session, *mine, now=later)


async def test_a_transaction_that_fails_publishes_nothing(make_db: MakeDb) -> None:
    db = make_db("booking")

    async def fail_after_publishing() -> None:
        async with db.begin(TOWN) as session:
            await make_outbox("booking").publish(session, make_booked(), make_availability())
            raise RuntimeError("the business rule said no")

    with pytest.raises(RuntimeError):
        await fail_after_publishing()
    assert await rows_of(db, "SELECT 1 FROM booking.outbox UNION ALL SELECT 1 FROM booking.delivery") == []


async def test_many_events_are_published_in_one_call_and_none_in_an_empty_one(make_db: MakeDb) -> None:
    db = make_db("routing")
    await publish(db, *(make_session_ended() for _ in range(50)))
    async with db.begin(TOWN) as session:
        await make_outbox("routing").publish(session)
    (totals,) = await rows_of(
        db, "SELECT (SELECT count(*) FROM routing.outbox) AS o, (SELECT count(*) FROM routing.delivery) AS d"
    )
    assert (totals.o, totals.d) == (50, 100)


async def test_the_payload_is_the_whole_event_without_what_is_sealed(make_db: MakeDb) -> None:
    db = make_db("booking")
    event = make_booked(sealed="c2VhbGVk")
    await publish(db, event)
    (row,) = await rows_of(db, "SELECT type, payload, sealed, sealed_for FROM booking.outbox")
    assert (row.sealed, row.sealed_for) == ("c2VhbGVk", "notifications")
    decoded = msgspec.json.decode(bytes(row.payload), type=EVENT_TYPES[row.type])
    assert decoded == msgspec.structs.replace(event, sealed=None)
    assert b"c2VhbGVk" not in bytes(row.payload)


async def test_no_address_can_be_read_in_the_outbox(make_db: MakeDb) -> None:
    db = make_db("routing")
    keys = {name: PrivateKey.generate() for name in ("routing", "notifications")}
    box = ServiceBox([keys["routing"]], {name: [key.public_key] for name, key in keys.items()})
    body = msgspec.msgpack.encode(SealedContact(address="hanako@example.jp"))
    await publish(db, make_contact_given(sealed=box.seal_for("notifications", "contact", body)))
    (row,) = await rows_of(db, "SELECT o::text AS everything, sealed, payload FROM routing.outbox o")
    for readable in (row.everything.encode(), base64.urlsafe_b64decode(row.sealed), bytes(row.payload)):
        assert b"hanako" not in readable
        assert b"example.jp" not in readable


async def test_something_sealed_that_has_no_reader_is_refused(make_db: MakeDb) -> None:
    """It would lie in the outbox for ever: nobody gets it, so nobody's receipt blanks it."""
    db = make_db("booking")
    event = msgspec.structs.replace(make_availability(), sealed="c2VhbGVk")
    with pytest.raises(ValueError, match=event_type(type(event))):
        await publish(db, event)
    assert await rows_of(db, "SELECT 1 FROM booking.outbox") == []


async def test_the_same_event_cannot_be_published_twice(make_db: MakeDb) -> None:
    db = make_db("booking")
    event = make_booked(sealed=None)
    await publish(db, event)
    again: AppointmentBooked = msgspec.structs.replace(event, number="B-2")
    with pytest.raises(Exception, match="outbox_pkey"):
        await publish(db, again)
    await publish(db, msgspec.structs.replace(again, event_id=uuid4()))
