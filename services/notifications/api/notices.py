"""Notices that other systems of the town ask for, and what became of them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from services.notifications.api import examples
from services.notifications.api.systems import require_system, system_of
from services.notifications.commands.system_notices import Accepted, Asking, NotAccepted, Result, take_back
from services.notifications.domain.asked import Mistake, NoticeAsked
from services.notifications.domain.systems import BATCH_MAX
from services.notifications.flow import KnownTowns, accept
from services.notifications.keys import Keys
from services.notifications.queries_of_systems import PAGE_MAX, NoticePage, NoticeView, get_notice, list_notices
from services.notifications.tables import SERVICE
from shared.db import Database
from shared.errors import Refusal
from shared.web.documented import KEY_PATTERN, NeededIdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.webhooks.endpoints import Replayed, replay
from shared.webhooks.tries import MESSAGES_KEPT

GUARDS = [require_system]
TAGS = ["notices (systems)"]
ROOT = "/notifications/api/notices"
ONE = f"{ROOT}/{{notice_id:str}}"
BATCH_MAX_BYTES = 2 * 1024 * 1024
ACCEPTED = 202

Req = Request[Any, Any, Any]
LIMITS = {"system_paused": 403, "too_many_notices": 429}
UNKNOWN = {"notice_unknown": 404}


class AcceptedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """It will be told, or it will be said why not. `links`: `self`, where it is read what became of it."""

    id: UUID
    state: str
    links: dict[str, str]


class Keyed(NoticeAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several, under a key of its own."""

    key: Annotated[str, msgspec.Meta(pattern=KEY_PATTERN, examples=["tax-2026-000123"])]


class PostBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several at once: those that can be are accepted, in one transaction."""

    notices: Annotated[list[Keyed], msgspec.Meta(min_length=1, max_length=BATCH_MAX)]


class BatchResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one: `status` and what would have been answered to it alone."""

    key: str
    status: int
    id: UUID | None = None
    state: str | None = None
    links: dict[str, str] | None = None
    code: str | None = None
    problems: tuple[Mistake, ...] = ()


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """In the order in which they were asked for."""

    results: list[BatchResult]


class PostReplay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when on. What is older than 14 days is not kept."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]


SinceCursor = Annotated[
    str,
    QueryParameter(
        name="since", pattern="^[0-9]{1,18}$", description="`next` of the answer before; without it, from the earliest."
    ),
]
Most = Annotated[int, QueryParameter(name="most", ge=1, le=PAGE_MAX, description="So many at most.")]


@post(
    ROOT,
    guards=GUARDS,
    tags=TAGS,
    status_code=ACCEPTED,
    opt=documented(
        body=NoticeAsked,
        example=examples.ASKED,
        returns=AcceptedAnswer(id=examples.ID, state="waiting", links={"self": f"{ROOT}/{examples.ID}"}),
        refusals=LIMITS | {"notice_unfit": 422, "no_catalogue": 409},
        details={
            "notice_unfit": {"problems": [examples.PROBLEM]},
            "too_many_notices": {"limit": "minute", "retry_after_s": 30},
        },
    ),
)
async def post_notice(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    towns: NamedDependency[KnownTowns],
    now: NamedDependency[datetime],
    key: NeededIdempotencyKey,
) -> AcceptedAnswer:
    """Have somebody told something.

    Sent again with the same key, it is the same notice and the same answer. All that is wrong with it is said at once
    (`problems`, each with a JSON pointer). What became of it is told to the system's own address (webhooks), or read.
    """
    asking = Asking(key, await read_json(request, NoticeAsked))
    [result] = await accept(db, keys, towns, system_of(request), [asking], now=now)
    if isinstance(result, NotAccepted):
        if result.code == "key_reused":
            raise Refusal("key_reused", 422)
        raise Refusal("notice_unfit", 422, problems=msgspec.to_builtins(result.problems))
    return AcceptedAnswer(id=result.id, state=result.state, links={"self": result.href})


