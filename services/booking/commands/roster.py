"""The roster of helpers, as routing's accounts say. Whose account is closed is asked no more, their name forgotten."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.asking import ask_next
from services.booking.commands.venues import bring_venues
from services.booking.keys import Keys, helper_context
from services.booking.queries.helpers import list_venues_of
from shared.crypto import SealBroken
from shared.errors import Poison
from shared.events.routing import AccountOpened, SealedAccount

ROLE = "helper"
SEAL_PURPOSE = "account"
REQUESTS_MAX = 500

_OPEN = text("""
    INSERT INTO helper (municipality, helper_ref, name_sealed, wrapped_key, languages, is_open, version)
    VALUES (:municipality, :helper_ref, :name_sealed, :wrapped_key, :languages, true, :version)
    ON CONFLICT (municipality, helper_ref) DO UPDATE
    SET (name_sealed, wrapped_key, languages, is_open, version) =
        (excluded.name_sealed, excluded.wrapped_key, excluded.languages, true, excluded.version)
    WHERE helper.version < excluded.version
    RETURNING helper_ref
""")
# Kept of everybody, also of staff and of who was never open here: a version that comes late is known as such.
_CLOSE = text("""
    INSERT INTO helper (municipality, helper_ref, languages, is_open, version)
    VALUES (:municipality, :helper_ref, '{}', false, :version)
    ON CONFLICT (municipality, helper_ref) DO UPDATE
    SET (name_sealed, wrapped_key, feed_hash, is_open, version) = (NULL, NULL, NULL, false, excluded.version)
    WHERE helper.version < excluded.version
    RETURNING helper_ref
""")
_AHEAD = text(f"""
    SELECT s.appointment_id FROM assignment s
    WHERE s.municipality = :municipality AND s.helper_ref = :helper_ref AND s.state IN ('asked', 'accepted')
      AND upper(s.during) > :now
    ORDER BY s.appointment_id LIMIT {REQUESTS_MAX}
""")
_LOCK = text("""
    SELECT * FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id) FOR UPDATE
""")
_RELEASE = text("""
    UPDATE assignment SET state = 'released', answered_at = :now
    WHERE municipality = :municipality AND appointment_id = :appointment_id AND helper_ref = :helper_ref
      AND state IN ('asked', 'accepted')
    RETURNING assignment_id
""")
# Coordinators see the class without them, and ask somebody else.
_TEACHES_NO_MORE = text("""
    DELETE FROM course_staff
    WHERE municipality = :municipality AND helper_ref = :helper_ref AND starts_at > :now
""")


async def follow_account(session: AsyncSession, keys: Keys, event: AccountOpened, *, now: datetime) -> None:
    """Take over an account's newest state. Closed, or no helper any more: others are asked for what lies ahead.

    Raises:
        Poison: the sealed name cannot be opened.
    """
    key = {"municipality": event.municipality, "helper_ref": event.account_ref}
    if event.is_open and ROLE in event.roles:
        if event.sealed is None:
            raise Poison("seal")
        account = _open_account(keys, event.sealed)
        context = helper_context(event.municipality, event.account_ref)
        wrapped = keys.vault.new_key(context)
        values = {
            "name_sealed": keys.vault.seal(wrapped, context, "name", account.display_name),
            "wrapped_key": wrapped,
            "languages": list(account.languages),
            "version": event.aggregate_version,
        }
        if (await session.execute(_OPEN, key | values)).one_or_none() is None:
            return
    else:
        closed = await session.execute(_CLOSE, key | {"version": event.aggregate_version})
        if closed.one_or_none() is None:
            return
        await pass_on(session, event.municipality, event.account_ref, now=now)
    venues = await list_venues_of(session, event.municipality, event.account_ref)
    if venues:
        await bring_venues(session, event.municipality, venues, now=now)


async def pass_on(session: AsyncSession, municipality: str, helper_ref: str, *, now: datetime) -> None:
    """Others are asked for what lies ahead of a helper who is asked no more; where nobody can come, people are told."""
    key = {"municipality": municipality, "helper_ref": helper_ref, "now": now}
    await session.execute(_TEACHES_NO_MORE, key)
    ahead: list[UUID] = list((await session.execute(_AHEAD, key)).scalars())
    for appointment_id in ahead:
        mine = {"municipality": municipality, "appointment_id": appointment_id}
        appointment = (await session.execute(_LOCK, mine)).one()
        if appointment.state != "booked":
            continue
        if (await session.execute(_RELEASE, mine | key)).one_or_none() is not None:
            await ask_next(session, municipality, appointment, now=now)


def _open_account(keys: Keys, sealed: str) -> SealedAccount:
    try:
        return msgspec.msgpack.decode(keys.box.open_from("routing", SEAL_PURPOSE, sealed), type=SealedAccount)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
