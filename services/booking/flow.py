"""What pages and API do around a command: its transaction, a second try, and the alternatives when somebody lost."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import BookAppointment, Booked, book_appointment
from services.booking.commands.changes import ChangeAppointment, Changed, change_appointment
from services.booking.commands.holds import Hold, HoldPlace, hold_place
from services.booking.commands.visits import release_hold
from services.booking.keys import Keys
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import Channel, find_procedure, list_alternatives
from services.booking.queries.visits import get_visit
from shared.db import Database
from shared.errors import Refusal

T = TypeVar("T")

# Under a rush, requests wait here in line instead of fighting for connections: the pool has a time limit, this has
# none, and pages that only read still find a connection.
WRITERS_AT_ONCE = 12
TRIES = 3
DEADLOCK = "40P01"


class Rush:
    """Lets so many writers in at once. One per process."""

    def __init__(self, writers: int = WRITERS_AT_ONCE) -> None:
        self._gate = asyncio.Semaphore(writers)

    async def run(self, db: Database, municipality: str, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Do the work in a transaction; again if a twin was faster, the random number is taken, or two waited for each
        other: PostgreSQL undid one of them."""
        async with self._gate:
            for left in range(TRIES - 1, -1, -1):
                try:
                    async with db.begin(municipality) as session:
                        return await work(session)
                except DBAPIError as error:
                    if left == 0 or not _is_worth_another_try(error):
                        raise
        raise AssertionError("every way out of the loop returns or raises")


def _is_worth_another_try(error: DBAPIError) -> bool:
    return isinstance(error, IntegrityError) or getattr(error.orig, "sqlstate", None) == DEADLOCK


async def hold(db: Database, rush: Rush, order: HoldPlace, keys: Keys, *, now: datetime) -> Hold:
    """Hold a place; who lost it is told the nearest others.

    Raises:
        Refusal: as `hold_place`; `slot_taken` with `alternatives`.
    """
    try:
        return await rush.run(db, order.municipality, lambda session: hold_place(session, order, now=now))
    except Refusal as refusal:
        if refusal.code != "slot_taken":
            raise

    async def look(session: AsyncSession) -> list[dict[str, Any]]:
        visit = await get_visit(session, order.municipality, order.visit_id, order.visitor, keys)
        return await _alternatives(
            session, order.municipality, visit.procedure, order.slot_id, channel=visit.channel, now=now
        )

    raise Refusal("slot_taken", 409, alternatives=await rush.run(db, order.municipality, look))


async def book(db: Database, rush: Rush, order: BookAppointment, keys: Keys, *, now: datetime) -> Booked:
    """Turn a hold into an appointment. Where no helper can be asked any more, the place is given back.

    Raises:
        Refusal: as `book_appointment`; `slot_taken` with `alternatives`.
    """
    try:
        return await rush.run(db, order.municipality, lambda session: book_appointment(session, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code != "slot_taken":
            raise

    async def give_back(session: AsyncSession) -> list[dict[str, Any]]:
        visit = await get_visit(session, order.municipality, order.visit_id, order.visitor, keys)
        if visit.held is None:
            return []
        await release_hold(session, order.municipality, order.visit_id, order.visitor, now=now)
        found = await _alternatives(
            session, order.municipality, visit.procedure, visit.held.slot_id, channel=visit.channel, now=now
        )
        return [item for item in found if item["slot_id"] != str(visit.held.slot_id)]

    raise Refusal("slot_taken", 409, alternatives=await rush.run(db, order.municipality, give_back))


async def change(
    db: Database,
    rush: Rush,
    order: ChangeAppointment,
    procedure: str,
    keys: Keys,
    *,
    channel: Channel = "counter",
    now: datetime,
) -> Changed:
    """Move an appointment; if the new place is gone, the old one is still there, and the nearest others are told.

    Raises:
        Refusal: as `change_appointment`; `slot_taken` with `alternatives`.
    """
    try:
        return await rush.run(db, order.municipality, lambda session: change_appointment(session, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code != "slot_taken":
            raise

    async def look(session: AsyncSession) -> list[dict[str, Any]]:
        return await _alternatives(session, order.municipality, procedure, order.slot_id, channel=channel, now=now)

    raise Refusal("slot_taken", 409, alternatives=await rush.run(db, order.municipality, look))


async def _alternatives(
    session: AsyncSession, municipality: str, procedure: str, slot_id: UUID, *, channel: Channel, now: datetime
) -> list[dict[str, Any]]:
    known = await find_procedure(session, municipality, procedure, channel)
    policy = (await get_rules(session, municipality)).policy
    if known is None:
        return []
    nearest = await list_alternatives(session, municipality, slot_id, known.counters, policy, now=now)
    found: list[dict[str, Any]] = msgspec.to_builtins(nearest)
    return found