@post(
    f"{ROOT}/batch",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    request_max_body_size=BATCH_MAX_BYTES,
    opt=documented(
        body=PostBatch,
        example={"notices": [examples.ASKED | {"key": "tax-2026-000123"}]},
        returns=BatchAnswer(
            results=[
                BatchResult(
                    key="tax-2026-000123",
                    status=ACCEPTED,
                    id=examples.ID,
                    state="waiting",
                    links={"self": f"{ROOT}/{examples.ID}"},
                )
            ]
        ),
        refusals=LIMITS | {"no_catalogue": 409},
    ),
)
async def post_notices(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    towns: NamedDependency[KnownTowns],
    now: NamedDependency[datetime],
) -> BatchAnswer:
    """Have up to 100 told, each under a key of its own.

    Where the system's limits have no room for all that is new, nothing is accepted (429).
    """
    wanted = (await read_json(request, PostBatch)).notices
    askings = [Asking(each.key, _without_key(each)) for each in wanted]
    results = await accept(db, keys, towns, system_of(request), askings, now=now)
    return BatchAnswer(results=[_result(each.key, result) for each, result in zip(askings, results, strict=True)])


@get(ROOT, guards=GUARDS, tags=TAGS, opt=documented(returns=NoticePage([examples.VIEW], "12")))
async def get_notices(
    request: Req, db: NamedDependency[Database], since: SinceCursor = "0", most: Most = PAGE_MAX
) -> NoticePage:
    """What the system asked for in the last 90 days, in the order in which it was accepted."""
    system = system_of(request)
    async with db.begin(system.municipality) as session:
        return await list_notices(session, system, since=int(since), most=most)


@get(ONE, guards=GUARDS, tags=TAGS, opt=documented(returns=examples.VIEW, refusals=UNKNOWN))
async def get_notice_view(request: Req, notice_id: FromPath[str], db: NamedDependency[Database]) -> NoticeView:
    """What became of a notice: by which ways, never where to."""
    system, wanted = system_of(request), parse_uuid(notice_id, code="notice_unknown")
    async with db.begin(system.municipality) as session:
        return await get_notice(session, system, wanted)


@delete(ONE, guards=GUARDS, tags=TAGS, opt=documented(refusals=UNKNOWN | {"notice_gone_out": 409}))
async def delete_notice(
    request: Req, notice_id: FromPath[str], db: NamedDependency[Database], now: NamedDependency[datetime]
) -> None:
    """Take it back while it waits. Sent again, nothing happens."""
    system, wanted = system_of(request), parse_uuid(notice_id, code="notice_unknown")
    async with db.begin(system.municipality) as session:
        await take_back(session, system, wanted, now=now)


@post(
    "/notifications/api/webhooks/replay",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(
        body=PostReplay,
        example={"since": "2026-12-01T00:00:00Z"},
        returns=Replayed(messages=3),
        refusals={"webhook_unknown": 404},
    ),
)
async def post_replay(request: Req, db: NamedDependency[Database], now: NamedDependency[datetime]) -> Replayed:
    """Tell the system's address again what it was told since then: the same messages, with the same `webhook-id`.

    At most 5,000; `more_since` says from when on there are more.
    """
    system, wanted = system_of(request), await read_json(request, PostReplay)
    since = max(wanted.since, now - MESSAGES_KEPT)
    async with db.begin(system.municipality) as session:
        return await replay(session, SERVICE, system.municipality, system.system_id, since=since, now=now)


def _without_key(keyed: Keyed) -> NoticeAsked:
    """As it would be asked for alone: the same key is the same notice by either route."""
    return NoticeAsked(**{name: getattr(keyed, name) for name in NoticeAsked.__struct_fields__})


def _result(key: str, result: Result) -> BatchResult:
    if isinstance(result, Accepted):
        return BatchResult(key=key, status=ACCEPTED, id=result.id, state=result.state, links={"self": result.href})
    return BatchResult(key=key, status=422, code=result.code, problems=result.problems)
