"""Helpers' shifts, the times of their feed, and the roster that coordinators see."""

from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.keys import Keys, helper_context
from services.booking.queries.untold import UNTOLD
from shared.crypto import SealBroken, token_hash
from shared.log import get_logger

log = get_logger(__name__)

VENUES_MAX = 200
SHIFTS_MAX = 5_000
HELPERS_MAX = 500
REQUESTS_MAX = 500
TOPICS_MAX = 200
PROCEDURES_MAX = 1_000
FEED_BACK = timedelta(days=30)
FEED_MAX = 1_000
TOKEN_MAX_LENGTH = 100


class VenueView(msgspec.Struct, frozen=True, kw_only=True):
    """A venue as people find it."""

    code: str
    name_ja: str
    place_ja: str


class ShiftView(msgspec.Struct, frozen=True, kw_only=True):
    """A shift of a helper; minutes from midnight in Japan, and in which weeks."""

    shift_id: UUID
    helper_ref: str
    venue: str
    venue_name: str
    weekday: int
    from_min: int
    to_min: int
    every_weeks: int = 1
    nth: tuple[int, ...] = ()
    first_week: date | None = None
    # On this day alone, beyond their rhythm.
    only_on: date | None = None


class FeedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A time in a helper's calendar: nothing of whom they meet, or what about.

    Another time is another request: what changes of this one is whether it is accepted.
    """

    assignment_id: UUID
    starts_at: datetime
    ends_at: datetime
    venue_name: str
    venue_place: str
    is_accepted: bool
    changed_at: datetime


Standing = Literal["registered", "active", "suspended"]
SuspendedFor = Literal["own_wish", "insurance", "training", "talk"]


class HelperView(msgspec.Struct, frozen=True, kw_only=True):
    """A helper on the roster. `name` None: it cannot be read."""

    helper_ref: str
    name: str | None
    languages: tuple[str, ...]
    shifts: tuple[ShiftView, ...]
    topics: tuple[str, ...]
    signs: bool
    standing: Standing
    suspended_for: SuspendedFor | None
    registered_on: date | None
    trained_on: date | None
    insured_until: date | None
    paused_on: date | None = None


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A live request as coordinators see it: nothing of the resident. `free` are helpers who could come instead."""

    assignment_id: UUID
    number: str
    helper_ref: str
    is_accepted: bool
    starts_at: datetime
    ends_at: datetime
    venue_name: str
    asked_at: datetime
    free: tuple[str, ...]
    # Whether others are asked to come instead, or nobody could.
    cover: Literal["none", "open", "lapsed", "unfit"] = "none"


# A helper `h` who teaches or assists in a class then (`during`, a range).
TEACHES = """EXISTS (
    SELECT 1 FROM course_staff t WHERE t.municipality = h.municipality AND t.helper_ref = h.helper_ref
      AND tstzrange(t.starts_at, t.ends_at) && {during})"""
