"""Webhooks, as staff decide about them: which system of the town is told, of what, and by which secret it knows us."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.domain.webhooks import KINDS
from services.booking.keys import Keys
from shared.audit import record_deed
from shared.errors import Refusal
from shared.practice import is_practice
from shared.tokens import Identity
from shared.webhooks import endpoints
from shared.webhooks.destinations import Destinations
from shared.webhooks.endpoints import ENDPOINTS_MAX, Action

SERVICE = "booking"


class RegisterWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """The order to tell another system of what happens, of these kinds."""

    name_ja: str
    url: str
    kinds: tuple[str, ...]
    key: str


class SecretShown(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint and its new secret, which is shown this once; None when the same was ordered before."""

    endpoint_id: UUID
    secret: str | None = None


# Two who register at once wait for each other: together they are not too many.
_LOCK_LIST = text("SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoints/' || :municipality, 0))")
_COUNT = text("SELECT count(*) FROM webhook_endpoint WHERE municipality = :municipality")
_TELL = text("""
    SELECT tell_webhooks(:municipality, :kind, :about, :version, CAST(:facts AS jsonb), CAST(:now AS timestamptz))
""")


async def tell_webhooks(
    session: AsyncSession, municipality: str, kind: str, about: UUID, facts: Mapping[str, Any], *, version: int,
    now: datetime,
) -> None:  # fmt: skip
    """Tell whoever wants to know, in the caller's transaction. What is published is told by a trigger (0019).

    `facts` leave the town hall as they are: codes and times, nothing about a person.
    """
    what = {"municipality": municipality, "kind": kind, "about": str(about), "version": version, "now": now}
    await session.execute(_TELL, what | {"facts": msgspec.json.encode(facts).decode()})


async def register_webhook(
    session: AsyncSession, actor: Identity, order: RegisterWebhook, keys: Keys, destinations: Destinations, *,
    now: datetime,
) -> SecretShown:  # fmt: skip
    """Tell this system from now on, and return the secret by which it knows us.

    Raises:
        Refusal: `webhook_url_unfit`, `webhook_url_inside`, `webhook_kinds_missing` (422), `too_many_webhooks` (409),
            `key_reused` (422), `practice_town` (409): nothing of it leaves.
    """
    if is_practice(actor.municipality):
        raise Refusal("practice_town", 409)
    destinations.check(order.url)
    if not order.kinds or not set(order.kinds) <= set(KINDS):
        raise Refusal("webhook_kinds_missing", 422)
    town, owner = actor.municipality, f"staff:{actor.ref}"
    hashed = request_hash("webhook", order.name_ja, order.url, order.kinds)
    answered = await claim_key(session, town, owner, order.key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, SecretShown)
    await session.execute(_LOCK_LIST, {"municipality": town})
    if (await session.execute(_COUNT, {"municipality": town})).scalar_one() >= ENDPOINTS_MAX:
        raise Refusal("too_many_webhooks", 409)
    endpoint_id, kinds = uuid4(), sorted(set(order.kinds), key=KINDS.index)
    secret = await endpoints.add_endpoint(
        session,
        SERVICE,
        town,
        endpoint_id,
        name_ja=order.name_ja,
        url=order.url,
        kinds=kinds,
        vault=keys.vault,
        now=now,
    )
    await keep_answer(session, town, owner, order.key, SecretShown(endpoint_id=endpoint_id))
    await record_deed(session, actor, "webhook-register", endpoint_id, now=now)
    return SecretShown(endpoint_id=endpoint_id, secret=secret)


async def roll_secret(
    session: AsyncSession, actor: Identity, endpoint_id: UUID, key: str, keys: Keys, *, now: datetime
) -> SecretShown:
    """Give it another secret. For a day the one before signs beside it.

    Raises:
        Refusal: `webhook_unknown` (404), `key_reused` (422).
    """
    town, owner = actor.municipality, f"staff:{actor.ref}"
    answered = await claim_key(session, town, owner, key, request_hash("webhook-roll", endpoint_id), now=now)
    if answered is not None:
        return msgspec.convert(answered, SecretShown)
    secret = await endpoints.roll_secret(session, town, endpoint_id, keys.vault, now=now)
    await keep_answer(session, town, owner, key, SecretShown(endpoint_id=endpoint_id))
    await record_deed(session, actor, "webhook-roll", endpoint_id, now=now)
    return SecretShown(endpoint_id=endpoint_id, secret=secret)


async def change_webhook(
    session: AsyncSession, actor: Identity, endpoint_id: UUID, action: Action, *, now: datetime
) -> None:
    """Send a test; send nothing for now, while what happens is kept; go on, with what was kept; or send nothing ever.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    await endpoints.change_endpoint(session, SERVICE, actor.municipality, endpoint_id, action, now=now)
    await record_deed(session, actor, f"webhook-{action}", endpoint_id, now=now)
