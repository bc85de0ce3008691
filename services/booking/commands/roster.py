"""The roster of helpers, as routing's accounts say. Whose account is closed is asked no more, their name forgotten."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.asking import ask_next
from services.booking.commands.locking import lock_appointments
from services.booking.commands.telling_helpers import Told, tell_helper
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
# A visit that is going on goes on: they sit together.
_AHEAD = text(f"""
    SELECT s.appointment_id FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    WHERE s.municipality = :municipality AND s.helper_ref = :helper_ref AND s.state IN ('asked', 'accepted')
      AND lower(s.during) > :now
      AND (CAST(:venue AS text) IS NULL
           OR a.counter = :venue
              AND s.during && tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)))
    ORDER BY s.appointment_id LIMIT {REQUESTS_MAX}
""")
_LOCK_SLOTS = text(f"""
    SELECT slot_id FROM slot WHERE municipality = :municipality AND slot_id = ANY (CAST(:slots AS uuid[]))
    ORDER BY slot_id LIMIT {REQUESTS_MAX} FOR NO KEY UPDATE
""")
_RELEASE = text("""
    UPDATE assignment SET state = 'released', answered_at = :now
    WHERE municipality = :municipality AND appointment_id = :appointment_id AND helper_ref = :helper_ref
      AND state IN ('asked', 'accepted')
    RETURNING assignment_id, lower(during) AS starts_at, upper(during) AS ends_at
""")
# Coordinators see the class without them, and ask somebody else.
_TEACHES_NO_MORE = text("""
    DELETE FROM course_staff t USING course_session s, course c
    WHERE t.municipality = :municipality AND t.helper_ref = :helper_ref AND t.starts_at > :now
      AND (s.municipality, s.session_id) = (t.municipality, t.session_id)
      AND (c.municipality, c.course_id) = (s.municipality, s.course_id)
    RETURNING c.venue, c.state, t.session_id, t.starts_at, t.ends_at
""")


class Span(NamedTuple):
    """A time at a venue."""

    venue: str
    starts_at: datetime
    ends_at: datetime


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
        await lock_ahead(session, event.municipality, event.account_ref, now=now)
        closed = await session.execute(_CLOSE, key | {"version": event.aggregate_version})
        if closed.one_or_none() is None:
            return
        await pass_on(session, event.municipality, event.account_ref, is_told=event.is_open, now=now)
    venues = await list_venues_of(session, event.municipality, event.account_ref)
    if venues:
        await bring_venues(session, event.municipality, venues, now=now)


async def lock_ahead(
    session: AsyncSession, municipality: str, helper_ref: str, span: Span | None = None, *, now: datetime
) -> Sequence[Any]:
    """The appointments that a helper is asked for and that have not begun: they, and the slots at which others will be
    asked, are locked before the helper is. All of them, or those of a `span`."""
    key = {"municipality": municipality, "helper_ref": helper_ref, "now": now}
    within = dict(zip(Span._fields, span or (None, None, None), strict=True))
    ahead = (await session.execute(_AHEAD, key | within)).scalars()
    appointments = await lock_appointments(session, municipality, list(ahead))
    slots = [row.slot_id for row in appointments if row.slot_id is not None]
    await session.execute(_LOCK_SLOTS, {"municipality": municipality, "slots": slots})
    return appointments


async def pass_on(session: AsyncSession, municipality: str, helper_ref: str, *, is_told: bool, now: datetime) -> None:
    """Others are asked for what lies ahead of a helper who is asked no more; where nobody can come, people are told.

    The helper `is_told` that they need not come. Of what somebody asked them before they were locked, the appointment
    is locked now.
    """
    key = {"municipality": municipality, "helper_ref": helper_ref, "now": now}
    classes = [
        Told(venue=row.venue, starts_at=row.starts_at, ends_at=row.ends_at, about=row.session_id)
        for row in (await session.execute(_TEACHES_NO_MORE, key)).all()
        # Of a draft they were not told.
        if row.state != "draft"
    ]
    for told in classes if is_told else ():
        await tell_helper(session, municipality, helper_ref, "cancelled", told, now=now)
    await hand_over(session, municipality, helper_ref, is_told=is_told, now=now)


async def hand_over(
    session: AsyncSession,
    municipality: str,
    helper_ref: str,
    span: Span | None = None,
    *,
    is_told: bool,
    now: datetime,
) -> None:
    """Others are asked for a helper's visits that lie ahead: all of them, or those of a `span`. As `pass_on`."""
    key = {"municipality": municipality, "helper_ref": helper_ref, "now": now}
    for appointment in await lock_ahead(session, municipality, helper_ref, span, now=now):
        mine = key | {"appointment_id": appointment.appointment_id}
        released = (await session.execute(_RELEASE, mine)).one_or_none() if appointment.state == "booked" else None
        if released is None:
            continue
        await ask_next(session, municipality, appointment, now=now)
        if is_told:
            needless = Told(
                venue=appointment.counter,
                starts_at=released.starts_at,
                ends_at=released.ends_at,
                assignment_id=released.assignment_id,
            )
            await tell_helper(session, municipality, helper_ref, "cancelled", needless, now=now)


def _open_account(keys: Keys, sealed: str) -> SealedAccount:
    try:
        return msgspec.msgpack.decode(keys.box.open_from("routing", SEAL_PURPOSE, sealed), type=SealedAccount)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