TEACHES_THEN = TEACHES.format(during="tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz))")
_VENUES_OF = text(f"""
    SELECT DISTINCT venue FROM helper_shift
    WHERE municipality = :municipality AND helper_ref = :helper_ref LIMIT {VENUES_MAX}
""")
_VENUES = text(f"""
    SELECT r.counter AS code, coalesce(c.name_ja, r.counter) AS name_ja, coalesce(c.place_ja, '') AS place_ja
    FROM counter_rule r LEFT JOIN counter c ON (c.municipality, c.code) = (r.municipality, r.counter)
    WHERE r.municipality = :municipality AND r.kind = 'venue' ORDER BY r.counter LIMIT {VENUES_MAX}
""")
_SHIFTS = text(f"""
    SELECT s.shift_id, s.helper_ref, s.venue, coalesce(c.name_ja, s.venue) AS venue_name, s.weekday, s.from_min,
           s.to_min, s.every_weeks, s.nth, s.first_week, s.only_on
    FROM helper_shift s LEFT JOIN counter c ON (c.municipality, c.code) = (s.municipality, s.venue)
    WHERE s.municipality = :municipality
      AND (s.helper_ref = :helper_ref
           OR CAST(:helper_ref AS text) IS NULL
              AND EXISTS (SELECT 1 FROM helper h
                          WHERE (h.municipality, h.helper_ref) = (s.municipality, s.helper_ref) AND h.is_open))
    ORDER BY s.only_on NULLS FIRST, s.weekday, s.from_min, s.shift_id LIMIT {SHIFTS_MAX}
""")
_FEED_MADE = text("""
    SELECT feed_made_at FROM helper
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref) AND feed_hash IS NOT NULL
""")
_WHOSE_FEED = text("""
    SELECT helper_ref FROM helper WHERE (municipality, feed_hash) = (:municipality, :feed_hash) AND is_open
""")
_FEED = text(f"""
    SELECT s.assignment_id, a.starts_at, a.ends_at, coalesce(c.name_ja, a.counter) AS venue_name,
           coalesce(c.place_ja, '') AS venue_place, s.state = 'accepted' AS is_accepted,
           coalesce(s.answered_at, s.asked_at) AS changed_at
    FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    WHERE s.municipality = :municipality AND s.helper_ref = :helper_ref AND s.state IN ('asked', 'accepted')
      AND a.state <> 'cancelled' AND a.starts_at >= :since
    ORDER BY a.starts_at LIMIT {FEED_MAX}
""")
_ROSTER = text(f"""
    SELECT helper_ref, name_sealed, wrapped_key, languages, topics, signs, standing, suspended_for, registered_on,
           trained_on, insured_until, paused_on
    FROM helper
    WHERE municipality = :municipality AND is_open ORDER BY helper_ref LIMIT {HELPERS_MAX}
""")
_PROCEDURES = text(f"""
    SELECT code, name_ja FROM procedure WHERE municipality = :municipality ORDER BY code LIMIT {PROCEDURES_MAX}
""")
_SUSPENDED_FOR = text("""
    SELECT suspended_for FROM helper WHERE (municipality, helper_ref) = (:municipality, :helper_ref)
""")
_TOPICS = text(f"""
    SELECT code, name_ja FROM topic WHERE municipality = :municipality ORDER BY code LIMIT {TOPICS_MAX}
""")
_REQUESTS = text(f"""
    SELECT s.assignment_id, a.number, s.helper_ref, s.state = 'accepted' AS is_accepted, a.starts_at, a.ends_at,
           coalesce(c.name_ja, a.counter) AS venue_name, s.asked_at,
           ARRAY(SELECT h.helper_ref FROM helper h
                 WHERE h.municipality = s.municipality AND h.is_open AND h.standing = 'active'
                   AND h.helper_ref <> s.helper_ref
                   AND NOT EXISTS (SELECT 1 FROM assignment b
                                   WHERE b.municipality = h.municipality AND b.helper_ref = h.helper_ref
                                     AND b.state IN ('asked', 'accepted') AND b.during && s.during)
                   AND NOT {TEACHES.format(during="s.during")}
                 ORDER BY h.helper_ref LIMIT {HELPERS_MAX}) AS free,
           CASE WHEN {UNTOLD.format(row="a")} THEN 'unfit' ELSE
           coalesce((SELECT CASE WHEN k.state IN ('open', 'lapsed') THEN k.state ELSE 'none' END FROM cover k
                     WHERE k.municipality = s.municipality AND k.appointment_id = s.appointment_id
                     ORDER BY k.asked_at DESC LIMIT 1), 'none') END AS cover
    FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    WHERE s.municipality = :municipality AND s.state IN ('asked', 'accepted') AND a.state = 'booked'
      AND a.starts_at > :now
    ORDER BY a.starts_at, s.assignment_id LIMIT {REQUESTS_MAX}
""")


async def list_venues_of(session: AsyncSession, municipality: str, helper_ref: str) -> list[str]:
    """Where a helper has shifts."""
    rows = await session.execute(_VENUES_OF, {"municipality": municipality, "helper_ref": helper_ref})
    return list(rows.scalars())


async def list_venues(session: AsyncSession, municipality: str) -> list[VenueView]:
    """All venues of the town."""
    rows = (await session.execute(_VENUES, {"municipality": municipality})).all()
    return [msgspec.convert(row, VenueView, from_attributes=True) for row in rows]


