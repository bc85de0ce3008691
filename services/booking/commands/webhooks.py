"""Webhooks, as staff decide about them: which system of the town is told, of what, and by which secret it knows us."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.keyed import claim_key, keep_answer, request_hash
from services.booking.domain.webhooks import (
    KINDS,
    OLD_SECRET_KEPT,
    SECRET_BYTES,
    TEST,
    Destinations,
    show_secret,
)
from services.booking.keys import Keys, webhook_context
from shared.audit import record_deed
from shared.errors import Refusal
from shared.messaging.due import schedule, unschedule
from shared.practice import is_practice
from shared.tokens import Identity

# Kind of `due`, for an endpoint's id: when it has its next turn.
WEBHOOK = "webhook"
ENDPOINTS_MAX = 10
NAME_MAX_LENGTH = 40


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
_REGISTER = text("""
    INSERT INTO webhook_endpoint
        (municipality, endpoint_id, name_ja, url, kinds, state, wrapped_key, secret_sealed, registered_at, changed_at)
    VALUES (:municipality, :endpoint_id, :name_ja, :url, :kinds, 'active', :wrapped_key, :secret_sealed, :now, :now)
""")
_LOCK = text("""
    SELECT endpoint_id, state, wrapped_key, secret_sealed FROM webhook_endpoint
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id) FOR UPDATE
""")
_PAUSE = text("""
    UPDATE webhook_endpoint SET state = 'paused', changed_at = :now
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)
""")
_RESUME = text("""
    UPDATE webhook_endpoint SET state = 'active', failures = 0, failing_since = NULL, changed_at = :now
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)
""")
_AT_ONCE = text("""
    UPDATE webhook_delivery SET next_try_at = :now, failing_since = NULL
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id) AND state = 'waiting'
""")
_ROLL = text("""
    UPDATE webhook_endpoint SET old_secret_sealed = secret_sealed, old_secret_until = :old_until,
                                secret_sealed = :secret_sealed, changed_at = :now
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)
""")
# One at a time: who presses again sees what became of the first.
_TEST = text("""
    INSERT INTO webhook_delivery
        (municipality, delivery_id, endpoint_id, kind, about, version, facts, told_at, state, next_try_at)
    SELECT :municipality, :delivery_id, :endpoint_id, :test, '', 1, '{}', :now, 'waiting', :now
    WHERE NOT EXISTS (SELECT 1 FROM webhook_delivery
                      WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id) AND state = 'waiting'
                        AND kind = :test)
""")
_DELETE_DELIVERIES = text("""
    DELETE FROM webhook_delivery WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)
""")
_DELETE = text("DELETE FROM webhook_endpoint WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)")
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
    endpoint_id, secret = uuid4(), secrets.token_bytes(SECRET_BYTES)
    context = webhook_context(town, endpoint_id)
    wrapped_key = keys.vault.new_key(context)
    made = {
        "municipality": town,
        "endpoint_id": endpoint_id,
        "name_ja": order.name_ja,
        "url": order.url,
        "kinds": sorted(set(order.kinds), key=KINDS.index),
        "wrapped_key": wrapped_key,
        "secret_sealed": keys.vault.seal(wrapped_key, context, "secret", show_secret(secret)),
        "now": now,
    }
    await session.execute(_REGISTER, made)
    await _wake(session, town, endpoint_id, now=now)
    await keep_answer(session, town, owner, order.key, SecretShown(endpoint_id=endpoint_id))
    await record_deed(session, actor, "webhook-register", endpoint_id, now=now)
    return SecretShown(endpoint_id=endpoint_id, secret=show_secret(secret))


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
    found = await _lock(session, town, endpoint_id)
    secret = show_secret(secrets.token_bytes(SECRET_BYTES))
    sealed = keys.vault.seal(bytes(found.wrapped_key), webhook_context(town, endpoint_id), "secret", secret)
    changed = {"municipality": town, "endpoint_id": endpoint_id, "secret_sealed": sealed, "now": now}
    await session.execute(_ROLL, changed | {"old_until": now + OLD_SECRET_KEPT})
    await keep_answer(session, town, owner, key, SecretShown(endpoint_id=endpoint_id))
    await record_deed(session, actor, "webhook-roll", endpoint_id, now=now)
    return SecretShown(endpoint_id=endpoint_id, secret=secret)


async def change_webhook(
    session: AsyncSession, actor: Identity, endpoint_id: UUID, action: Literal["test", "pause", "resume", "delete"], *,
    now: datetime,
) -> None:  # fmt: skip
    """Send a test; send nothing for now, while what happens is kept; go on, with what was kept; or send nothing ever.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    town = actor.municipality
    await _lock(session, town, endpoint_id)
    mine = {"municipality": town, "endpoint_id": endpoint_id, "now": now}
    if action == "delete":
        await session.execute(_DELETE_DELIVERIES, mine)
        await session.execute(_DELETE, mine)
        await unschedule(session, "booking", municipality=town, kind=WEBHOOK, ref=str(endpoint_id))
    elif action == "pause":
        await session.execute(_PAUSE, mine)
    else:
        if action == "resume":
            await session.execute(_RESUME, mine)
            await session.execute(_AT_ONCE, mine)
        else:
            await session.execute(_TEST, mine | {"delivery_id": uuid4(), "test": TEST})
        await _wake(session, town, endpoint_id, now=now)
    await record_deed(session, actor, f"webhook-{action}", endpoint_id, now=now)


async def _lock(session: AsyncSession, municipality: str, endpoint_id: UUID) -> Any:
    found = (await session.execute(_LOCK, {"municipality": municipality, "endpoint_id": endpoint_id})).one_or_none()
    if found is None:
        raise Refusal("webhook_unknown", 404)
    return found


async def _wake(session: AsyncSession, municipality: str, endpoint_id: UUID, *, now: datetime) -> None:
    await schedule(session, "booking", municipality=municipality, kind=WEBHOOK, ref=str(endpoint_id), due_at=now)
