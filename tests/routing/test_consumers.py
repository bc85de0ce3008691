"""Projections: newer versions win, duplicates and disorder are harmless."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import select

from services.routing.consumers import make_handlers
from services.routing.queries.catalogue import list_availability
from services.routing.tables import appointment, availability
from shared.audit import Operator
from shared.db import Database
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    AvailabilityChanged,
    OwnEarliest,
)
from shared.events.ledger import ReuseRecorded
from shared.events.subscriptions import SUBSCRIPTIONS
from shared.messaging.broker import Receipt
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import ask_for_replay
from shared.messaging.due import DueLoop
from shared.messaging.replay import Replayer
from tests.routing.makers import NOW, TOWN
from tests.shared.makers import make_envelope

HANDLERS = make_handlers()
APPOINTMENT_ID = uuid4()


async def hear(db: Database, *events: Any) -> None:
    for event in events:
        async with db.begin(event.municipality) as session:
            await HANDLERS[type(event)](session, event, now=NOW)


def make_appointment(kind: Any, version: int, state: str, **changes: Any) -> Any:
    values = {
        "event_id": uuid4(), "municipality": TOWN, "aggregate_id": str(APPOINTMENT_ID), "aggregate_version": version,
        "occurred_at": NOW, "appointment_id": APPOINTMENT_ID, "number": "24-0317", "subject_ref": None,
        "contact_ref": None, "case_id": None, "procedure": "CHI02", "office": "子育て", "counter": "7",
        "starts_at": NOW + timedelta(hours=version), "ends_at": NOW + timedelta(hours=version + 1), "state": state,
        "sequence": version,
    }  # fmt: skip
    return kind(**(values | changes))


def make_reuse(subject_ref: UUID, **changes: Any) -> ReuseRecorded:
    """booking used a name, unless told otherwise."""
    entry_id = uuid4()
    values: dict[str, Any] = {
        "event_id": uuid4(), "municipality": TOWN, "aggregate_id": str(entry_id), "aggregate_version": 1,
        "occurred_at": NOW, "entry_id": entry_id, "service": "booking", "entry_type": "applied",
        "subject_ref": subject_ref, "actor_kind": "guest", "office": None, "source_procedure": "CHI02",
        "source_step": "you", "source_collected_at": NOW, "target_service": "booking", "target_procedure": "CHI02",
        "target_step": "book", "case_id": None, "items": ("name",), "purpose": "窓口でお呼びするため",
        "legal_basis": "appi_69_2_1", "outcome": "done", "visibility": "subject",
    }  # fmt: skip
    return ReuseRecorded(**(values | changes))


def test_every_subscription_has_a_handler() -> None:
    wanted = {kind for kind, consumers in SUBSCRIPTIONS.items() if "routing" in consumers}
    assert set(HANDLERS) == wanted


async def test_an_appointment_shows_its_newest_state_whatever_comes_when(db: Database) -> None:
    booked = make_appointment(AppointmentBooked, 1, "booked")
    changed = make_appointment(AppointmentChanged, 2, "booked")
    cancelled = make_appointment(AppointmentCancelled, 3, "cancelled")
    await hear(db, changed, booked, cancelled, changed, booked)
    async with db.begin(TOWN) as session:
        row = (await session.execute(select(appointment))).one()
    assert (row.state, row.version, row.starts_at) == ("cancelled", 3, NOW + timedelta(hours=3))


async def test_a_closing_marks_an_appointment_until_it_is_open_again_or_moved(db: Database) -> None:
    """Seen to fail without `closure` in the projection."""

    async def closure() -> str:
        async with db.begin(TOWN) as session:
            return str((await session.execute(select(appointment.c.closure))).scalar_one())

    await hear(db, make_appointment(AppointmentBooked, 1, "booked"))
    assert await closure() == "none"
    await hear(db, make_appointment(AppointmentProgressed, 2, "booked", closure="asked"))
    assert await closure() == "asked"
    await hear(db, make_appointment(AppointmentProgressed, 3, "booked"))
    assert await closure() == "none"
    await hear(db, make_appointment(AppointmentProgressed, 4, "booked", closure="staff"))
    await hear(db, make_appointment(AppointmentChanged, 5, "booked"))
    assert await closure() == "none"


async def test_availability_keeps_the_earliest_of_procedures_with_a_window_of_their_own(db: Database) -> None:
    """Seen to fail without `own` in the projection."""
    later = NOW + timedelta(days=3)
    told = AvailabilityChanged(
        event_id=uuid4(), municipality=TOWN, aggregate_id="7", aggregate_version=1, occurred_at=NOW, counter="7",
        earliest_at=NOW + timedelta(hours=1), as_of=NOW,
        own=(OwnEarliest(procedure="CHI02", earliest_at=later), OwnEarliest(procedure="RES01", earliest_at=None)),
    )  # fmt: skip
    await hear(db, told)
    async with db.begin(TOWN) as session:
        [found] = await list_availability(session, TOWN, ["7"])
    assert [found.of(code).earliest_at for code in ("CHI02", "RES01", "RES02")] == [
        later, None, NOW + timedelta(hours=1),
    ]  # fmt: skip


async def test_availability_keeps_the_newest_version(db: Database) -> None:
    def made(version: int, in_min: int | None) -> AvailabilityChanged:
        earliest = NOW + timedelta(minutes=in_min) if in_min is not None else None
        return AvailabilityChanged(
            event_id=uuid4(), municipality=TOWN, aggregate_id="7", aggregate_version=version, occurred_at=NOW,
            counter="7", earliest_at=earliest, as_of=NOW,
        )  # fmt: skip

    await hear(db, made(2, None), made(1, 30))
    async with db.begin(TOWN) as session:
        assert (await session.execute(select(availability.c.earliest_at))).scalar_one() is None
    await hear(db, made(3, 45))
    async with db.begin(TOWN) as session:
        assert (await session.execute(select(availability.c.earliest_at))).scalar_one() == NOW + timedelta(minutes=45)


async def test_a_replayed_event_older_than_what_is_known_is_harmless(db: Database) -> None:
    """It died as the first, was overtaken, and is applied last."""
    receipts: list[str] = []

    async def keep(_: str, receipt: Receipt) -> None:
        receipts.append(receipt.outcome)

    booked = make_appointment(AppointmentBooked, 1, "booked")
    await Consumer(db, {}, keep, lambda: NOW).consume(make_envelope(booked))
    cancelled = make_appointment(AppointmentCancelled, 3, "cancelled")
    await Consumer(db, HANDLERS, keep, lambda: NOW).consume(make_envelope(cancelled))
    async with db.begin(TOWN) as session:
        await ask_for_replay(session, "routing", Operator(TOWN), booked.event_id, now=NOW)
    due = DueLoop(db, Replayer(db, HANDLERS, keep, lambda: NOW).due_handlers, lambda: NOW)
    while await due.run_once():
        pass
    assert receipts == ["refused", "applied", "applied"]
    async with db.begin(TOWN) as session:
        row = (await session.execute(select(appointment))).one()
    assert (row.state, row.version, row.starts_at) == ("cancelled", 3, NOW + timedelta(hours=3))


def test_no_event_we_hear_has_a_field_for_a_value() -> None:
    for kind in HANDLERS:
        names = {field.name for field in msgspec.structs.fields(kind)}
        assert not names & {"name", "kana", "email", "phone", "address"}, kind