async def list_shifts(session: AsyncSession, municipality: str, helper_ref: str | None = None) -> list[ShiftView]:
    """A helper's shifts in the order of the week, then single days; None: everybody's."""
    rows = (await session.execute(_SHIFTS, {"municipality": municipality, "helper_ref": helper_ref})).all()
    return [msgspec.convert(row, ShiftView, from_attributes=True) for row in rows]


async def find_feed_time(session: AsyncSession, municipality: str, helper_ref: str) -> datetime | None:
    """Since when a helper's feed has its address; None when there is none."""
    me = {"municipality": municipality, "helper_ref": helper_ref}
    made_at: datetime | None = (await session.execute(_FEED_MADE, me)).scalar_one_or_none()
    return made_at


async def find_feed_owner(session: AsyncSession, municipality: str, token: str) -> str | None:
    """Whose times are behind a feed's address; None when it opens nothing (any more)."""
    if len(token) > TOKEN_MAX_LENGTH:
        return None
    asked: dict[str, Any] = {"municipality": municipality, "feed_hash": token_hash(token)}
    helper_ref: str | None = (await session.execute(_WHOSE_FEED, asked)).scalar_one_or_none()
    return helper_ref


async def list_requests(session: AsyncSession, municipality: str, helper_ref: str, *, now: datetime) -> list[FeedItem]:
    """A helper's times of the last month and to come: those that they took, and those that they are asked for."""
    asked = {"municipality": municipality, "helper_ref": helper_ref, "since": now - FEED_BACK}
    rows = (await session.execute(_FEED, asked)).all()
    return [msgspec.convert(row, FeedItem, from_attributes=True) for row in rows]


async def list_roster(session: AsyncSession, municipality: str, keys: Keys) -> list[HelperView]:
    """The helpers with their names and shifts. But for a helper's own certificate, the only reader of their names."""
    shifts = await list_shifts(session, municipality)
    rows = (await session.execute(_ROSTER, {"municipality": municipality})).all()
    return [
        HelperView(
            helper_ref=row.helper_ref,
            name=open_name(row, municipality, keys),
            languages=tuple(row.languages),
            shifts=tuple(shift for shift in shifts if shift.helper_ref == row.helper_ref),
            topics=tuple(row.topics),
            signs=row.signs,
            standing=row.standing,
            suspended_for=row.suspended_for,
            registered_on=row.registered_on,
            trained_on=row.trained_on,
            insured_until=row.insured_until,
            paused_on=row.paused_on,
        )
        for row in rows
    ]


async def find_suspension(session: AsyncSession, municipality: str, helper_ref: str) -> SuspendedFor | None:
    """Why a helper is asked for nothing now; None: they are not suspended."""
    me = {"municipality": municipality, "helper_ref": helper_ref}
    reason: SuspendedFor | None = (await session.execute(_SUSPENDED_FOR, me)).scalar_one_or_none()
    return reason


async def list_procedure_names(session: AsyncSession, municipality: str) -> dict[str, str]:
    """What every procedure is called, by code: also those that only helpers do."""
    return {row.code: row.name_ja for row in await session.execute(_PROCEDURES, {"municipality": municipality})}


async def list_topics(session: AsyncSession, municipality: str) -> dict[str, str]:
    """What helpers explain beside the procedures: names by code."""
    return {row.code: row.name_ja for row in await session.execute(_TOPICS, {"municipality": municipality})}


async def list_open_requests(session: AsyncSession, municipality: str, *, now: datetime) -> list[OpenRequest]:
    """What lies ahead of all helpers, and who could come instead."""
    rows = (await session.execute(_REQUESTS, {"municipality": municipality, "now": now})).all()
    return [msgspec.convert(row, OpenRequest, from_attributes=True) for row in rows]


def open_name(row: Any, municipality: str, keys: Keys) -> str | None:
    """A helper's name, of a row with it sealed; None when it cannot be read."""
    if row.name_sealed is None or row.wrapped_key is None:
        return None
    try:
        return keys.vault.open(row.wrapped_key, helper_context(municipality, row.helper_ref), "name", row.name_sealed)
    except SealBroken:
        log.error("helper_name_unreadable", helper_ref=row.helper_ref)
        return None
