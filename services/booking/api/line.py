"""The line, as everybody may see it: who is called, and how many wait. Ticket numbers only."""

from datetime import datetime

import msgspec
from litestar import get
from litestar.di import NamedDependency

from services.booking.api import examples
from services.booking.domain.hours import band_of
from services.booking.domain.line import show_ticket
from services.booking.queries.board import count_public_waiting, list_board
from shared.clock import jst_day
from shared.db import Database
from shared.web.documented import documented
from shared.web.identity import PUBLIC
from shared.web.town import Town


class AtCounter(msgspec.Struct, frozen=True, kw_only=True):
    """A counter now: the tickets that are called and served, the newest first; and how many others wait, as ``1-4``."""

    counter: str
    called: tuple[str, ...]
    serving: tuple[str, ...]
    waiting: str


class LineNow(msgspec.Struct, frozen=True, kw_only=True):
    """The counters with somebody called, served or waiting, at the time `as_of`."""

    counters: list[AtCounter]
    as_of: datetime


LINE_EXAMPLE = LineNow(
    counters=[AtCounter(counter=examples.COUNTER, called=("7-012",), serving=("7-011",), waiting="1-4")],
    as_of=examples.NOW,
)


@get("/booking/api/line", tags=["the line"], opt=PUBLIC | documented(returns=LINE_EXAMPLE))
async def get_line_now(
    db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> LineNow:
    """Who is called, and how many wait."""
    async with db.begin(town.code) as session:
        items = await list_board(session, town.code, jst_day(now))
        waiting = await count_public_waiting(session, town.code, jst_day(now))
    counters = sorted({item.counter for item in items} | waiting.keys())
    return LineNow(
        counters=[
            AtCounter(
                counter=counter,
                called=tuple(
                    show_ticket(item.ticket_counter, item.ticket_no)
                    for item in items
                    if (item.counter, item.state) == (counter, "called")
                ),
                serving=tuple(
                    show_ticket(item.ticket_counter, item.ticket_no)
                    for item in items
                    if (item.counter, item.state) == (counter, "serving")
                ),
                waiting=waiting.get(counter, band_of(0)),
            )
            for counter in counters
        ],
        as_of=now,
    )
