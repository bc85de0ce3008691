"""Hold, book, change, cancel, find: on a real database."""

from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from services.booking.commands.access import open_link, try_code
from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.visits import on_end_visit_due
from shared.crypto import ServiceBox
from shared.errors import Refusal
from shared.events.booking import AppointmentBooked, SealedAccess
from shared.reference_number import show_number
from tests.booking.conftest import FAMILY, OTHER_TOWN, TOWN, BookingTown


def change(booked: object, slot_id: object, version: int = 1, key: str = "k") -> ChangeAppointment:
    return ChangeAppointment(
        municipality=TOWN, appointment_id=booked.appointment_id, slot_id=slot_id, version=version, key=key  # type: ignore[attr-defined,arg-type]
    )  # fmt: skip


async def test_a_held_place_becomes_one_appointment_with_event_and_ledger(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    slot = (await town.slots())[0]
    hold = await town.hold(visit_id, "guest", slot.slot_id)
    assert hold.held_until == town.now + timedelta(minutes=10)
    assert (await town.slots())[0].free == slot.free - 1
    booked = await town.book(visit_id, "guest", key="k")
    again = await town.book(visit_id, "guest", key="k")
    assert booked == again
    assert (await town.slots())[0].free == slot.free - 1
    events = await town.rows("SELECT type, payload, sealed, sealed_for FROM booking.outbox ORDER BY type")
    kinds = [row.type for row in events]  # type: ignore[attr-defined]
    assert kinds == ["booking.appointment_booked.v1", "ledger.reuse_recorded.v1", "ledger.reuse_recorded.v1"]
    payload = bytes(events[0].payload)  # type: ignore[attr-defined]
    event = msgspec.json.decode(payload, type=AppointmentBooked)
    assert (event.number, event.state, event.counter, event.office) == (booked.number, "booked", "7", "子育て")
    assert "花子" not in payload.decode()
    assert "ハナコ" not in payload.decode()
    entries = await town.rows("SELECT * FROM booking.ledger_entry")
    assert {tuple(row.items) for row in entries} == {("name",), ("kana",)}  # type: ignore[attr-defined]
    assert all(row.explicit_request and row.purpose == "窓口でお呼びするため" for row in entries)  # type: ignore[attr-defined]


async def test_link_and_code_travel_sealed_to_notifications_and_open_the_appointment(town: BookingTown) -> None:
    booked = await town.booked()
    rows = await town.rows("SELECT sealed, sealed_for FROM booking.outbox WHERE sealed IS NOT NULL")
    assert [row.sealed_for for row in rows] == ["notifications"]  # type: ignore[attr-defined]
    box = ServiceBox.from_settings(town.environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], town.environ["CHOUDO_BOX_PUBLIC_KEYS"])
    access = msgspec.msgpack.decode(box.open_from("booking", "access", rows[0].sealed), type=SealedAccess)  # type: ignore[attr-defined]
    async with town.db.begin(TOWN) as session:
        assert (await open_link(session, TOWN, access.link_token, now=town.now)).number == booked.number
        typed = f"　{show_number(booked.number).lower()} "
        assert (await try_code(session, TOWN, typed, access.code, town.keys, now=town.now)).outcome == "open"
    async with town.db.begin(OTHER_TOWN) as session:
        assert (await open_link(session, OTHER_TOWN, access.link_token, now=town.now)).outcome == "wrong"


async def test_without_a_contact_nothing_sealed_goes_out(town: BookingTown) -> None:
    await town.booked(contact_ref=None, reach="none")
    assert await town.rows("SELECT 1 FROM booking.outbox WHERE sealed IS NOT NULL") == []


async def test_wrong_codes_lock_for_fifteen_minutes_even_when_all_are_sent_as_refusals(town: BookingTown) -> None:
    booked = await town.booked()
    outcomes = []
    for _ in range(6):
        async with town.db.begin(TOWN) as session:
            outcomes.append((await try_code(session, TOWN, booked.number, "000000", town.keys, now=town.now)).outcome)
    assert outcomes == ["wrong"] * 4 + ["locked"] * 2
    town.now += timedelta(minutes=15)
    async with town.db.begin(TOWN) as session:
        assert (await try_code(session, TOWN, booked.number, "000000", town.keys, now=town.now)).outcome == "wrong"


