"""For managers: which other systems of the town are told what happens, and whether they take it."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.api import examples
from services.booking.api.bodies import one_line
from services.booking.api.refused import WEBHOOK
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.webhooks import (
    RegisterWebhook,
    SecretShown,
    change_webhook,
    register_webhook,
    roll_secret,
)
from services.booking.domain.webhooks import KINDS
from services.booking.flow import Rush
from services.booking.keys import Keys
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, NeededIdempotencyKey, documented, read_json
from shared.web.forms import parse_uuid
from shared.web.identity import require_role
from shared.web.town import Town
from shared.webhooks.destinations import URL_MAX_LENGTH, Destinations
from shared.webhooks.endpoints import NAME_MAX_LENGTH
from shared.webhooks.views import DeliveryView, EndpointView, get_endpoint, list_deliveries, list_endpoints

GUARDS = [require_role("manager")]
TAGS = ["webhooks (staff)"]
ROOT = "/booking/api/webhooks"
ONE = f"{ROOT}/{{endpoint_id:str}}"

Req = Request[Any, Any, Any]
Kind = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(KINDS)})$".replace(".", "[.]"), examples=list(KINDS[:1]))]


class PostWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell another system of these kinds of things: an https address without user, password and fragment."""

    name_ja: Annotated[str, msgspec.Meta(pattern=one_line(NAME_MAX_LENGTH))]
    url: Annotated[str, msgspec.Meta(pattern=f"^https?://[!-~]{{1,{URL_MAX_LENGTH - len('https://')}}}$")]
    kinds: Annotated[list[Kind], msgspec.Meta(min_length=1, max_length=len(KINDS))]


class EndpointAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A system, and the newest messages for it with what became of their last try."""

    endpoint: EndpointView
    deliveries: list[DeliveryView]


class PostState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Send nothing for now, while what happens is kept; or go on, with what was kept."""

    state: Literal["paused", "active"]


ENDPOINT_EXAMPLE = EndpointView(
    endpoint_id=examples.ID,
    name_ja="1階の案内表示",
    url="https://display.example.jp/hook",
    kinds=("appointment.called", "closing.made"),
    state="active",
    failing_since=None,
    old_secret_until=None,
    waiting=1,
)
DELIVERY_EXAMPLE = DeliveryView(
    delivery_id=examples.OTHER_ID,
    kind="appointment.called",
    told_at=examples.NOW,
    state="waiting",
    tries=1,
    next_try_at=examples.NOW,
    answer="http_503",
    answered_at=examples.NOW,
)
ANSWER_EXAMPLE = EndpointAnswer(endpoint=ENDPOINT_EXAMPLE, deliveries=[DELIVERY_EXAMPLE])
# Of no system: 32 zero bytes.
SECRET_EXAMPLE = SecretShown(endpoint_id=examples.ID, secret=f"whsec_{'A' * 43}=")


