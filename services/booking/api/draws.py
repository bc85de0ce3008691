"""Draws: what is given out by lot, entering, and one's entry."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.booking.api import examples
from services.booking.api.bodies import Numbered
from services.booking.api.examples import ID
from services.booking.api.opened import OPENED_ENTRY, open_entry_for
from services.booking.api.refused import CODE, DRAW, ENTER, ENTRY, VISIT, WISHES
from services.booking.commands.draw_entries import ChangeEntry, EnterDraw, change_entry, enter_draw, try_entry_code
from services.booking.domain.draw import PREFERENCES_MAX
from services.booking.domain.draw_record import Record
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.draws import read_draw_id
from services.booking.pages.opening import access_cookie
from services.booking.pages.tries import CodeTries
from services.booking.queries.draws import (
    EntryView,
    get_draw,
    list_draws,
    list_result,
    list_sessions,
    make_record,
)
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.identity import PUBLIC, find_identity, require_visitor, staff_of
from shared.web.town import Town

TAGS = ["draws"]

Req = Request[Any, Any, Any]
Wishes = Annotated[
    list[UUID],
    msgspec.Meta(min_length=1, max_length=PREFERENCES_MAX, description="Sessions, the dearest first."),
]


class DrawAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A draw, and how far it is at this moment. Its sessions, and the result, stand in its record."""

    draw_id: UUID
    title_ja: str
    procedure: str
    counter: str
    opens_at: datetime
    closes_at: datetime
    stage: Literal["before", "open", "closed", "drawn", "called_off"]
    commitment: str
    seats: int
    entries: int


class PostEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Enter with what this visit brought."""

    visit_id: UUID
    preferences: Wishes


class PutEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Wish for these sessions instead."""

    preferences: Wishes


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """The ticket: a public number. With its code, which stands in the entry for an hour, it opens the entry."""

    ticket: str


class EntryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry.

    Once it is drawn: `rank`, and either `slot_id`, the session that it got, with the `number` of its appointment; or
    `waits_at`, its place among those who wait. `code` is told for an hour, to the visitor who entered.
    """

    ticket: str
    state: Literal["entered", "withdrawn"]
    preferences: tuple[UUID, ...]
    entered_at: datetime
    rank: int | None
    waits_at: int | None
    slot_id: UUID | None
    number: str | None
    code: str | None


DRAW_EXAMPLE = DrawAnswer(
    draw_id=ID,
    title_ja=examples.RECORD.title_ja,
    procedure=examples.PROCEDURE,
    counter=examples.COUNTER,
    opens_at=examples.RECORD.opens_at,
    closes_at=examples.RECORD.closes_at,
    stage="open",
    commitment=examples.RECORD.commitment,
    seats=2,
    entries=7,
)
ENTRY_EXAMPLE = EntryAnswer(
    ticket=examples.TICKET,
    state="entered",
    preferences=(ID,),
    entered_at=examples.NOW,
    rank=None,
    waits_at=None,
    slot_id=None,
    number=None,
    code=examples.CODE,
)


@get("/booking/api/draws", tags=TAGS, opt=PUBLIC | documented(returns=[DRAW_EXAMPLE]))
async def get_draws(
    db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> list[DrawAnswer]:
    """All draws, the latest first."""
    async with db.begin(town.code) as session:
        draws = await list_draws(session, town.code)
    return [
        DrawAnswer(
            draw_id=found.draw_id,
            title_ja=found.title_ja,
            procedure=found.procedure,
            counter=found.counter,
            opens_at=found.opens_at,
            closes_at=found.closes_at,
            stage=found.stage(now),
            commitment=found.commitment,
            seats=found.seats,
            entries=found.entries,
        )
        for found in draws
    ]


@get(
    "/booking/api/draws/{draw_id:str}/record",
    tags=TAGS,
    opt=PUBLIC | documented(returns=examples.RECORD, refusals=DRAW),
)
async def get_record(draw_id: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]) -> Record:
    """The public record of a draw.

    Its sessions and the commitment to the seed; once drawn, seed, entries and result by tickets alone, from which
    anybody can draw again: `choudo draw replay`.
    """
    wanted = read_draw_id(draw_id)
    async with db.begin(town.code) as session:
        found = await get_draw(session, town.code, wanted)
        sessions = await list_sessions(session, town.code, wanted)
        result = await list_result(session, town.code, wanted)
    return make_record(town.code, found, sessions, result)


@post(
    "/booking/api/draws/{draw_id:str}/entries",
    guards=[require_visitor],
    tags=TAGS,
    opt=documented(
        body=PostEntry,
        returns=Entered(ticket=examples.TICKET),
        example={"visit_id": str(ID), "preferences": [str(ID)]},
        refusals=VISIT | DRAW | ENTER,
    ),
)
async def post_entry(
    request: Req,
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,  # noqa: ARG001 - a person enters once, however often it is sent
) -> Entered:
    """Enter a draw.

    When one enters, and by which way, does not matter for the chances. Sent again, it is the same ticket.
    """
    wanted, entry = read_draw_id(draw_id), await read_json(request, PostEntry)
    order = EnterDraw(
        municipality=town.code,
        draw_id=wanted,
        visit_id=entry.visit_id,
        visitor=identity.ref,
        preferences=tuple(entry.preferences),
        staff=staff_of(identity),
    )
    return Entered(ticket=await rush.run(db, town.code, lambda session: enter_draw(session, order, keys, now=now)))


@post(
    "/booking/api/draws/{draw_id:str}/access",
    tags=TAGS,
    status_code=200,
    opt=PUBLIC
    | documented(
        body=Numbered,
        example={"number": "K4M-7RX", "code": examples.CODE},
        returns=Entered(ticket=examples.TICKET),
        refusals=CODE | DRAW,
        headers={"Set-Cookie": "Opens this entry and no other, for twelve hours."},
    ),
)
async def post_entry_access(
    request: Req,
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
    tries: NamedDependency[CodeTries],
    key: IdempotencyKey = None,  # noqa: ARG001 - it opens what it opened
) -> Response[Entered]:
    """Open an entry by its ticket and code, as an appointment is opened."""
    wanted, typed = read_draw_id(draw_id), await read_json(request, Numbered)
    if not tries.count(town.code, network_of_visitor(request)):
        raise Refusal("too_many_tries", 429)
    # What a wrong code costs is committed before it is refused.
    async with db.begin(town.code) as session:
        found = await try_entry_code(session, town.code, wanted, typed.number, typed.code, keys, now=now)
    if found.outcome == "open" and found.number is not None:
        cookie = access_cookie(keys, town.code, found, secure=secure, now=now)
        return Response(Entered(ticket=found.number), cookies=[cookie])
    locked_until = found.locked_until
    if found.nobodys is not None:
        locked_until = tries.fail_nobodys(town.code, f"{wanted}/{found.nobodys}", now=now)
    if locked_until is not None:
        raise Refusal("code_locked", 429, until=locked_until.isoformat())
    raise Refusal("code_wrong", 403)


@get(
    "/booking/api/draws/{draw_id:str}/entries/{number:str}",
    tags=TAGS,
    dependencies=OPENED_ENTRY,
    opt=PUBLIC | documented(knows_owner=True, returns=ENTRY_EXAMPLE, refusals=ENTRY),
)
async def get_entry(entry: NamedDependency[EntryView]) -> EntryAnswer:
    """One's own entry: what it wishes for, and what it got."""
    return _answer(entry)


