"""Endpoints: the address of another system, what it is told of, and the secret by which it knows us.

Statements for the tables of `tables.py` in the caller's own schema. Who may, and whose deed it was, is the caller's.
"""

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.messaging.due import schedule, unschedule
from shared.webhooks.signing import SECRET_BYTES, show_secret
from shared.webhooks.tries import OLD_SECRET_KEPT, TEST

# Kind of `due`, for an endpoint's id: when it has its next turn.
WEBHOOK = "webhook"
ENDPOINTS_MAX = 10
NAME_MAX_LENGTH = 40
# So many messages are told again at once; the rest by asking from where these end.
REPLAY_MAX = 5_000
_SECRET = "secret"  # noqa: S105 the name of what is sealed

Action = Literal["test", "pause", "resume", "delete"]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages are told again, and from when on there are more; null: those were all."""

    messages: int
    more_since: datetime | None = None


_ADD = text("""
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
# The same rows: a receiver gets the same ids and bytes again.
_REPLAY = text("""
    UPDATE webhook_delivery d SET state = 'waiting', next_try_at = :now, failing_since = NULL
    FROM (SELECT delivery_id FROM webhook_delivery
          WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id) AND kind <> :test
            AND told_at >= :since AND (CAST(:only AS uuid) IS NULL OR delivery_id = :only)
          ORDER BY told_at, delivery_id LIMIT :most FOR UPDATE) AS again
    WHERE d.municipality = :municipality AND d.delivery_id = again.delivery_id
    RETURNING d.told_at
""")
_DELETE_DELIVERIES = text("""
    DELETE FROM webhook_delivery WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)
""")
_DELETE = text("DELETE FROM webhook_endpoint WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)")


def webhook_context(municipality: str, endpoint_id: UUID) -> str:
    """What the key of another system of the town is bound to."""
    return f"{municipality}/webhook/{endpoint_id}"


async def add_endpoint(
    session: AsyncSession,
    service: str,
    municipality: str,
    endpoint_id: UUID,
    *,
    name_ja: str,
    url: str,
    kinds: Collection[str],
    vault: SubjectVault,
    now: datetime,
) -> str:
    """Tell this address from now on; the secret by which it knows us, which is shown once."""
    context, secret = webhook_context(municipality, endpoint_id), show_secret(secrets.token_bytes(SECRET_BYTES))
    wrapped_key = vault.new_key(context)
    made = {
        "municipality": municipality,
        "endpoint_id": endpoint_id,
        "name_ja": name_ja,
        "url": url,
        "kinds": list(kinds),
        "wrapped_key": wrapped_key,
        "secret_sealed": vault.seal(wrapped_key, context, _SECRET, secret),
        "now": now,
    }
    await session.execute(_ADD, made)
    await wake(session, service, municipality, endpoint_id, now=now)
    return secret


async def roll_secret(
    session: AsyncSession, municipality: str, endpoint_id: UUID, vault: SubjectVault, *, now: datetime
) -> str:
    """Give it another secret, which is shown once. For a day the one before signs beside it.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    found = await _lock(session, municipality, endpoint_id)
    secret = show_secret(secrets.token_bytes(SECRET_BYTES))
    sealed = vault.seal(bytes(found.wrapped_key), webhook_context(municipality, endpoint_id), _SECRET, secret)
    changed = {"municipality": municipality, "endpoint_id": endpoint_id, "secret_sealed": sealed, "now": now}
    await session.execute(_ROLL, changed | {"old_until": now + OLD_SECRET_KEPT})
    return secret


async def change_endpoint(
    session: AsyncSession, service: str, municipality: str, endpoint_id: UUID, action: Action, *, now: datetime
) -> None:
    """Send a test; send nothing for now, while what happens is kept; go on, with what was kept; or send nothing ever.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    await _lock(session, municipality, endpoint_id)
    mine = {"municipality": municipality, "endpoint_id": endpoint_id, "now": now}
    if action == "delete":
        await session.execute(_DELETE_DELIVERIES, mine)
        await session.execute(_DELETE, mine)
        await unschedule(session, service, municipality=municipality, kind=WEBHOOK, ref=str(endpoint_id))
    elif action == "pause":
        await session.execute(_PAUSE, mine)
    else:
        if action == "resume":
            await session.execute(_RESUME, mine)
            await session.execute(_AT_ONCE, mine)
        else:
            await session.execute(_TEST, mine | {"delivery_id": uuid4(), "test": TEST})
        await wake(session, service, municipality, endpoint_id, now=now)


async def replay(
    session: AsyncSession,
    service: str,
    municipality: str,
    endpoint_id: UUID,
    *,
    since: datetime,
    only: UUID | None = None,
    now: datetime,
) -> Replayed:
    """Tell again what was told since then, or this one message of it: the same messages, with the same ids.

    Whoever was stopped because it took nothing goes on with it.

    Raises:
        Refusal: `webhook_unknown` (404).
    """
    found = await _lock(session, municipality, endpoint_id)
    mine = {"municipality": municipality, "endpoint_id": endpoint_id, "now": now}
    asked = mine | {"since": since, "only": only, "test": TEST, "most": REPLAY_MAX}
    times = list((await session.execute(_REPLAY, asked)).scalars())
    if found.state == "stopped":
        await session.execute(_RESUME, mine)
    await wake(session, service, municipality, endpoint_id, now=now)
    return Replayed(messages=len(times), more_since=max(times) if len(times) == REPLAY_MAX else None)


async def wake(session: AsyncSession, service: str, municipality: str, endpoint_id: UUID, *, now: datetime) -> None:
    """Give it its turn at once."""
    await schedule(session, service, municipality=municipality, kind=WEBHOOK, ref=str(endpoint_id), due_at=now)


async def _lock(session: AsyncSession, municipality: str, endpoint_id: UUID) -> Any:
    found = (await session.execute(_LOCK, {"municipality": municipality, "endpoint_id": endpoint_id})).one_or_none()
    if found is None:
        raise Refusal("webhook_unknown", 404)
    return found
