"""Other systems of the town, as managers decide about them: who may ask for notices, for how many, and by which key."""

import secrets
from datetime import datetime
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.system_tidying import plan_tidying
from services.notifications.domain.systems import (
    KEY_PLACES,
    KINDS,
    PER_DAY_MAX,
    PER_MINUTE_MAX,
    RECIPIENTS,
    SMS_PARTS_MAX,
    SYSTEMS_MAX,
    USED_NOTED_EVERY,
    key_id_of,
    make_key,
    make_secret,
    secret_hash,
)
from services.notifications.tables import SERVICE
from shared.audit import record_deed
from shared.db import Prepared
from shared.errors import Refusal
from shared.practice import is_practice
from shared.tokens import Identity


class SystemTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a system may ask for: for whom, what, and how much."""

    name_ja: str
    recipients: tuple[str, ...]
    kinds: tuple[str, ...]
    per_minute: int
    per_day: int
    sms_parts_per_day: int


# Two who register at once wait for each other: together they are not too many.
_LOCK_LIST = text("SELECT pg_advisory_xact_lock(hashtextextended('api_systems/' || :municipality, 0))")
_COUNT = text(f"SELECT count(*) FROM {SERVICE}.api_system WHERE municipality = :municipality")
_REGISTER = text(f"""
    INSERT INTO {SERVICE}.api_system (municipality, system_id, name_ja, recipients, kinds, per_minute, per_day,
                                      sms_parts_per_day, state, registered_at, changed_at)
    VALUES (:municipality, :system_id, :name_ja, :recipients, :kinds, :per_minute, :per_day, :sms_parts_per_day,
            'active', :now, :now)
    ON CONFLICT DO NOTHING RETURNING system_id
""")
_CHANGE = text(f"""
    UPDATE {SERVICE}.api_system
    SET (name_ja, recipients, kinds, per_minute, per_day, sms_parts_per_day, changed_at)
      = (:name_ja, :recipients, :kinds, :per_minute, :per_day, :sms_parts_per_day, :now)
    WHERE (municipality, system_id) = (:municipality, :system_id)
""")
_LOCK = text(f"""
    SELECT state FROM {SERVICE}.api_system WHERE (municipality, system_id) = (:municipality, :system_id)
    FOR NO KEY UPDATE
""")
_SWITCH = text(f"""
    UPDATE {SERVICE}.api_system SET state = :state, changed_at = :now
    WHERE (municipality, system_id) = (:municipality, :system_id)
""")
_TAKEN = text(f"""
    SELECT place FROM {SERVICE}.api_key
    WHERE (municipality, system_id) = (:municipality, :system_id) AND revoked_at IS NULL
""")
_MADE_BEFORE = text(f"SELECT 1 FROM {SERVICE}.api_key WHERE (municipality, key_id) = (:municipality, :key_id)")
_MAKE_KEY = text(f"""
    INSERT INTO {SERVICE}.api_key (municipality, key_id, system_id, place, secret_hash, made_at)
    VALUES (:municipality, :key_id, :system_id, :place, :secret_hash, :now)
""")
_REVOKE = text(f"""
    UPDATE {SERVICE}.api_key SET revoked_at = :now
    WHERE (municipality, system_id, key_id) = (:municipality, :system_id, :key_id) AND revoked_at IS NULL
    RETURNING key_id
""")
_USED = Prepared(f"""
    UPDATE {SERVICE}.api_key SET last_used_at = :now
    WHERE (municipality, key_id) = (:municipality, :key_id)
      AND (last_used_at IS NULL OR last_used_at < :noted_before)
