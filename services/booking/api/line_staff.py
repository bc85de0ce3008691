"""For staff: today's line by numbers and tickets, and each step with somebody in it. Names are on the tablets only."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.booking.api import examples
from services.booking.api.bodies import Code, CounterCode, Typed, Version
from services.booking.api.refused import CALL_NEXT, CHECK_IN, STEP, WALK_IN
from services.booking.commands.calling_next import CallNext, call_next
from services.booking.commands.late_steps import check_in_once, step_once
from services.booking.commands.line import MoveAlong
from services.booking.commands.steps import Moved
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.domain.line import Action, State, ticket_of
from services.booking.flow import Rush
from services.booking.queries.line import list_line_rows, make_line_item
from shared.clock import jst_day
from shared.db import Database
from shared.events.booking import ClosureState
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, NeededIdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.identity import require_role
from shared.web.town import Town

GUARDS = [require_role("counter")]
TAGS = ["the line (staff)"]
ROOT = "/booking/api/line"

Req = Request[Any, Any, Any]


class InLine(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in today's line. `actions` are the steps that can be taken now, the usual one first.

    `closure`: a closing covers their time, and they were `asked` to move it, or `staff` are to see to it.
    """

    appointment_id: UUID
    number: str
    kind: Literal["booked", "walk_in"]
    state: State
    version: int
    procedure: str
    counter: str
    ticket: str | None
    starts_at: datetime
    closure: ClosureState
    actions: tuple[Action, ...]


class Stands(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody stands now. `ticket` is what is called and shown on the board."""

    appointment_id: UUID
    number: str
    state: State
    version: int
    counter: str
    ticket: str | None


class PostCheckIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check in by the number of a QR code, or as it was typed."""

    number: Typed


class PostWalkIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ticket for somebody without an appointment."""

    procedure: Code


class PostNext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Call whoever's turn it is at a counter."""

    counter: Code


class PostStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take one step with somebody in the line."""

    action: Annotated[Action, msgspec.Meta(description="`undo` takes the last one back.")]
    version: Version


IN_LINE_EXAMPLE = InLine(
    appointment_id=examples.ID,
    number=examples.NUMBER,
    kind="booked",
    state="checked_in",
    version=2,
    procedure=examples.PROCEDURE,
    counter=examples.COUNTER,
    ticket="7-012",
    starts_at=examples.STARTS_AT,
    closure="none",
    actions=("call", "start", "no-show", "undo"),
)
STANDS_EXAMPLE = Stands(
    appointment_id=examples.ID,
    number=examples.NUMBER,
    state="called",
    version=3,
    counter=examples.COUNTER,
    ticket="7-012",
)


@get(f"{ROOT}/today", guards=GUARDS, tags=TAGS, opt=documented(returns=[IN_LINE_EXAMPLE]))
async def get_line_today(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    counter: CounterCode = None,
) -> list[InLine]:
    """Today's line of one's office, or of all.

    Who is called or served, who waits, who is expected, who did not come, and who is done.
    """
    async with db.begin(town.code) as session:
        rows = await list_line_rows(session, town.code, jst_day(now), identity.office, counter=counter, now=now)
    return [_in_line(row, now=now) for row in rows]


@post(
    f"{ROOT}/check-in",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(body=PostCheckIn, example={"number": "K4M-7RXA"}, returns=STANDS_EXAMPLE, refusals=CHECK_IN),
)
async def post_line_check_in(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> Stands:
    """Check in by number, at any counter: `counter` says where to go.

    Without a key, who is checked in already is refused (`arrival_known`).
    """
    typed = (await read_json(request, PostCheckIn)).number

    return show_stands(
        await rush.run(db, town.code, lambda session: check_in_once(session, identity, typed, key, now=now))
    )


@post(
    f"{ROOT}/walk-ins",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        body=PostWalkIn, example={"procedure": examples.PROCEDURE}, returns=STANDS_EXAMPLE, refusals=WALK_IN
    ),
)
async def post_line_walk_in(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> Stands:
    """Give somebody without an appointment a ticket. No name is needed."""
    order = TakeWalkIn(procedure=(await read_json(request, PostWalkIn)).procedure, key=key)
    return show_stands(await rush.run(db, town.code, lambda session: take_walk_in(session, identity, order, now=now)))


@post(
    f"{ROOT}/next",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(body=PostNext, example={"counter": examples.COUNTER}, returns=STANDS_EXAMPLE, refusals=CALL_NEXT),
)
async def post_line_next(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> Stands:
    """Call the first who waits at a counter, by the town's rules. Two who ask at once call two different people.

    Who is set aside is not called.
    """
    order = CallNext(counter=(await read_json(request, PostNext)).counter, key=key)
    return show_stands(await rush.run(db, town.code, lambda session: call_next(session, identity, order, now=now)))


@post(
    f"{ROOT}/{{appointment_id:str}}/step",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(
        body=PostStep,
        example={"action": "call", "version": 2},
        returns=STANDS_EXAMPLE,
        refusals=STEP,
        details={"line_moved": {"state": "called"}},
    ),
)
async def post_line_step(
    request: Req,
    appointment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> Stands:
    """Check in, call, start to serve, finish, mark as absent, or take the last step back.

    Of two who take one at once, one wins; the other hears how it is now (`line_moved`, with the `state`). So does
    whoever sends it again without a key.
    """
    wanted = await read_json(request, PostStep)
    order = MoveAlong(
        appointment_id=parse_uuid(appointment_id, code="appointment_unknown"),
        action=wanted.action,
        version=wanted.version,
    )
    return show_stands(await rush.run(db, town.code, lambda session: step_once(session, identity, order, key, now=now)))


def _in_line(row: Any, *, now: datetime) -> InLine:
    # What of it is a name stays sealed.
    item = make_line_item(row, name=None, kana=None, now=now)
    return InLine(
        appointment_id=item.appointment_id,
        number=item.number,
        kind=row.kind,
        state=item.state,
        version=item.version,
        procedure=row.procedure,
        counter=item.counter,
        ticket=ticket_of(item),
        starts_at=item.starts_at,
        closure=item.closure,
        actions=item.actions,
    )


def show_stands(moved: Moved) -> Stands:
    """Where somebody stands, as the API says it."""
    return Stands(
        appointment_id=moved.appointment_id,
        number=moved.number,
        state=moved.state,
        version=moved.version,
        counter=moved.counter,
        ticket=ticket_of(moved),
    )
