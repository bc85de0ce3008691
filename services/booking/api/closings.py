"""For managers: a counter, a venue or the whole town is closed for a time, after a look at whom it concerns."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.api import examples
from services.booking.api.bodies import CODE_PATTERN, Moment
from services.booking.api.refused import CLOSING
from services.booking.commands.closings import NOTE_MAX_LENGTH, Closed, CloseTime, close_time, reopen
from services.booking.domain.closings import DAYS_MAX, Reason
from services.booking.flow import Rush
from services.booking.pages.closings import DAYS_AHEAD_MAX
from services.booking.queries.closings import (
    Affected,
    ClosingView,
    Displaced,
    count_displaced,
    find_closing,
    list_displaced,
    list_live_closings,
    preview_closing,
)
from services.booking.queries.slots import list_counters
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, NeededIdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.identity import require_role
from shared.web.town import Town

GUARDS = [require_role("manager")]
TAGS = ["closings (staff)"]
ROOT = "/booking/api/closings"
EXAMPLE = {"counter": "7", "starts_at": "2026-12-07T08:30:00+09:00", "ends_at": "2026-12-07T12:00:00+09:00"}

Req = Request[Any, Any, Any]


class TimeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time at a counter or venue, or (null) in the whole town, on so many days that follow one another."""

    counter: Annotated[str, msgspec.Meta(pattern=CODE_PATTERN)] | None
    starts_at: Moment
    ends_at: Moment
    days: Annotated[int, msgspec.Meta(ge=1, le=DAYS_MAX)] = 1


class CloseBody(TimeBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Close then. `note` is what residents read when the reason is `other`."""

    reason: Reason
    note: Annotated[str, msgspec.Meta(pattern=f"^[^\\x00-\\x1f]{{0,{NOTE_MAX_LENGTH}}}$")] = ""


class ClosingPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a closing would do: `total` appointments move, and `free` places go. `affected` are the first of them."""

    total: int
    free: int
    by_reach: dict[str, int]
    affected: list[Affected]


class ClosingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A closing, and how far it is: so many are still `asked`, so many are left to `staff`."""

    closing: ClosingView
    asked: int
    staff: int
    displaced: list[Displaced]


@get(ROOT, guards=GUARDS, tags=TAGS, opt=documented(returns=[examples.CLOSING]))
async def get_closings(
    db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> list[ClosingView]:
    """The closings that are not over, or that somebody still has to be moved for."""
    async with db.begin(town.code) as session:
        return await list_live_closings(session, town.code, now=now)


@post(
    f"{ROOT}/preview",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(
        body=TimeBody,
        example=EXAMPLE,
        returns=ClosingPreview(total=1, free=12, by_reach={"sms": 1}, affected=[examples.AFFECTED]),
        refusals={"closing_unfit": 400},
    ),
)
async def post_closing_preview(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,  # noqa: ARG001 - nothing is kept
) -> ClosingPreview:
    """Whom a closing would move, before anything is done."""
    wanted = await read_json(request, TimeBody)
    _check(wanted, now)
    async with db.begin(town.code) as session:
        await _check_counter(session, town, wanted.counter)
        found = await preview_closing(
            session,
            town.code,
            counter=wanted.counter,
            starts_at=wanted.starts_at,
            ends_at=wanted.ends_at,
            days=wanted.days,
            now=now,
        )
    return ClosingPreview(total=found.total, free=found.free, by_reach=found.by_reach, affected=found.affected)


@post(
    ROOT,
    guards=GUARDS,
    tags=TAGS,
    opt=documented(body=CloseBody, example=EXAMPLE | {"reason": "weather"}, returns=examples.CLOSED, refusals=CLOSING),
)
async def post_closing(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> Closed:
    """Close.

    From here on nobody takes a place then; who has one is asked to move, with the nearest time kept for them.
    """
    wanted = await read_json(request, CloseBody)
    _check(wanted, now)
    order = CloseTime(
        counter=wanted.counter,
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        days=wanted.days,
        reason=wanted.reason,
        note=wanted.note.strip(),
        key=key,
    )
    return await rush.run(db, town.code, lambda session: close_time(session, identity, order, now=now))


@get(
    f"{ROOT}/{{closing_id:str}}",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        returns=ClosingAnswer(closing=examples.CLOSING, asked=1, staff=0, displaced=[examples.DISPLACED]),
        refusals={"closing_unknown": 404},
    ),
)
async def get_closing(
    closing_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> ClosingAnswer:
    """How far a closing is: who still has to move, by number."""
    wanted = parse_uuid(closing_id, code="closing_unknown")
    async with db.begin(town.code) as session:
        closing = await find_closing(session, town.code, wanted)
        if closing is None:
            raise Refusal("closing_unknown", 404)
        counts = await count_displaced(session, town.code, wanted)
        displaced = await list_displaced(session, town.code, wanted, now=now)
        await record_deed(session, identity, "view-closing", wanted, now=now)
    return ClosingAnswer(
        closing=closing, asked=counts.get("asked", 0), staff=counts.get("staff", 0), displaced=list(displaced)
    )


@post(
    f"{ROOT}/{{closing_id:str}}/reopen",
    guards=GUARDS,
    tags=TAGS,
    status_code=204,
    opt=documented(refusals={"closing_unknown": 404}),
)
async def post_reopening(
    closing_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,  # noqa: ARG001 - what is open is open
) -> None:
    """Open again: who has not moved yet keeps what they had."""
    wanted = parse_uuid(closing_id, code="closing_unknown")
    await rush.run(db, town.code, lambda session: reopen(session, identity, wanted, now=now))


def _check(wanted: TimeBody, now: datetime) -> None:
    """As the page, which offers no other days.

    Raises:
        Refusal: `closing_unfit` (400).
    """
    ahead = timedelta(days=DAYS_AHEAD_MAX)
    last = wanted.ends_at + timedelta(days=wanted.days - 1) if wanted.ends_at < now + ahead else wanted.ends_at
    if not now - ahead < wanted.starts_at < wanted.ends_at <= last < now + ahead or last <= now:
        raise Refusal("closing_unfit", 400)


async def _check_counter(session: AsyncSession, town: Town, counter: str | None) -> None:
    if counter is not None and counter not in await list_counters(session, town.code):
        raise Refusal("closing_unfit", 400)
