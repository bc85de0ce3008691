"""What pages and API do around a command: its transaction, a second try, and the alternatives when somebody lost."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import BookAppointment, Booked, book_appointment
from services.booking.commands.changes import ChangeAppointment, Changed, change_appointment
from services.booking.commands.help_requests import leave_request_of_visit
from services.booking.commands.holds import Hold, HoldPlace, hold_place
from services.booking.commands.visits import release_hold
from services.booking.domain.rules import Policy, SlotTaken
from services.booking.keys import Keys
from services.booking.queries.rules import get_rules
from services.booking.queries.runs import Need
from services.booking.queries.slots import find_procedure, list_alternatives
from services.booking.queries.visits import get_visit
from shared.db import Database, is_deadlock
from shared.errors import Refusal

T = TypeVar("T")

# Under a rush, requests wait here in line instead of fighting for connections: the pool has a time limit, this has
# none, and pages that only read still find a connection.
WRITERS_AT_ONCE = 12
LOOKS_AT_ONCE = 2
TRIES = 3
# What the trigger says of a place that nobody may take (`migrations/versions/0015_closings.py`).
CLOSED_GUARD = "nobody is served then"


class Lost(NamedTuple):
    """What somebody did not get, and where else it could have been."""

    municipality: str
    slot_id: UUID
    counters: tuple[str, ...]
    minutes: int | None


class Rush:
    """Lets so many writers in at once, and looks for other times once for all who lost the same. One per process."""

    def __init__(self, writers: int = WRITERS_AT_ONCE) -> None:
        self._gate = asyncio.Semaphore(writers)
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._next_look: dict[Lost, asyncio.Future[list[dict[str, Any]]]] = {}

    async def run(self, db: Database, municipality: str, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Do the work in a transaction; again if a twin was faster, the random number is taken, or two waited for each
        other: PostgreSQL undid one of them."""
        async with self._gate:
            for left in range(TRIES - 1, -1, -1):
                try:
                    async with db.begin(municipality) as session:
                        return await work(session)
                except DBAPIError as error:
                    if CLOSED_GUARD in str(error.orig):
                        # It was closed after the rules had looked; the database knew.
                        raise Refusal("slot_closed", 409) from error
                    if left == 0 or not _is_worth_another_try(error):
                        raise
        raise AssertionError("every way out of the loop returns or raises")

    async def alternatives(
        self, db: Database, municipality: str, slot_id: UUID, taken: SlotTaken, *, now: datetime
    ) -> list[dict[str, Any]]:
        """The free places nearest to the one that was lost.

        Hundreds lose the same place at once and ask the same. They share the next look, which has not begun yet: what
        it finds was free after each of them had lost.
        """
        lost = Lost(municipality, slot_id, taken.counters, taken.minutes)
        if lost not in self._next_look:
            self._next_look[lost] = asyncio.ensure_future(self._look(db, lost, taken.policy, now=now))
        return await asyncio.shield(self._next_look[lost])

    async def _look(self, db: Database, lost: Lost, policy: Policy, *, now: datetime) -> list[dict[str, Any]]:
        async with self._looks:
            del self._next_look[lost]  # who comes from here on waits for another one
            async with db.begin(lost.municipality) as session:
                need = None if lost.minutes is None else Need(minutes=lost.minutes)
                nearest = await list_alternatives(
                    session, lost.municipality, lost.slot_id, lost.counters, policy, need=need, now=now
                )
        found: list[dict[str, Any]] = msgspec.to_builtins(nearest)
        return found


def _is_worth_another_try(error: DBAPIError) -> bool:
    return isinstance(error, IntegrityError) or is_deadlock(error)


async def hold(db: Database, rush: Rush, order: HoldPlace, *, now: datetime) -> Hold:
    """Hold a place; who lost it is told the nearest others.

    Raises:
        Refusal: as `hold_place`; `slot_taken` with `alternatives`.
    """
    try:
        return await rush.run(db, order.municipality, lambda session: hold_place(session, order, now=now))
    except SlotTaken as taken:
        alternatives = await rush.alternatives(db, order.municipality, order.slot_id, taken, now=now)
    raise Refusal("slot_taken", 409, alternatives=alternatives)


async def change(db: Database, rush: Rush, order: ChangeAppointment, *, now: datetime) -> Changed:
    """Move an appointment; who lost the place is told the nearest others.

    Raises:
        Refusal: as `change_appointment`; `slot_taken` with `alternatives`.
    """
    try:
        return await rush.run(db, order.municipality, lambda session: change_appointment(session, order, now=now))
    except SlotTaken as taken:
        alternatives = await rush.alternatives(db, order.municipality, order.slot_id, taken, now=now)
    raise Refusal("slot_taken", 409, alternatives=alternatives)


async def book(db: Database, rush: Rush, order: BookAppointment, keys: Keys, *, now: datetime) -> Booked:
    """Turn a hold into an appointment. Where no helper can be asked any more, the place is given back.

    Raises:
        Refusal: as `book_appointment`; `slot_taken` with `alternatives`.
    """
    try:
        return await rush.run(db, order.municipality, lambda session: _book(session, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code != "slot_taken":
            raise
    slot_id, taken = await rush.run(db, order.municipality, lambda session: _give_back(session, order, keys, now=now))
    raise Refusal(
        "slot_taken",
        409,
        slot_id=str(slot_id),
        alternatives=await rush.alternatives(db, order.municipality, slot_id, taken, now=now),
    )


async def _book(session: AsyncSession, order: BookAppointment, keys: Keys, *, now: datetime) -> Booked:
    booked = await book_appointment(session, order, keys, now=now)
    await leave_request_of_visit(session, order.municipality, order.visit_id, now=now)
    return booked


async def _give_back(
    session: AsyncSession, order: BookAppointment, keys: Keys, *, now: datetime
) -> tuple[UUID, SlotTaken]:
    """A held place that leads nowhere is free again; what it was, and where there may be another."""
    visit = await get_visit(session, order.municipality, order.visit_id, order.visitor, keys)
    procedure = await find_procedure(session, order.municipality, visit.procedure, visit.channel)
    if visit.held is None or procedure is None:
        raise Refusal("hold_missing", 409)
    await release_hold(session, order.municipality, order.visit_id, order.visitor, now=now)
    policy = procedure.policy((await get_rules(session, order.municipality)).policy)
    return visit.held.slot_id, SlotTaken(procedure.counters, policy)
