"""`/booking/draws`: what is given out by a draw, for everybody; the result by tickets alone; and the record to keep."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from services.booking.domain.draw_record import Session
from services.booking.pages.wording import place_label
from services.booking.queries.draws import (
    DrawView,
    ResultLine,
    get_draw,
    list_draws,
    list_result,
    list_sessions,
    make_record,
)
from services.booking.queries.slots import list_counters
from shared.db import Database
from shared.reference_number import show_number
from shared.web.forms import parse_uuid
from shared.web.identity import PUBLIC
from shared.web.pages import DRAWS, page
from shared.web.town import Town

# The state may change at any moment; a minute later is soon enough for whoever keeps it.
CACHED = {"cache-control": "public, max-age=60"}

Req = Request[Any, Any, Any]


@get(DRAWS, opt=PUBLIC)
async def get_draws_page(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """All draws, the latest first."""
    async with db.begin(town.code) as session:
        draws = await list_draws(session, town.code)
    return page(request, "draws.html", draws=[{"draw": each, "stage": each.stage(now)} for each in draws])


@get(f"{DRAWS}/{{draw_id:str}}", opt=PUBLIC)
async def get_draw_page(
    request: Req,
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """One: sessions, seats, the commitment; once drawn the seed, who got what, and who waits."""
    wanted = read_draw_id(draw_id)
    async with db.begin(town.code) as session:
        found = await get_draw(session, town.code, wanted)
        sessions = await list_sessions(session, town.code, wanted)
        result = await list_result(session, town.code, wanted)
        counter = (await list_counters(session, town.code)).get(found.counter)
    return page(
        request,
        "draw.html",
        draw=found,
        stage=found.stage(now),
        sessions=_with_winners(sessions, result),
        waiting=[show_number(line.ticket) for line in result if line.slot_id is None and line.passed_to is None],
        where=place_label(counter.place_ja, counter.number, counter.name_ja) if counter else "",
    )


@get(f"{DRAWS}/{{draw_id:str}}/record.json", opt=PUBLIC)
async def get_draw_record(
    draw_id: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Response[bytes]:
    """The record: what `choudo draw replay` reads."""
    wanted = read_draw_id(draw_id)
    async with db.begin(town.code) as session:
        found: DrawView = await get_draw(session, town.code, wanted)
        sessions = await list_sessions(session, town.code, wanted)
        result = await list_result(session, town.code, wanted)
    body = msgspec.json.format(msgspec.json.encode(make_record(town.code, found, sessions, result)))
    return Response(body, media_type="application/json", headers=CACHED)


def read_draw_id(text: str) -> UUID:
    """A draw's id from a path.

    Raises:
        Refusal: `draw_unknown` (404).
    """
    return parse_uuid(text, code="draw_unknown")


def _with_winners(sessions: Sequence[Session], result: Sequence[ResultLine]) -> list[dict[str, Any]]:
    shown = []
    for each in sessions:
        drawn = [show_number(line.ticket) for line in result if str(line.slot_id) == each.session_id]
        later = [show_number(line.ticket) for line in result if str(line.passed_to) == each.session_id]
        shown.append({"session": each, "winners": sorted(drawn), "later": sorted(later)})
    return shown
