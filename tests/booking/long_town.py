"""A town where several of a thing, and several things of a counter, are done in one appointment."""

from datetime import datetime, time
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    Changed,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.services import ChooseServices, choose_services
from services.booking.consumers import on_catalogue_published
from services.booking.domain.services import Service
from services.booking.queries.rules import get_rules
from services.booking.queries.runs import Need
from services.booking.queries.slots import OpenSlot, list_slots
from shared.clock import JST, jst_day
from shared.events.routing import ProcedureEntry
from shared.town_pack import Opening
from tests.booking.conftest import CHILD, TOWN, BookingTown, make_catalogue, make_pack

CARE, SECRET = "CHI03", "CHI09"
WEEKDAYS = (1, 2, 3, 4, 5)
# Two of it take 50 minutes, three 70: two and three slots of half an hour.
TWO, THREE = (Service(CHILD, 2),), (Service(CHILD, 3),)

# What must never be, whatever anybody does: told by the rows alone, as of a time.
TORN = text("""
    WITH holder AS (
        SELECT coalesce(p.appointment_id, p.visit_id) AS who, p.appointment_id IS NOT NULL AS is_booked, p.part,
               p.parts, s.slot_id, s.counter, s.starts_at, s.ends_at
        FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
        WHERE p.appointment_id IS NOT NULL OR p.held_until > :now),
    run AS (
        SELECT who, is_booked, count(*) AS places, max(parts) AS parts, min(parts) AS parts_too,
               count(DISTINCT part) AS numbers, count(DISTINCT counter) AS counters, min(starts_at) AS starts_at,
               max(ends_at) AS ends_at, sum(ends_at - starts_at) AS lasts, count(DISTINCT slot_id) AS slots
        FROM holder GROUP BY who, is_booked)
    SELECT run.who FROM run
    LEFT JOIN booking.appointment a ON run.is_booked AND a.appointment_id = run.who
    WHERE run.places <> run.parts OR run.parts <> run.parts_too OR run.numbers <> run.parts OR run.counters <> 1
       OR run.lasts <> run.ends_at - run.starts_at OR run.slots <> run.places
       OR run.is_booked AND (a.state = 'cancelled' OR (a.starts_at, a.ends_at) <> (run.starts_at, run.ends_at))
    UNION ALL
    SELECT a.appointment_id FROM booking.appointment a
    WHERE a.state <> 'cancelled' AND a.kind = 'booked'
      AND a.parts <> (SELECT count(*) FROM booking.place p WHERE p.appointment_id = a.appointment_id)
""")


async def open_town(town: BookingTown, *, lunch: bool = False, **changes: Any) -> None:
    """児童手当 for up to four at counter 7, 医療証 beside it, something discreet; slots of half an hour, 8:30–17:00."""
    hours = Opening(("7",), WEEKDAYS, time(8, 30), time(17, 0))
    if lunch:
        hours = msgspec.structs.replace(hours, lunch_from=time(12), lunch_to=time(13))
    pack = msgspec.structs.replace(
        make_pack(**changes), opening=(hours, Opening(("3",), WEEKDAYS, time(8, 30), time(17, 15)))
    )
    await town.open(pack, catalogue=False)
    await publish_catalogue(town)


async def publish_catalogue(town: BookingTown, version: int = 2, **changes: Any) -> None:
    """The catalogue, with `changes` to 児童手当."""
    known = make_catalogue(version=version)
    counted = {"quantity_max": 4, "more_min": 20, "unit": "人分"} | changes
    beside = {"office": "子育て", "counters": ("7",), "minutes": 15, "bring": ("保険証", "預金通帳"), "fee_yen": 100}
    procedures = (
        *(msgspec.structs.replace(entry, **counted) if entry.code == CHILD else entry for entry in known.procedures),
        ProcedureEntry(code=CARE, name_ja="医療証の申請", **beside),  # type: ignore[arg-type]
        ProcedureEntry(code=SECRET, name_ja="ひみつの手続き", discreet=True, **beside),  # type: ignore[arg-type]
    )
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, msgspec.structs.replace(known, procedures=procedures), now=town.now)


async def choose(town: BookingTown, visit_id: UUID, *services: Service, guest: str = "guest") -> None:
    order = ChooseServices(municipality=TOWN, visit_id=visit_id, visitor=guest, services=services)
    async with town.db.begin(TOWN) as session:
        await choose_services(session, order, now=town.now)


async def long_visit(town: BookingTown, guest: str = "guest", services: tuple[Service, ...] = THREE) -> UUID:
    visit_id = await town.visit(guest)
    await choose(town, visit_id, *services, guest=guest)
    return visit_id


async def slot_at(town: BookingTown, hour: int, minute: int = 0, *, counter: str = "7", day: int = 1) -> UUID:
    starts_at = datetime(2026, 6, day, hour, minute, tzinfo=JST)
    rows = await town.rows(
        "SELECT slot_id FROM booking.slot WHERE counter = :counter AND starts_at = :at AND NOT withdrawn",
        counter=counter,
        at=starts_at,
    )
    return UUID(str(rows[0].slot_id))  # type: ignore[attr-defined]


async def long_slots(town: BookingTown, minutes: int, own: UUID | None = None) -> list[OpenSlot]:
    """Today's times at counter 7 from which so many minutes are covered."""
    async with town.db.begin(TOWN) as session:
        policy = (await get_rules(session, TOWN)).policy
        today, need = jst_day(town.now), Need(minutes=minutes, own=own)
        return await list_slots(session, TOWN, ["7"], policy, first=today, last=today, need=need, now=town.now)


async def move(town: BookingTown, appointment_id: UUID, slot_id: UUID, version: int = 1, key: str = "k") -> Changed:
    order = ChangeAppointment(
        municipality=TOWN, appointment_id=appointment_id, slot_id=slot_id, version=version, key=key
    )
    async with town.db.begin(TOWN) as session:
        return await change_appointment(session, order, now=town.now)


async def booked_at(
    town: BookingTown, hour: int, minute: int = 0, *, guest: str = "guest", services: tuple[Service, ...] = THREE
) -> Any:
    visit_id = await long_visit(town, guest, services)
    await town.hold(visit_id, guest, await slot_at(town, hour, minute))
    return await town.book(visit_id, guest)


async def taken(town: BookingTown) -> list[str]:
    """When the places begin that somebody has now, and which part of how many each is."""
    rows = await town.rows(
        """SELECT s.starts_at, p.part, p.parts FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
           WHERE p.appointment_id IS NOT NULL OR p.held_until > :now ORDER BY s.starts_at, p.place_no""",
        now=town.now,
    )
    return [f"{row.starts_at.astimezone(JST):%H:%M} {row.part}/{row.parts}" for row in rows]  # type: ignore[attr-defined]


async def assert_whole(town: BookingTown) -> None:
    async with town.database.owner_engine("booking").connect() as connection:
        assert (await connection.execute(TORN, {"now": town.now})).all() == []


async def cancel(town: BookingTown, appointment_id: UUID, version: int = 1) -> None:
    order = CancelAppointment(municipality=TOWN, appointment_id=appointment_id, version=version, key="c")
    async with town.db.begin(TOWN) as session:
        await cancel_appointment(session, order, now=town.now)