@put(
    "/booking/api/draws/{draw_id:str}/entries/{number:str}",
    tags=TAGS,
    opt=PUBLIC
    | documented(
        knows_owner=True,
        body=PutEntry,
        returns=ENTRY_EXAMPLE,
        example={"preferences": [str(ID)]},
        refusals=ENTRY | WISHES | {"draw_won": 409, "draw_withdrawn": 409},
    ),
)
async def put_entry(
    request: Req,
    draw_id: FromPath[str],
    number: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,  # noqa: ARG001 - the same wishes are the same wishes
) -> EntryAnswer:
    """Wish for other sessions, while the draw is open."""
    wish = await read_json(request, PutEntry)
    entry = await open_entry_for(request, draw_id, number, db, keys, now, town)
    await _change(request, entry, tuple(wish.preferences), db, rush, town, now=now)
    return _answer(await open_entry_for(request, draw_id, number, db, keys, now, town))


@delete(
    "/booking/api/draws/{draw_id:str}/entries/{number:str}",
    tags=TAGS,
    dependencies=OPENED_ENTRY,
    opt=PUBLIC | documented(knows_owner=True, refusals=ENTRY | {"draw_won": 409}),
)
async def delete_entry(
    request: Req,
    entry: NamedDependency[EntryView],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> None:
    """Leave the draw.

    Whoever has won cancels their appointment instead.
    """
    await _change(request, entry, (), db, rush, town, now=now)


async def _change(
    request: Req, entry: EntryView, wishes: tuple[UUID, ...], db: Database, rush: Rush, town: Town, *, now: datetime
) -> None:
    staff = staff_of(find_identity(request))
    order = ChangeEntry(municipality=town.code, entry_id=entry.entry_id, preferences=wishes, staff=staff)
    await rush.run(db, town.code, lambda session: change_entry(session, order, now=now))


def _answer(entry: EntryView) -> EntryAnswer:
    return EntryAnswer(
        ticket=entry.ticket,
        state=entry.state,
        preferences=entry.preferences,
        entered_at=entry.entered_at,
        rank=entry.rank,
        waits_at=entry.waits_at,
        slot_id=entry.slot_id,
        number=entry.number,
        code=entry.code,
    )