@get(ROOT, guards=GUARDS, tags=TAGS, opt=documented(returns=[ENDPOINT_EXAMPLE]))
async def get_webhooks(
    db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> list[EndpointView]:
    """The systems that are told.

    `stopped` is one that has taken nothing for a day, or said that it is gone: it is told nothing until it is `active`
    again. What waits is kept for 14 days.
    """
    async with db.begin(town.code) as session:
        return await list_endpoints(session, town.code, now=now)


@post(
    ROOT,
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        body=PostWebhook,
        example={
            "name_ja": ENDPOINT_EXAMPLE.name_ja,
            "url": ENDPOINT_EXAMPLE.url,
            "kinds": list(ENDPOINT_EXAMPLE.kinds),
        },
        returns=SECRET_EXAMPLE,
        refusals={"webhook_url_unfit": 422, "webhook_url_inside": 422, "too_many_webhooks": 409},
    ),
)
async def post_webhook_endpoint(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    destinations: NamedDependency[Destinations],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> SecretShown:
    """Register a system.

    Its secret is told in this answer only. Sent again with the same key, it is the same system and no secret: whoever
    lost the answer rolls the secret.
    """
    wanted = await read_json(request, PostWebhook)
    order = RegisterWebhook(
        name_ja=wanted.name_ja.strip(), url=wanted.url, kinds=tuple(dict.fromkeys(wanted.kinds)), key=key
    )
    return await rush.run(
        db, town.code, lambda session: register_webhook(session, identity, order, keys, destinations, now=now)
    )


@get(ONE, guards=GUARDS, tags=TAGS, opt=documented(returns=ANSWER_EXAMPLE, refusals=WEBHOOK))
async def get_webhook(
    endpoint_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> EndpointAnswer:
    """One system: how it is, and the newest messages."""
    wanted = _read_id(endpoint_id)
    return await _answer(db, town, wanted, now=now)


@post(
    f"{ONE}/state",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(body=PostState, example={"state": "paused"}, returns=ANSWER_EXAMPLE, refusals=WEBHOOK),
)
async def post_webhook_state(
    request: Req,
    endpoint_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> EndpointAnswer:
    """Pause a system, or let it go on: also one that was stopped."""
    wanted, asked = _read_id(endpoint_id), await read_json(request, PostState)
    action: Literal["pause", "resume"] = "pause" if asked.state == "paused" else "resume"
    await rush.run(db, town.code, lambda session: _change_once(session, identity, wanted, action, key, now=now))
    return await _answer(db, town, wanted, now=now)


@post(f"{ONE}/test", guards=GUARDS, tags=TAGS, status_code=204, opt=documented(refusals=WEBHOOK))
async def post_webhook_test(
    endpoint_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,
) -> None:
    """Send a test, also to a system that is paused or stopped.

    What became of it stands among its messages. While one is on its way there is no second one.
    """
    wanted = _read_id(endpoint_id)
    await rush.run(db, town.code, lambda session: _change_once(session, identity, wanted, "test", key, now=now))


@post(
    f"{ONE}/secret",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(returns=SECRET_EXAMPLE, refusals=WEBHOOK),
)
async def post_webhook_secret(
    endpoint_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: NeededIdempotencyKey,
) -> SecretShown:
    """Give a system another secret.

    It is told in this answer only; for a day the one before signs beside it. Sent again with the same key, nothing is
    changed and no secret is told.
    """
    wanted = _read_id(endpoint_id)
    return await rush.run(db, town.code, lambda session: roll_secret(session, identity, wanted, key, keys, now=now))


@delete(ONE, guards=GUARDS, tags=TAGS, opt=documented(refusals=WEBHOOK))
async def delete_webhook(
    endpoint_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> None:
    """Tell it nothing any more: what waits for it is dropped, and its secret destroyed. Sent again, nothing happens."""
    wanted = _read_id(endpoint_id)
    try:
        await rush.run(db, town.code, lambda session: change_webhook(session, identity, wanted, "delete", now=now))
    except Refusal as refusal:
        if refusal.code != "webhook_unknown":
            raise


async def _change_once(
    session: AsyncSession,
    actor: Identity,
    endpoint_id: UUID,
    action: Literal["pause", "resume", "test"],
    key: str | None,
    *,
    now: datetime,
) -> bool:
    async def change() -> bool:
        await change_webhook(session, actor, endpoint_id, action, now=now)
        return True

    hashed = request_hash("webhook", endpoint_id, action)
    return await do_once(session, actor.municipality, f"staff:{actor.ref}", key, hashed, change, bool, now=now)


async def _answer(db: Database, town: Town, endpoint_id: UUID, *, now: datetime) -> EndpointAnswer:
    async with db.begin(town.code) as session:
        return EndpointAnswer(
            endpoint=await get_endpoint(session, town.code, endpoint_id, now=now),
            deliveries=await list_deliveries(session, town.code, endpoint_id),
        )


def _read_id(typed: str) -> UUID:
    return parse_uuid(typed, code="webhook_unknown")