async def test_a_visit_holds_one_place_and_a_new_hold_gives_back_the_old(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    first, second = (await town.slots())[:2]
    await town.hold(visit_id, "guest", first.slot_id)
    await town.hold(visit_id, "guest", second.slot_id)
    assert [slot.free for slot in (await town.slots())[:2]] == [2, 1]
    back = await town.hold(visit_id, "guest", first.slot_id)
    same = await town.hold(visit_id, "guest", first.slot_id)
    assert back == same


async def test_an_expired_hold_is_free_for_others_and_cannot_be_booked(town: BookingTown) -> None:
    slot = (await town.slots("3"))[3]
    first, second = await town.visit("a", procedure=FAMILY), await town.visit("b", procedure=FAMILY)
    await town.hold(first, "a", slot.slot_id)
    with pytest.raises(Refusal, match="slot_taken"):
        await town.hold(second, "b", slot.slot_id)
    town.now += timedelta(minutes=10)
    await town.hold(second, "b", slot.slot_id)
    with pytest.raises(Refusal, match="hold_missing"):
        await town.book(first, "a")
    town.now += timedelta(minutes=10)
    with pytest.raises(Refusal, match="hold_expired"):
        await town.book(second, "b")


async def test_the_end_of_a_visit_forgets_the_draft_and_gives_back_the_place(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    slot = (await town.slots())[0]
    await town.hold(visit_id, "guest", slot.slot_id)
    async with town.db.begin(TOWN) as session:
        await on_end_visit_due(session, TOWN, str(visit_id), town.now)
    assert (await town.slots())[0].free == 2
    with pytest.raises(Refusal, match="visit_over"):
        await town.book(visit_id, "guest")


async def test_what_cannot_be_held_says_why(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    soon = (await town.slots())[0]
    assert soon.starts_at >= town.now + timedelta(minutes=30)
    cases = {
        "slot_unknown": uuid4(),
        "slot_unfit": (await town.slots("3"))[0].slot_id,
    }
    for code, slot_id in cases.items():
        with pytest.raises(Refusal, match=code):
            await town.hold(visit_id, "guest", slot_id)
    with pytest.raises(Refusal, match="visit_unknown"):
        await town.hold(visit_id, "somebody else", soon.slot_id)
    town.now = soon.starts_at - timedelta(minutes=29)
    with pytest.raises(Refusal, match="slot_too_soon"):
        await town.hold(visit_id, "guest", soon.slot_id)
    town.now += timedelta(hours=1)
    with pytest.raises(Refusal, match="visit_over"):
        await town.hold(visit_id, "guest", soon.slot_id)


async def test_a_key_means_one_request(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    first, second = (await town.slots())[:2]
    held = await town.hold(visit_id, "guest", first.slot_id, key="k")
    assert await town.hold(visit_id, "guest", first.slot_id, key="k") == held
    with pytest.raises(Refusal, match="key_reused"):
        await town.hold(visit_id, "guest", second.slot_id, key="k")


async def test_a_change_keeps_the_number_and_frees_the_old_place(town: BookingTown) -> None:
    booked = await town.booked()
    slots = await town.slots()
    async with town.db.begin(TOWN) as session:
        changed = await change_appointment(session, change(booked, slots[5].slot_id), now=town.now)
    async with town.db.begin(TOWN) as session:
        again = await change_appointment(session, change(booked, slots[5].slot_id), now=town.now)
    assert changed == again
    assert (changed.number, changed.version) == (booked.number, 2)
    after = await town.slots()
    assert (after[0].free, after[5].free) == (2, 1)
    types = [row.type for row in await town.rows("SELECT type FROM booking.outbox WHERE type LIKE '%changed%'")]  # type: ignore[attr-defined]
    assert types.count("booking.appointment_changed.v1") == 1


async def test_a_change_to_a_full_slot_keeps_the_old_place(town: BookingTown) -> None:
    booked = await town.booked("a", procedure=FAMILY)
    other = await town.booked("b", procedure=FAMILY)
    assert other.starts_at != booked.starts_at
    full = next(slot for slot in await town.slots("3") if slot.starts_at == other.starts_at)
    with pytest.raises(Refusal, match="slot_taken"):
        async with town.db.begin(TOWN) as session:
            await change_appointment(session, change(booked, full.slot_id), now=town.now)
    rows = await town.rows("SELECT count(*) AS n FROM booking.place WHERE appointment_id IS NOT NULL")
    assert rows[0].n == 2  # type: ignore[attr-defined]


async def test_cancelling_frees_the_place_at_once_and_only_in_time(town: BookingTown) -> None:
    booked = await town.booked()
    order = CancelAppointment(municipality=TOWN, appointment_id=booked.appointment_id, version=1, key="k")
    late = booked.starts_at
    with pytest.raises(Refusal, match="appointment_started"):
        async with town.db.begin(TOWN) as session:
            await cancel_appointment(session, order, now=late)
    async with town.db.begin(TOWN) as session:
        await cancel_appointment(session, order, now=town.now)
    assert (await town.slots())[0].free == 2
    with pytest.raises(Refusal, match="appointment_cancelled"):
        async with town.db.begin(TOWN) as session:
            await cancel_appointment(session, msgspec.structs.replace(order, key="other", version=2), now=town.now)


async def test_a_change_seen_in_an_old_version_is_refused(town: BookingTown) -> None:
    booked = await town.booked()
    order = change(booked, (await town.slots())[4].slot_id, version=7)
    async with town.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="appointment_moved"):
            await change_appointment(session, order, now=town.now)
