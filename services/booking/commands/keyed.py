"""Idempotency keys: the same key with the same request gets the same answer, however often it is sent."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.errors import Refusal

T = TypeVar("T")

KEY_MAX_LENGTH = 100

_CLAIM = text("""
    INSERT INTO idempotency (municipality, owner, key, request_hash, created_at)
    VALUES (:municipality, :owner, :key, :request_hash, :now) ON CONFLICT DO NOTHING RETURNING key
""")
_READ = text("""
    SELECT request_hash, response FROM idempotency
    WHERE (municipality, owner, key) = (:municipality, :owner, :key)
""")
_ANSWER = text("""
    UPDATE idempotency SET response = CAST(:response AS jsonb)
    WHERE (municipality, owner, key) = (:municipality, :owner, :key)
""")


def request_hash(*parts: object) -> bytes:
    """What distinguishes one request from another under the same key."""
    return hashlib.sha256(msgspec.json.encode(parts)).digest()


def check_key(key: str) -> str:
    """A key as it may be stored.

    Raises:
        Refusal: `key_unreadable` (400): empty, too long, or with control characters.
    """
    if not 0 < len(key) <= KEY_MAX_LENGTH or not key.isprintable():
        raise Refusal("key_unreadable", 400)
    return key


async def claim_key(
    session: AsyncSession, municipality: str, owner: str, key: str, hashed: bytes, *, now: datetime
) -> Any | None:
    """Take a key for this transaction, or return the answer given under it before.

    A concurrent twin waits here, on the unique row, until the first has committed.

    Raises:
        Refusal: `key_reused` (422), the key was used for another request.
    """
    names = {"municipality": municipality, "owner": owner, "key": check_key(key)}
    taken = await session.execute(_CLAIM, names | {"request_hash": hashed, "now": now})
    if taken.one_or_none() is not None:
        return None
    row = (await session.execute(_READ, names)).one()
    if bytes(row.request_hash) != hashed:
        raise Refusal("key_reused", 422)
    return row.response


async def keep_answer(session: AsyncSession, municipality: str, owner: str, key: str, response: Any) -> None:
    """Remember what was answered under a key that this transaction claimed."""
    values = {"municipality": municipality, "owner": owner, "key": key}
    await session.execute(_ANSWER, values | {"response": msgspec.json.encode(response).decode()})


async def do_once(
    session: AsyncSession,
    municipality: str,
    owner: str,
    key: str | None,
    hashed: bytes,
    do: Callable[[], Awaitable[T]],
    kind: type[T],
    *,
    now: datetime,
) -> T:
    """Do it, or return what was answered when it was done under this key. What is refused keeps no key.

    Without a key it is done each time. Null is no answer: what has none to give returns True.

    Raises:
        Refusal: `key_reused` (422), and what `do` raises.
    """
    if key is None:
        return await do()
    answered = await claim_key(session, municipality, owner, key, hashed, now=now)
    if answered is not None:
        return msgspec.convert(answered, kind)
    done = await do()
    await keep_answer(session, municipality, owner, key, done)
    return done
