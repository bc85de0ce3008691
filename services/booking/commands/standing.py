"""How a helper stands with the town: registered, trained, insured, active or suspended. Who is suspended is asked
nothing, and their visits go to others."""

from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.help_returns import match_at
from services.booking.commands.roster import lock_ahead, pass_on
from services.booking.commands.venues import bring_venues
from services.booking.queries.helpers import Standing, SuspendedFor, list_venues_of
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity

STANDINGS: tuple[Standing, ...] = ("registered", "active", "suspended")
SUSPENDED_FOR: tuple[SuspendedFor, ...] = ("own_wish", "insurance", "training", "talk")
TOPICS_MAX = 100

_LOCK = text("""
    SELECT standing, suspended_for FROM helper
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref) AND is_open FOR NO KEY UPDATE
""")
_KNOWN_TOPICS = text(f"""
    SELECT code FROM topic WHERE municipality = :municipality AND code = ANY (CAST(:topics AS text[]))
    ORDER BY code LIMIT {TOPICS_MAX}
""")
_KEEP_RECORD = text("""
    UPDATE helper
    SET (registered_on, trained_on, insured_until, topics) = (:registered_on, :trained_on, :insured_until, :topics)
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref)
""")
_SET_STANDING = text("""
    UPDATE helper SET (standing, suspended_for) = (:standing, :suspended_for)
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref)
""")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the town keeps of a helper: since when, and until when; and what they explain."""

    registered_on: date | None
    trained_on: date | None
    insured_until: date | None
    topics: tuple[str, ...]


async def keep_record(
    session: AsyncSession, actor: Identity, helper_ref: str, record: Record, *, now: datetime
) -> None:
    """Write down a helper's dates and topics; a topic that the town does not have is left out.

    Raises:
        Refusal: `helper_unknown` (404).
    """
    key, _before = await _lock(session, actor, helper_ref)
    asked = {"municipality": actor.municipality, "topics": list(record.topics)}
    topics = list((await session.execute(_KNOWN_TOPICS, asked)).scalars())
    await session.execute(_KEEP_RECORD, key | msgspec.structs.asdict(record) | {"topics": topics})
    await record_deed(session, actor, "keep-helper-record", helper_ref, now=now)
    await match_at(session, actor.municipality, now)


async def set_standing(
    session: AsyncSession,
    actor: Identity,
    helper_ref: str,
    standing: Standing,
    suspended_for: SuspendedFor | None = None,
    *,
    now: datetime,
) -> None:
    """Take a helper on, or let them rest. Who is active no more gives no places, and others are asked for their visits.

    Raises:
        Refusal: `helper_unknown` (404), `standing_unfit` (422): suspended without saying why.
    """
    if (standing == "suspended") != (suspended_for is not None):
        raise Refusal("standing_unfit", 422)
    if standing != "active" and helper_ref.isprintable():
        await lock_ahead(session, actor.municipality, helper_ref, now=now)
    key, before = await _lock(session, actor, helper_ref)
    if (before.standing, before.suspended_for) == (standing, suspended_for):
        return
    await session.execute(_SET_STANDING, key | {"standing": standing, "suspended_for": suspended_for})
    await record_deed(session, actor, f"helper-{standing}", helper_ref, now=now)
    if standing != "active":
        await pass_on(session, actor.municipality, helper_ref, is_told=True, now=now)
    venues = await list_venues_of(session, actor.municipality, helper_ref)
    if venues:
        await bring_venues(session, actor.municipality, venues, now=now)


async def _lock(session: AsyncSession, actor: Identity, helper_ref: str) -> tuple[dict[str, Any], Any]:
    key = {"municipality": actor.municipality, "helper_ref": helper_ref}
    found = (await session.execute(_LOCK, key)).one_or_none() if helper_ref.isprintable() else None
    if found is None:
        raise Refusal("helper_unknown", 404)
    return key, found
