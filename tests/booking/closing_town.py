"""Closing in tests: what a manager does, and what the worker's loop does after it."""

from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from services.booking.commands.appointments import Booked
from services.booking.commands.changes import ChangeAppointment, Changed, change_appointment
from services.booking.commands.closings import CloseTime, close_time, reopen
from services.booking.queries.slots import start_of_day
from services.booking.worker import DUE_HANDLERS
from shared.messaging.due import DueLoop
from shared.tokens import Identity
from tests.booking.conftest import TOWN, BookingTown

TUESDAY = date(2026, 6, 2)
MANAGER = Identity(municipality=TOWN, kind="staff", ref="boss", session_id="s-boss", roles=("manager",))
DAY_MIN = 24 * 60


async def book_on(town: BookingTown, guest: str, *, day: date = TUESDAY, slot: int = 0, **changes: object) -> Booked:
    """An appointment at counter 7 in the so-manieth slot of a day."""
    visit_id = await town.visit(guest, **changes)
    slots = await town.slots("7", day=day)
    await town.hold(visit_id, guest, slots[slot].slot_id)
    return await town.book(visit_id, guest)


async def close(
    town: BookingTown,
    *,
    counter: str | None = "7",
    day: date = TUESDAY,
    from_min: int = 0,
    to_min: int = DAY_MIN,
    days: int = 1,
    key: str | None = None,
) -> UUID:
    """Close, as a manager who has confirmed it."""
    order = CloseTime(
        counter=counter,
        starts_at=start_of_day(day) + timedelta(minutes=from_min),
        ends_at=start_of_day(day) + timedelta(minutes=to_min),
        reason="weather",
        note="",
        key=key or str(uuid4()),
        days=days,
    )
    async with town.db.begin(TOWN) as session:
        return (await close_time(session, MANAGER, order, now=town.now)).closing_id


async def open_again(town: BookingTown, closing_id: UUID) -> None:
    """Reopen, as a manager."""
    async with town.db.begin(TOWN) as session:
        await reopen(session, MANAGER, closing_id, now=town.now)


async def run_due(town: BookingTown) -> None:
    """Let everything happen that is due by now."""
    loop = DueLoop(town.db, DUE_HANDLERS, town.clock)
    while await loop.run_once():
        pass


async def change(town: BookingTown, booked: Booked, slot_id: UUID, *, version: int = 2) -> Changed:
    """Move an appointment, as its owner."""
    order = ChangeAppointment(
        municipality=TOWN, appointment_id=booked.appointment_id, slot_id=slot_id, version=version, key=str(uuid4())
    )
    async with town.db.begin(TOWN) as session:
        return await change_appointment(session, order, now=town.now)


class Offered(msgspec.Struct, frozen=True):
    """An offer, and the place that it keeps."""

    slot_id: UUID
    place_no: int
    starts_at: datetime
    until: datetime
    state: str
    is_kept: bool


async def offers_of(town: BookingTown, booked: Booked) -> list[Offered]:
    """Every offer to an appointment's owner, the oldest first."""
    rows = await town.rows(
        """SELECT o.slot_id, o.place_no, s.starts_at, o.until, o.state,
                  coalesce(p.hold_id = o.offer_id, false) AS is_kept
           FROM booking.offered_place o
           LEFT JOIN booking.slot s ON (s.municipality, s.slot_id) = (o.municipality, o.slot_id)
           LEFT JOIN booking.place p
                ON (p.municipality, p.slot_id, p.place_no) = (o.municipality, o.slot_id, o.place_no)
           WHERE o.appointment_id = :id ORDER BY o.offered_at, o.ended_at NULLS LAST""",
        id=booked.appointment_id,
    )
    return [Offered(*row) for row in rows]  # type: ignore[misc]


async def closure_of(town: BookingTown, booked: Booked) -> tuple[str, str]:
    """An appointment's state, and what a closing did to it."""
    rows = await town.rows(
        "SELECT state, closure FROM booking.appointment WHERE appointment_id = :id", id=booked.appointment_id
    )
    return tuple(rows[0])  # type: ignore[arg-type, return-value]


async def told(town: BookingTown, booked: Booked) -> list[tuple[str, str, datetime | None, bool]]:
    """What others were told of an appointment: fact, closure, the time that is kept, and whether in bulk."""
    rows = await town.rows(
        """SELECT o.type, o.payload, bool_and(d.bulk) AS bulk FROM booking.outbox o
           JOIN booking.delivery d USING (municipality, event_id)
           WHERE o.aggregate_id = :id GROUP BY o.municipality, o.event_id ORDER BY o.aggregate_version""",
        id=str(booked.appointment_id),
    )
    found = [(row.type.split("_")[1].split(".")[0], msgspec.json.decode(bytes(row.payload)), row.bulk) for row in rows]  # type: ignore[attr-defined]
    return [
        (name, payload.get("closure", "none"), _moment(payload.get("offer_starts_at")), bulk)
        for name, payload, bulk in found
    ]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
