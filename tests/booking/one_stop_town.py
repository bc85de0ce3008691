"""A town with one visit for everything: the allowance comes after the move, at counters three minutes apart."""

from uuid import UUID, uuid4

import msgspec

from services.booking.commands.appointments import BookAppointment, Booked
from services.booking.commands.one_stop import HoldChain, Wish, book_chain, hold_chain
from services.booking.consumers import on_catalogue_published
from services.booking.domain.one_stop import Chain
from services.booking.queries.one_stop import HeldChain, list_chains, list_errands
from services.booking.queries.rules import get_rules
from shared.events.routing import WalkEntry
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown, make_catalogue, make_pack

ERRANDS = (CHILD,)  # beside FAMILY, whose case it is


async def open_town(town: BookingTown, **changes: object) -> None:
    """The allowance (counter 7) comes after the move (counter 3), three minutes away."""
    await town.open(make_pack(**changes), catalogue=False)  # type: ignore[arg-type]
    known = make_catalogue(version=2)
    procedures = tuple(
        msgspec.structs.replace(entry, after=(FAMILY,)) if entry.code == CHILD else entry for entry in known.procedures
    )
    walks = (WalkEntry(counter="3", other="7", minutes=3),)
    async with town.db.begin(TOWN) as session:
        event = msgspec.structs.replace(known, procedures=procedures, walks=walks)
        await on_catalogue_published(session, event, now=town.now)


async def arrive(house: BookingTown, guest: str = "guest", **changes: object) -> UUID:
    return await house.visit(guest, procedure=FAMILY, errands=ERRANDS, **changes)


async def chains(house: BookingTown, visit_id: UUID, people: int = 1) -> list[Chain]:
    async with house.db.begin(TOWN) as session:
        errands = [errand.errand for errand in await list_errands(session, TOWN, visit_id)]
        policy = (await get_rules(session, TOWN)).policy
        return await list_chains(session, TOWN, errands, policy, people=people, now=house.now)


def wishes_of(chain: Chain) -> tuple[Wish, ...]:
    return tuple(Wish(part.procedure, part.slot_id, part.person) for part in chain.parts)


async def hold(
    house: BookingTown, visit_id: UUID, wishes: tuple[Wish, ...], guest: str = "guest", key: str | None = None
) -> HeldChain:
    order = HoldChain(municipality=TOWN, visit_id=visit_id, visitor=guest, wishes=wishes, key=key or uuid4().hex)
    async with house.db.begin(TOWN) as session:
        return await hold_chain(session, order, now=house.now)


async def book(house: BookingTown, visit_id: UUID, guest: str = "guest", key: str = "book") -> tuple[Booked, ...]:
    order = BookAppointment(municipality=TOWN, visit_id=visit_id, visitor=guest, key=key)
    async with house.db.begin(TOWN) as session:
        return await book_chain(session, order, house.keys, now=house.now)


async def booked(house: BookingTown, guest: str = "guest", **changes: object) -> tuple[Booked, ...]:
    visit_id = await arrive(house, guest, **changes)
    await hold(house, visit_id, wishes_of((await chains(house, visit_id))[0]), guest)
    return await book(house, visit_id, guest)


async def count(house: BookingTown, where: str) -> int:
    rows = await house.rows(f"SELECT count(*) AS n FROM booking.{where}")
    return int(rows[0].n)  # type: ignore[attr-defined]
