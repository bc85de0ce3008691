"""`/board`: the public call display. Ticket numbers only: no name, no procedure."""

from datetime import datetime
from itertools import groupby
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.booking.domain.line import show_ticket
from services.booking.queries.line import list_board
from shared.clock import jst_day
from shared.db import Database
from shared.web.identity import PUBLIC
from shared.web.pages import page
from shared.web.town import Town

# Where more are called at one counter, the newest. The style has a plan for up to so many counters at work.
CALLED_MAX = 4
COUNTERS_MAX = 10

Req = Request[Any, Any, Any]


@get("/board", opt=PUBLIC)
async def get_board(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """The whole display."""
    counters = await _counters(db, town, now)
    return page(request, "board.html", counters=counters, size=min(len(counters), COUNTERS_MAX))


@get("/board/now", opt=PUBLIC)
async def get_board_now(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """What changes of it."""
    counters = await _counters(db, town, now)
    return page(request, "board_now.html", counters=counters, size=min(len(counters), COUNTERS_MAX))


async def _counters(db: Database, town: Town, now: datetime) -> list[dict[str, Any]]:
    async with db.begin(town.code) as session:
        items = await list_board(session, town.code, jst_day(now))
    return [
        {
            "number": group[0].counter_number,
            "called": [show_ticket(item.ticket_counter, item.ticket_no) for item in group if item.state == "called"][
                :CALLED_MAX
            ],
            "serving": [show_ticket(item.ticket_counter, item.ticket_no) for item in group if item.state == "serving"][
                :CALLED_MAX
            ],
        }
        for group in (list(items_of) for _, items_of in groupby(items, key=lambda item: item.counter))
    ]
