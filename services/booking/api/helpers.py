"""For helpers: when they are at which venue, what they are asked for, and their calendar's address. Nobody's name."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.api import examples
from services.booking.api.bodies import Code
from services.booking.api.opening import Nth
from services.booking.api.refused import REQUEST, ROSTER, SHIFT
from services.booking.commands.assignments import Answer, answer_request
from services.booking.commands.feed import renew_feed
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.shifts import AddShift, add_shift, remove_shift
from services.booking.domain.opening import EVERY_WEEKS_MAX
from services.booking.domain.shifts import DAY_MIN, HALF_HOUR_MIN
from services.booking.flow import Rush
from services.booking.pages.feed import feed_address
from services.booking.queries.appointments import find_town_facts
from services.booking.queries.helpers import (
    FeedItem,
    ShiftView,
    VenueView,
    find_feed_time,
    list_requests,
    list_shifts,
    list_venues,
)
from shared.db import Database
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, NeededIdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.identity import require_role
from shared.web.town import Town

GUARDS = [require_role("helper")]
TAGS = ["helpers"]
ROOT = "/booking/api/helpers"

Req = Request[Any, Any, Any]
Minute = Annotated[
    int,
    msgspec.Meta(ge=0, le=DAY_MIN, multiple_of=HALF_HOUR_MIN, description="Minutes from midnight in Japan."),
]


class PostShift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Be at a venue on an ISO weekday (1 Monday … 7 Sunday), in full or half hours.

    Every week; every n weeks, from that of `first_week` on; on the `nth` of a month; or `only_on` one day, which is
    such a weekday: one of the four.
    """

    venue: Code
    weekday: Annotated[int, msgspec.Meta(ge=1, le=7)]
    from_min: Minute
    to_min: Minute
    every_weeks: Annotated[int, msgspec.Meta(ge=1, le=EVERY_WEEKS_MAX)] = 1
    nth: Annotated[list[Nth], msgspec.Meta(max_length=5)] = []
    first_week: date | None = None
    only_on: date | None = None


class ShiftAdded(msgspec.Struct, frozen=True, kw_only=True):
    """The time that was added."""

    shift_id: UUID


class PostAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a helper says of a request. `decline` is also for who cannot come after all."""

    answer: Answer


class CalendarAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Since when the calendar has its address; null, when it has none."""

    made_at: datetime | None


class CalendarAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The address, which is a secret; null, when it was told under this key before."""

    address: str | None


SHIFT_EXAMPLE = ShiftView(
    shift_id=examples.ID,
    helper_ref=examples.HELPER,
    venue="KOMINKAN",
    venue_name="町民センター",
    weekday=2,
    from_min=600,
    to_min=720,
)
REQUEST_EXAMPLE = FeedItem(
    assignment_id=examples.ID,
    starts_at=examples.STARTS_AT,
    ends_at=examples.ENDS_AT,
    venue_name="町民センター",
    venue_place="2階",
    is_accepted=False,
    changed_at=examples.NOW,
)


@get(
    f"{ROOT}/venues",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(returns=[VenueView(code="KOMINKAN", name_ja="町民センター", place_ja="2階")]),
)
async def get_venues(db: NamedDependency[Database], town: NamedDependency[Town]) -> list[VenueView]:
    """Where helpers meet residents."""
    async with db.begin(town.code) as session:
        return await list_venues(session, town.code)


@get(f"{ROOT}/shifts", guards=GUARDS, tags=TAGS, opt=documented(returns=[SHIFT_EXAMPLE]))
async def get_own_shifts(
    db: NamedDependency[Database], town: NamedDependency[Town], identity: NamedDependency[Identity]
) -> list[ShiftView]:
    """One's own times, in the order of the week."""
    async with db.begin(town.code) as session:
        return await list_shifts(session, town.code, identity.ref)


