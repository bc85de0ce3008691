"""The waitlist in tests: a town whose days have two times of one place each, and people who wait for one of them."""

from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from services.booking.commands.appointments import Booked
from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.waitlist import JoinWaitlist, decline_earlier, join_waitlist, leave_waitlist
from services.booking.commands.waitlist_offers import on_waiting_due
from services.booking.consumers import on_catalogue_published
from services.booking.domain.waitlist import WEEKDAYS, Part, Window
from services.booking.queries.slots import OpenSlot
from shared.clock import JST
from tests.booking.closing_town import offers_of, run_due
from tests.booking.conftest import TOWN, BookingTown, make_catalogue, make_pack

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2026, 6, day) for day in (2, 3, 4, 5))
# 8:30 to 12:30 and 12:30 to 16:30.
SLOT_MIN = 240
NOTICE = timedelta(minutes=30)


async def open_small(town: BookingTown, *, counters: tuple[str, ...] = ("7",)) -> BookingTown:
    """One place in the morning and one in the afternoon, at counter 7."""
    await town.open(make_pack(places=1, slot_min=SLOT_MIN), catalogue=False)
    catalogue = make_catalogue()
    first, *others = catalogue.procedures
    procedures = (msgspec.structs.replace(first, counters=counters), *others)
    event = msgspec.structs.replace(catalogue, procedures=procedures)
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, event, now=town.now)
    return town


async def slot_at(town: BookingTown, day: date, part: str = "morning", counter: str = "7") -> OpenSlot:
    """A day's first time of the morning or the afternoon."""
    slots = await town.slots(counter, day=day)
    return next(slot for slot in slots if (slot.starts_at.astimezone(JST).hour < 12) == (part == "morning"))


async def book_at(
    town: BookingTown, guest: str, day: date, part: str = "morning", *, counter: str = "7", **changes: object
) -> Booked:
    """An appointment at that time."""
    visit_id = await town.visit(guest, **changes)
    await town.hold(visit_id, guest, (await slot_at(town, day, part, counter)).slot_id)
    return await town.book(visit_id, guest)


async def wait(
    town: BookingTown,
    booked: Booked,
    *,
    first: date = TUESDAY,
    last: date = TUESDAY,
    weekdays: tuple[int, ...] = WEEKDAYS,
    part: Part = "any",
    counter: str | None = None,
    key: str | None = None,
) -> None:
    """Wait for an earlier time, as its owner; the next one who does comes after."""
    window = Window(first_day=first, last_day=last, weekdays=weekdays, part=part, counter=counter)
    order = JoinWaitlist(
        municipality=TOWN, appointment_id=booked.appointment_id, window=window, key=key or str(uuid4())
    )
    async with town.db.begin(TOWN) as session:
        await join_waitlist(session, order, now=town.now)
    town.now += timedelta(milliseconds=1)


async def waiters(town: BookingTown, *guests: str, day: date = THURSDAY, **window: object) -> list[Booked]:
    """People with a time later in the week who wait for a Tuesday, in this order."""
    days = [day + timedelta(days=number // 2) for number in range(len(guests))]
    found = []
    for number, guest in enumerate(guests):
        booked = await book_at(town, guest, days[number], ("morning", "afternoon")[number % 2])
        await wait(town, booked, **window)  # type: ignore[arg-type]
        found.append(booked)
    return found


async def settle(town: BookingTown, **later: float) -> None:
    """Some seconds later, or more: what was marked is looked at, and looked at again."""
    town.now += timedelta(**later)
    for _ in range(3):
        town.now += timedelta(seconds=1)
        await run_due(town)


async def look(town: BookingTown, counter: str = "7", *, now: datetime | None = None) -> None:
    """One look at a counter, at this very moment."""
    async with town.db.begin(TOWN) as session:
        await on_waiting_due(session, TOWN, counter, now or town.now)


async def version_of(town: BookingTown, booked: Booked) -> int:
    """The version that a page would show now."""
    rows = await town.rows(
        "SELECT version FROM booking.appointment WHERE appointment_id = :id", id=booked.appointment_id
    )
    return int(rows[0].version)  # type: ignore[attr-defined]


async def cancel(town: BookingTown, booked: Booked) -> None:
    """Cancel, as its owner."""
    order = CancelAppointment(
        municipality=TOWN,
        appointment_id=booked.appointment_id,
        version=await version_of(town, booked),
        key=str(uuid4()),
    )
    async with town.db.begin(TOWN) as session:
        await cancel_appointment(session, order, now=town.now)


async def move(town: BookingTown, booked: Booked, slot_id: UUID) -> None:
    """Move to another time, as its owner."""
    order = ChangeAppointment(
        municipality=TOWN,
        appointment_id=booked.appointment_id,
        slot_id=slot_id,
        version=await version_of(town, booked),
        key=str(uuid4()),
    )
    async with town.db.begin(TOWN) as session:
        await change_appointment(session, order, now=town.now)


async def stop(town: BookingTown, booked: Booked) -> None:
    """Wait no more."""
    async with town.db.begin(TOWN) as session:
        await leave_waitlist(session, TOWN, booked.appointment_id, now=town.now)


async def decline(town: BookingTown, booked: Booked) -> None:
    """Say no to what is kept."""
    rows = await town.rows(
        "SELECT offer_id FROM booking.offered_place WHERE appointment_id = :id AND state = 'open'",
        id=booked.appointment_id,
    )
    async with town.db.begin(TOWN) as session:
        await decline_earlier(session, TOWN, booked.appointment_id, rows[0].offer_id, now=town.now)  # type: ignore[attr-defined]


async def states_of(town: BookingTown, booked: Booked) -> list[str]:
    """What became of every offer to them, the oldest first."""
    return [offer.state for offer in await offers_of(town, booked)]


async def on_list(town: BookingTown) -> list[UUID]:
    """Whose rows are on the list, in the order of joining."""
    rows = await town.rows("SELECT appointment_id FROM booking.waiting ORDER BY joined_at, appointment_id")
    return [row.appointment_id for row in rows]  # type: ignore[attr-defined]


async def is_free(town: BookingTown, day: date, part: str = "morning") -> bool:
    """Whether anybody can book that time now."""
    return (await slot_at(town, day, part)).free == 1
