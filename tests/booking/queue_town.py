"""A town hall on a weekday: people who walk in, who booked, and what staff do with them."""

from datetime import datetime
from typing import Any, get_args
from uuid import UUID, uuid4

import msgspec

from services.booking.commands.calling_next import CallNext, call_next
from services.booking.commands.line import MoveAlong, check_in_by_number, move_along
from services.booking.commands.steps import Moved
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.domain.line import Action
from services.booking.flow import Rush
from shared.clock import JST
from shared.tokens import Identity
from shared.town_pack import QueueRules
from tests.booking.conftest import CHILD, TOWN, BookingTown, make_pack

STAFF = Identity(municipality=TOWN, kind="staff", ref="staff", session_id="s", roles=("counter",), office="子育て")
HALL = msgspec.structs.replace(STAFF, ref="hall", office=None)
ACTIONS = get_args(Action)


async def open_town(town: BookingTown, *, places: int = 2, slot_min: int = 30, **rules: Any) -> None:
    """Counter 7 has two places, and the line is ordered by these rules."""
    pack = make_pack(places=places, slot_min=slot_min)
    await town.open(msgspec.structs.replace(pack, queue=QueueRules(**rules)))


async def walk_in(town: BookingTown, procedure: str = CHILD) -> Moved:
    async with town.db.begin(TOWN) as session:
        return await take_walk_in(session, HALL, TakeWalkIn(procedure=procedure, key=uuid4().hex), now=town.now)


async def take(town: BookingTown, moved: Any, action: Action, *, version: int | None = None) -> Moved:
    """One step with somebody, as they stand now."""
    if version is None:
        version = (await row_of(town, moved.appointment_id)).version
    order = MoveAlong(appointment_id=moved.appointment_id, action=action, version=version)
    async with town.db.begin(TOWN) as session:
        return await move_along(session, HALL, order, now=town.now)


async def arrive(town: BookingTown, number: str) -> Moved:
    async with town.db.begin(TOWN) as session:
        return await check_in_by_number(session, HALL, number, now=town.now)


async def next_please(
    town: BookingTown, counter: str = "7", *, key: str | None = None, who: Identity = STAFF, rush: Rush | None = None
) -> Moved:
    order = CallNext(counter=counter, key=key or uuid4().hex)
    return await (rush or Rush()).run(town.db, TOWN, lambda session: call_next(session, who, order, now=town.now))


async def row_of(town: BookingTown, appointment_id: UUID) -> Any:
    [row] = await town.rows("SELECT * FROM booking.appointment WHERE appointment_id = :id", id=appointment_id)
    return row


async def count(town: BookingTown, table: str) -> int:
    [row] = await town.rows(f"SELECT count(*) AS n FROM booking.{table}")
    return int(row.n)  # type: ignore[attr-defined]


def clock(town: BookingTown, text: str) -> datetime:
    hour, minute = map(int, text.split(":"))
    return town.now.astimezone(JST).replace(hour=hour, minute=minute, second=0)