@post(
    f"{ROOT}/shifts",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        body=PostShift,
        example={"venue": "KOMINKAN", "weekday": 2, "from_min": 600, "to_min": 720},
        returns=ShiftAdded(shift_id=examples.ID),
        refusals=SHIFT,
    ),
)
async def post_own_shift(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> ShiftAdded:
    """Add a time: its places can be booked at once, up to the horizon.

    Two rhythms of one weekday do not overlap, in whichever weeks they are; a single day with nothing on that day.
    """
    wanted = await read_json(request, PostShift)
    order = AddShift(
        venue=wanted.venue,
        weekday=wanted.weekday,
        from_min=wanted.from_min,
        to_min=wanted.to_min,
        every_weeks=wanted.every_weeks,
        nth=tuple(wanted.nth),
        first_week=wanted.first_week,
        only_on=wanted.only_on,
    )

    async def once(session: AsyncSession) -> ShiftAdded:
        async def add() -> ShiftAdded:
            return ShiftAdded(shift_id=await add_shift(session, identity, order, now=now))

        hashed = request_hash("shift", order)
        return await do_once(session, town.code, f"staff:{identity.ref}", key, hashed, add, ShiftAdded, now=now)

    return await rush.run(db, town.code, once)


@delete(f"{ROOT}/shifts/{{shift_id:str}}", guards=GUARDS, tags=TAGS, opt=documented(refusals=ROSTER))
async def delete_own_shift(
    shift_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> None:
    """Not there any more.

    Of a rhythm, what was promised stays: who cannot come declines it. The visits of a single day go to others. Sent
    again, nothing happens.
    """
    wanted = parse_uuid(shift_id)
    await rush.run(db, town.code, lambda session: remove_shift(session, identity, wanted, now=now))


@get(f"{ROOT}/requests", guards=GUARDS, tags=TAGS, opt=documented(returns=[REQUEST_EXAMPLE]))
async def get_own_requests(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> list[FeedItem]:
    """What one is asked for, or has accepted: of the last 30 days, and to come. Whom one meets is on the page only."""
    async with db.begin(town.code) as session:
        return await list_requests(session, town.code, identity.ref, now=now)


@post(
    f"{ROOT}/requests/{{assignment_id:str}}/answer",
    guards=GUARDS,
    tags=TAGS,
    status_code=204,
    opt=documented(body=PostAnswer, example={"answer": "accept"}, refusals=REQUEST | {"not_begun": 409}),
)
async def post_own_answer(
    request: Req,
    assignment_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> None:
    """Accept, or decline: the next helper is asked then. Afterwards: the resident `came`, or did not (`no-show`)."""
    wanted, said = parse_uuid(assignment_id, code="request_unknown"), await read_json(request, PostAnswer)

    async def once(session: AsyncSession) -> bool:
        async def answer() -> bool:
            await answer_request(session, identity, wanted, said.answer, now=now)
            return True

        hashed = request_hash("answer", wanted, said.answer)
        return await do_once(session, town.code, f"staff:{identity.ref}", key, hashed, answer, bool, now=now)

    await rush.run(db, town.code, once)


@get(f"{ROOT}/calendar", guards=GUARDS, tags=TAGS, opt=documented(returns=CalendarAnswer(made_at=examples.NOW)))
async def get_own_calendar(
    db: NamedDependency[Database], town: NamedDependency[Town], identity: NamedDependency[Identity]
) -> CalendarAnswer:
    """Since when one's calendar can be read by other programs."""
    async with db.begin(town.code) as session:
        return CalendarAnswer(made_at=await find_feed_time(session, town.code, identity.ref))


@post(
    f"{ROOT}/calendar",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        returns=CalendarAddress(address="https://yoyaku.example.jp/helpers/calendar/….ics"), refusals=ROSTER
    ),
)
async def post_own_calendar(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> CalendarAddress:
    """Give one's calendar a new address, which is told once; the one before opens nothing any more."""
    made = ""

    async def once(session: AsyncSession) -> CalendarAddress:
        nonlocal made
        # What an undone try has made opens nothing.
        made = ""

        async def renew() -> CalendarAddress:
            nonlocal made
            token = await renew_feed(session, identity, now=now)
            made = feed_address(request, (await find_town_facts(session, town.code)).host, token)
            # What is kept under the key is no secret.
            return CalendarAddress(address=None)

        owner, hashed = f"staff:{identity.ref}", request_hash("calendar")
        return await do_once(session, town.code, owner, key, hashed, renew, CalendarAddress, now=now)

    await rush.run(db, town.code, once)
    return CalendarAddress(address=made or None)
