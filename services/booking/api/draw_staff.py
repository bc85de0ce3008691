"""For managers: announcing a draw, and calling it off."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.booking.api import examples
from services.booking.api.bodies import Code, Moment, one_line
from services.booking.api.refused import DRAW
from services.booking.commands.draw_calling_off import call_off_draw
from services.booking.commands.draws import TITLE_MAX_LENGTH, AnnounceDraw, announce_draw
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.draws import read_draw_id
from shared.db import Database
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, NeededIdempotencyKey, documented, read_json
from shared.web.identity import require_role
from shared.web.town import Town

GUARDS = [require_role("manager")]
TAGS = ["draws (staff)"]

Req = Request[Any, Any, Any]


class PostDraw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give out every free public place of a counter that begins from `first` to `until` by lot.

    People enter from `opens_at` (null: at once) to `closes_at`, for an hour to 60 days; it is drawn then, and the first
    place begins a day later or more.
    """

    title_ja: Annotated[str, msgspec.Meta(pattern=one_line(TITLE_MAX_LENGTH))]
    procedure: Code
    counter: Code
    opens_at: Moment | None
    closes_at: Moment
    first: Moment
    until: Moment


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """The draw that was made. Its commitment and its sessions stand in its record."""

    draw_id: UUID


@post(
    "/booking/api/draws",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        body=PostDraw,
        example={
            "title_ja": examples.RECORD.title_ja,
            "procedure": examples.PROCEDURE,
            "counter": examples.COUNTER,
            "opens_at": None,
            "closes_at": "2026-12-04T17:00:00+09:00",
            "first": "2026-12-07T09:00:00+09:00",
            "until": "2026-12-07T12:00:00+09:00",
        },
        returns=Announced(draw_id=examples.ID),
        refusals={"draw_window": 422, "draw_unfit": 409, "draw_no_seats": 409, "draw_too_large": 409},
    ),
)
async def post_draw(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> Announced:
    """Announce a draw.

    From here on it stays as it is, and nobody can book its places; until `closes_at` it can be called off.
    """
    wanted = await read_json(request, PostDraw)
    order = AnnounceDraw(
        title_ja=wanted.title_ja.strip(),
        procedure=wanted.procedure,
        counter=wanted.counter,
        first=wanted.first,
        until=wanted.until,
        opens_at=wanted.opens_at,
        closes_at=wanted.closes_at,
        key=key,
    )
    return Announced(
        draw_id=await rush.run(db, town.code, lambda session: announce_draw(session, identity, order, keys, now=now))
    )


@post(
    "/booking/api/draws/{draw_id:str}/call-off",
    guards=GUARDS,
    tags=TAGS,
    status_code=204,
    opt=documented(refusals=DRAW | {"draw_decided": 409}),
)
async def post_call_off_draw(
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,  # noqa: ARG001 - what is called off is called off
) -> None:
    """Call a draw off, while people can still enter.

    Nothing is drawn, whoever entered is told, and its places are everybody's again: another draw may give them out.
    """
    wanted = read_draw_id(draw_id)
    await rush.run(db, town.code, lambda session: call_off_draw(session, identity, wanted, keys, now=now))
