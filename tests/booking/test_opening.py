"""Opening rules become slots and places, again and again, and nobody loses theirs; availability follows."""

from datetime import date, timedelta

import msgspec
import pytest

from services.booking.commands.availability import on_availability_check_due, on_availability_due
from services.booking.commands.horizon import on_extend_horizon_due
from services.booking.consumers import on_catalogue_published
from services.booking.queries.slots import find_procedure
from services.booking.worker import DUE_HANDLERS
from shared.clock import JST
from shared.events.booking import AvailabilityChanged
from shared.messaging.due import DueLoop
from tests.booking.conftest import CHILD, TOWN, BookingTown, make_catalogue, make_pack


async def availability(town: BookingTown, counter: str = "7") -> list[AvailabilityChanged]:
    rows = await town.rows(
        """SELECT payload FROM booking.outbox WHERE type = 'booking.availability_changed.v1' AND aggregate_id = :counter
           ORDER BY aggregate_version""",
        counter=counter,
    )
    return [msgspec.json.decode(bytes(row.payload), type=AvailabilityChanged) for row in rows]  # type: ignore[attr-defined]


async def test_the_horizon_is_open_on_weekdays_and_closed_when_the_town_is(town: BookingTown) -> None:
    days = {slot.starts_at.astimezone(JST).date() for slot in await town.slots()}
    assert date(2026, 6, 1) in days
    assert max(days) == date(2026, 6, 19)
    assert not {date(2026, 6, 6), date(2026, 6, 7), date(2026, 6, 10), date(2026, 6, 22)} & days


async def test_holidays_and_the_years_end_are_closed(bare_town: BookingTown) -> None:
    town = bare_town
    town.now = town.now.replace(month=12, day=21)
    await town.open(make_pack(horizon_days=25))
    days = {slot.starts_at.astimezone(JST).date() for slot in await town.slots()}
    assert {date(2026, 12, 28), date(2027, 1, 4)} <= days
    closed = {date(2026, 12, 29), date(2026, 12, 30), date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 11)}
    assert not closed & days


async def test_loading_again_changes_nothing(town: BookingTown) -> None:
    before = await town.rows("SELECT slot_id, place_no, audience FROM booking.place ORDER BY 1, 2")
    booked = await town.booked()
    await town.open()
    assert await town.rows("SELECT slot_id, place_no, audience FROM booking.place ORDER BY 1, 2") == before
    taken = await town.rows("SELECT appointment_id FROM booking.place WHERE appointment_id IS NOT NULL")
    assert [row.appointment_id for row in taken] == [booked.appointment_id]  # type: ignore[attr-defined]


async def test_new_rules_take_effect_around_those_who_have_booked_or_hold(town: BookingTown) -> None:
    # On Tuesday: a changed pack counts from tomorrow on.
    booked = await town.booked(slot=15)
    visit_id = await town.visit("other")
    held = await town.hold(visit_id, "other", (await town.slots())[18].slot_id)
    await town.open(make_pack(slot_min=45, places=3, staff_only=1))
    rows = await town.rows(
        """SELECT starts_at, ends_at, capacity, withdrawn FROM booking.slot
           WHERE counter = '7' AND starts_at > :tomorrow ORDER BY starts_at""",
        tomorrow=town.now + timedelta(hours=15),
    )
    kept = [row for row in rows if row.ends_at - row.starts_at == timedelta(minutes=30)]  # type: ignore[attr-defined]
    assert [row.starts_at for row in kept] == [booked.starts_at, held.starts_at]  # type: ignore[attr-defined]
    assert all(row.withdrawn for row in kept)  # type: ignore[attr-defined]
    assert all(row.capacity == 3 for row in rows if row not in kept)  # type: ignore[attr-defined]
    assert (await town.slots())[-1].free == 2
    assert (await town.book(visit_id, "other")).starts_at == held.starts_at


async def test_the_horizon_moves_on_every_day(town: BookingTown) -> None:
    last = (await town.slots())[-1].starts_at
    town.now += timedelta(days=3)
    async with town.db.begin(TOWN) as session:
        await on_extend_horizon_due(session, TOWN, "town", town.now)
    assert (await town.slots())[-1].starts_at > last
    due = await town.rows("SELECT due_at FROM booking.due WHERE kind = 'extend_horizon'")
    assert due[0].due_at.astimezone(JST).isoformat() == "2026-06-05T00:05:00+09:00"  # type: ignore[attr-defined]


async def test_availability_is_published_when_it_changes_and_only_then(town: BookingTown) -> None:
    loop = DueLoop(town.db, DUE_HANDLERS, town.clock)
    town.now += timedelta(seconds=1)
    await loop.run_once()
    first = await availability(town)
    assert [event.earliest_at for event in first] == [(await town.slots())[0].starts_at]
    town.now += timedelta(seconds=1)
    await loop.run_once()
    assert len(await availability(town)) == 1
    guests = [f"g{number}" for number in range(2)]
    slot = (await town.slots())[0]
    for guest in guests:
        await town.hold(await town.visit(guest), guest, slot.slot_id)
    town.now += timedelta(seconds=1)
    await loop.run_once()
    full = await availability(town)
    assert [event.aggregate_version for event in full] == [1, 2]
    assert full[-1].earliest_at == (await town.slots())[1].starts_at
    # The holds lapse: nobody does anything, and yet it is published.
    town.now += timedelta(minutes=10)
    await loop.run_once()
    town.now += timedelta(seconds=2)
    await loop.run_once()
    assert (await availability(town))[-1].earliest_at == slot.starts_at


async def test_availability_is_none_when_all_is_full(bare_town: BookingTown) -> None:
    await bare_town.open(make_pack(horizon_days=1, places=1, staff_only=1))
    async with bare_town.db.begin(TOWN) as session:
        await on_availability_due(session, TOWN, "7", bare_town.now)
        await on_availability_check_due(session, TOWN, "7", bare_town.now)
    assert [event.earliest_at for event in await availability(bare_town)] == [None]


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 2, 1)])
async def test_the_catalogues_projection_keeps_the_newest(bare_town: BookingTown, order: tuple[int, ...]) -> None:
    town = bare_town
    for version in order:
        event = make_catalogue(version=version)
        if version == 1:
            event = msgspec.structs.replace(event, procedures=())
        async with town.db.begin(TOWN) as session:
            await on_catalogue_published(session, event, now=town.now)
    async with town.db.begin(TOWN) as session:
        assert (await find_procedure(session, TOWN, CHILD)) is not None
