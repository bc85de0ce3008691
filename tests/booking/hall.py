"""A town hall with two counters that do the same, one that does another thing, and people in its lines."""

from datetime import date, time
from uuid import UUID, uuid4

import msgspec

from services.booking.commands.counter_days import Seen, close_counter, open_counter
from services.booking.commands.line import MoveAlong, move_along
from services.booking.commands.steps import Moved
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.consumers import on_catalogue_published
from services.booking.queries.today import CounterNow, read_today
from shared.clock import jst_day
from shared.events.routing import CounterEntry
from shared.tokens import Identity
from shared.town_pack import Counter, Opening, QueueRules
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown, make_catalogue, make_pack

MANAGER = Identity(municipality=TOWN, kind="staff", ref="boss", session_id="m", roles=("manager",))
CLERK = Identity(municipality=TOWN, kind="staff", ref="clerk", session_id="c", roles=("counter",))
KIOSK = Identity(municipality=TOWN, kind="staff", ref="machine", session_id="k", roles=("kiosk",))


WEEKDAYS = (1, 2, 3, 4, 5)


async def open_hall(town: BookingTown, *, promise_min: int = 30, eight_on: tuple[int, ...] = WEEKDAYS) -> None:
    """Counters 7 and 8 do 児童手当, 3 does 転入届: on weekdays, 8 on some of them, with lunch from 12:00 to 13:00."""
    pack = make_pack()
    counters = (*pack.counters, Counter("8", "8", "子育て2", "子育て", "町役場 2階 8番", 30, 1, 0))
    opening = [
        Opening(counters, days, time(8, 30), time(17, 15), time(12), time(13))
        for counters, days in ((("7", "3"), WEEKDAYS), (("8",), eight_on))
    ]
    queue = QueueRules(promise_min=promise_min)
    pack = msgspec.structs.replace(pack, counters=counters, opening=tuple(opening), queue=queue)
    await town.open(pack, catalogue=False)
    found = make_catalogue()
    child, family = found.procedures
    eight = CounterEntry(code="8", number="8", name_ja="子育て2", office="子育て", place_ja="町役場 2階")
    event = msgspec.structs.replace(
        found,
        procedures=(msgspec.structs.replace(child, counters=("7", "8")), family),
        counters=(*found.counters, eight),
    )
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, event, now=town.now)


async def walk_in(town: BookingTown, procedure: str = CHILD, actor: Identity = CLERK) -> Moved:
    order = TakeWalkIn(procedure=procedure, key=str(uuid4()))
    async with town.db.begin(TOWN) as session:
        return await take_walk_in(session, actor, order, now=town.now)


async def step(town: BookingTown, who: Moved, *actions: str) -> Moved:
    """These steps now, one after the other."""
    for action in actions:
        order = MoveAlong(appointment_id=who.appointment_id, action=action, version=who.version)  # type: ignore[arg-type]
        async with town.db.begin(TOWN) as session:
            who = await move_along(session, CLERK, order, now=town.now)
    return who


async def picture(town: BookingTown) -> dict[str, CounterNow]:
    async with town.db.begin(TOWN) as session:
        return {each.code: each for each in await read_today(session, TOWN, now=town.now)}


async def seen(town: BookingTown, counter: str, *, day: date | None = None) -> Seen:
    """A counter as a page shows it now."""
    shown = (await picture(town))[counter]
    return Seen(counter=counter, day=day or jst_day(town.now), version=shown.version)


async def close(town: BookingTown, counter: str) -> None:
    order = await seen(town, counter)
    async with town.db.begin(TOWN) as session:
        await close_counter(session, MANAGER, order, now=town.now)


async def reopen(town: BookingTown, counter: str) -> None:
    order = await seen(town, counter)
    async with town.db.begin(TOWN) as session:
        await open_counter(session, MANAGER, order, now=town.now)


async def counter_of(town: BookingTown, appointment_id: UUID) -> str:
    rows = await town.rows("SELECT counter FROM booking.appointment WHERE appointment_id = :id", id=appointment_id)
    found: str = rows[0].counter  # type: ignore[attr-defined]
    return found


__all__ = ["CHILD", "FAMILY", "TOWN"]
