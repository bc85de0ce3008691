"""Draws in the small town: what staff announce, and people who enter."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec

from services.booking.commands.draw_entries import EnterDraw, enter_draw
from services.booking.commands.draws import AnnounceDraw, announce_draw, draw_handlers
from services.booking.domain.draw_record import Record
from services.booking.queries.draws import get_draw, list_result, list_sessions, make_record
from services.booking.worker import DUE_HANDLERS
from shared.messaging.due import DueLoop
from shared.tokens import Identity
from tests.booking.conftest import CHILD, TOWN, BookingTown

MANAGER = Identity(municipality=TOWN, kind="staff", ref="manager", session_id="s-manager", roles=("manager",))
# Thursday, 9:00 to 10:00 in Japan, three days after the town's morning: two slots of counter 7, each of two places.
FIRST, HOUR = timedelta(days=3), timedelta(hours=1)
WINDOW = timedelta(days=1)
SEATS = 4


def make_order(town: BookingTown, **changes: object) -> AnnounceDraw:
    values: dict[str, object] = {
        "title_ja": "年末の特別相談",
        "procedure": CHILD,
        "counter": "7",
        "first": town.now + FIRST,
        "until": town.now + FIRST + HOUR,
        "opens_at": town.now,
        "closes_at": town.now + WINDOW,
        "key": uuid4().hex,
    }
    return AnnounceDraw(**values | changes)  # type: ignore[arg-type]


async def announce(town: BookingTown, **changes: object) -> UUID:
    async with town.db.begin(TOWN) as session:
        return await announce_draw(session, MANAGER, make_order(town, **changes), town.keys, now=town.now)


async def sessions_of(town: BookingTown, draw_id: UUID) -> list[UUID]:
    async with town.db.begin(TOWN) as session:
        return [UUID(each.session_id) for each in await list_sessions(session, TOWN, draw_id)]


async def enter(
    town: BookingTown,
    draw_id: UUID,
    guest: str,
    wishes: Iterable[UUID] | None = None,
    *,
    visit_id: UUID | None = None,
    **who: object,
) -> str:
    """Enter, with all sessions for wishes if none are given; the ticket."""
    order = EnterDraw(
        municipality=TOWN,
        draw_id=draw_id,
        visit_id=visit_id or await town.visit(guest, **who),
        visitor=guest,
        preferences=tuple(wishes if wishes is not None else await sessions_of(town, draw_id)),
    )
    async with town.db.begin(TOWN) as session:
        return await enter_draw(session, order, town.keys, now=town.now)


async def do_what_is_due(town: BookingTown) -> None:
    loop = DueLoop(town.db, DUE_HANDLERS | draw_handlers(town.keys), town.clock)
    while await loop.is_anything_due():
        await loop.run_once()


async def close(town: BookingTown) -> None:
    """The window is over, and the worker has looked."""
    town.now += WINDOW
    await do_what_is_due(town)


async def record_of(town: BookingTown, draw_id: UUID) -> Record:
    """As it is published: through the file and back."""
    async with town.db.begin(TOWN) as session:
        found = await get_draw(session, TOWN, draw_id)
        sessions, result = await list_sessions(session, TOWN, draw_id), await list_result(session, TOWN, draw_id)
    return msgspec.json.decode(msgspec.json.encode(make_record(TOWN, found, sessions, result)), type=Record)