""")


async def register_system(
    session: AsyncSession, actor: Identity, terms: SystemTerms, key: str, *, now: datetime
) -> UUID:
    """Let another system ask for notices, once it has a key. The same press twice is one system.

    Raises:
        Refusal: `system_terms` (422), `too_many_systems` (409), `practice_town` (409).
    """
    if is_practice(actor.municipality):
        raise Refusal("practice_town", 409)
    town, values = actor.municipality, _checked(terms)
    system_id = uuid5(NAMESPACE_URL, f"api_system:{town}:{actor.ref}:{key}")
    await session.execute(_LOCK_LIST, {"municipality": town})
    made = values | {"municipality": town, "system_id": system_id, "now": now}
    if (await session.execute(_REGISTER, made)).one_or_none() is None:
        return system_id
    if (await session.execute(_COUNT, {"municipality": town})).scalar_one() > SYSTEMS_MAX:
        raise Refusal("too_many_systems", 409)
    await plan_tidying(session, town, now=now)
    await record_deed(session, actor, "system-register", system_id, now=now)
    return system_id


async def change_terms(
    session: AsyncSession, actor: Identity, system_id: UUID, terms: SystemTerms, *, now: datetime
) -> None:
    """From now on it may ask for this.

    Raises:
        Refusal: `system_unknown` (404), `system_terms` (422).
    """
    mine, values = {"municipality": actor.municipality, "system_id": system_id, "now": now}, _checked(terms)
    await _lock(session, actor.municipality, system_id)
    await session.execute(_CHANGE, mine | values)
    await record_deed(session, actor, "system-change", system_id, now=now)


async def switch_system(
    session: AsyncSession, actor: Identity, system_id: UUID, action: Literal["pause", "resume"], *, now: datetime
) -> None:
    """Take nothing from it for now, or again.

    Raises:
        Refusal: `system_unknown` (404).
    """
    await _lock(session, actor.municipality, system_id)
    mine = {"municipality": actor.municipality, "system_id": system_id, "now": now}
    await session.execute(_SWITCH, mine | {"state": "paused" if action == "pause" else "active"})
    await record_deed(session, actor, f"system-{action}", system_id, now=now)


async def make_system_key(
    session: AsyncSession, actor: Identity, system_id: UUID, pressed: str, *, now: datetime
) -> str | None:
    """A new key, which is shown this once; None: it was made and shown before, by the same press.

    Raises:
        Refusal: `system_unknown` (404), `too_many_keys` (409): two open already.
    """
    town = actor.municipality
    await _lock(session, town, system_id)
    mine = {"municipality": town, "system_id": system_id, "now": now}
    # The same press names the same key. By its name alone it opens nothing.
    key_id = key_id_of(uuid5(NAMESPACE_URL, f"api_key:{town}:{system_id}:{pressed}").int)
    if (await session.execute(_MADE_BEFORE, mine | {"key_id": key_id})).first() is not None:
        return None
    taken = set((await session.execute(_TAKEN, mine)).scalars())
    free = [place for place in KEY_PLACES if place not in taken]
    if not free:
        raise Refusal("too_many_keys", 409)
    secret = make_secret(secrets.choice)
    made = mine | {"key_id": key_id, "place": free[0], "secret_hash": secret_hash(secret)}
    await session.execute(_MAKE_KEY, made)
    await record_deed(session, actor, "system-key", f"{system_id}/{key_id}", now=now)
    return make_key(town, key_id, secret)


async def revoke_key(session: AsyncSession, actor: Identity, system_id: UUID, key_id: str, *, now: datetime) -> None:
    """From now on it opens nothing. Pressed again, nothing happens.

    Raises:
        Refusal: `system_unknown` (404).
    """
    await _lock(session, actor.municipality, system_id)
    mine = {"municipality": actor.municipality, "system_id": system_id, "key_id": key_id, "now": now}
    if (await session.execute(_REVOKE, mine)).one_or_none() is not None:
        await record_deed(session, actor, "system-revoke", f"{system_id}/{key_id}", now=now)


async def note_use(session: AsyncSession, municipality: str, key_id: str, *, now: datetime) -> None:
    """Write down that a key was used, now and then."""
    used = {"municipality": municipality, "key_id": key_id, "now": now, "noted_before": now - USED_NOTED_EVERY}
    await _USED.row(session, used)


def _checked(terms: SystemTerms) -> dict[str, object]:
    is_known = set(terms.recipients) <= set(RECIPIENTS) and set(terms.kinds) <= set(KINDS)
    is_within = (
        0 < terms.per_minute <= PER_MINUTE_MAX
        and 0 < terms.per_day <= PER_DAY_MAX
        and 0 <= terms.sms_parts_per_day <= SMS_PARTS_MAX
    )
    if not (terms.recipients and terms.kinds and is_known and is_within):
        raise Refusal("system_terms", 422)
    return msgspec.structs.asdict(terms) | {"recipients": list(terms.recipients), "kinds": list(terms.kinds)}


async def _lock(session: AsyncSession, municipality: str, system_id: UUID) -> None:
    found = await session.execute(_LOCK, {"municipality": municipality, "system_id": system_id})
    if found.one_or_none() is None:
        raise Refusal("system_unknown", 404)
