"""Classes, as everybody may see them; an entry, as its owner does; and what a helper has promised."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.domain.classes import (
    ENTRIES_MAX,
    SESSIONS_MAX,
    STAFF_MAX,
    CourseState,
    EntryState,
    Mode,
    StaffRole,
    Stage,
    stage_of,
)
from services.booking.domain.draw import FORMAT, Outcome, Ticket
from services.booking.domain.draw_record import Record, Session
from services.booking.keys import Keys
from shared.errors import Refusal

CLASSES_MAX = 300
TOPICS_MAX = 100
OWN_SESSIONS_MAX = 200
# How far ahead a helper is shown what they teach.
CLASSES_AHEAD = timedelta(days=366)


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """One time of a class. `staff`: helpers' references with their part, for coordinators."""

    session_id: UUID
    starts_at: datetime
    ends_at: datetime
    room_ja: str
    materials_ja: str
    staff: tuple[tuple[str, StaffRole], ...]


class ClassView(msgspec.Struct, frozen=True, kw_only=True):
    """A class; how far it is depends on the time."""

    course_id: UUID
    title_ja: str
    text_ja: str
    topics: tuple[str, ...]
    topic_names: tuple[str, ...]
    procedures: tuple[str, ...]
    venue: str
    venue_name: str
    venue_place: str
    venue_latitude: str
    venue_longitude: str
    seats: int
    mode: Mode
    closes_at: datetime
    language: str
    fee_yen: int
    state: CourseState
    reason_ja: str
    commitment: str | None
    seed: str | None
    entries_digest: str | None
    published_at: datetime | None
    drawn_at: datetime | None
    called_off_at: datetime | None
    changed_at: datetime
    free: int
    waiting: int
    applied: int
    sessions: tuple[SessionView, ...]

    @property
    def begins_at(self) -> datetime | None:
        """When its first session does."""
        return self.sessions[0].starts_at if self.sessions else None

    def stage(self, now: datetime) -> Stage:
        """What can be done about it now."""
        return stage_of(
            self.state, self.mode, closes_at=self.closes_at, begins_at=self.begins_at,
            is_drawn=self.drawn_at is not None, free=self.free, waiting=self.waiting, now=now,
        )  # fmt: skip


class ClassEntryView(msgspec.Struct, frozen=True, kw_only=True):
    """An entry. `code` is told to whoever entered, in the first hour. `waits_at`: its place among those who wait."""

    entry_id: UUID
    course_id: UUID
    number: str
    lot: str | None
    state: EntryState
    came_by: str
    guest_ref: str | None
    is_reached: bool
    offer_until: datetime | None
    waits_at: int | None
    entered_at: datetime
    changed_at: datetime
    code_hash: bytes | None
    # It is, or would be, what somebody asked help for.
    is_asked: bool

    def code(self, keys: Keys) -> str | None:
        """The code that opens it, with its number."""
        return None if self.code_hash is None else keys.entry_code(self.entry_id, self.code_hash)


class OwnSession(msgspec.Struct, frozen=True, kw_only=True):
    """A time at which a helper teaches or assists: nothing of who comes."""

    session_id: UUID
    course_id: UUID
    title_ja: str
    role: StaffRole
    venue_name: str
    venue_place: str
    room_ja: str
    materials_ja: str
    starts_at: datetime
    ends_at: datetime
    changed_at: datetime


# Times as PostgreSQL writes them into JSON are read as they are in any other answer.
_SESSIONS = f"""
    coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'session_id', s.session_id, 'starts_at', s.starts_at, 'ends_at', s.ends_at, 'room_ja', s.room_ja,
            'materials_ja', s.materials_ja,
            'staff', coalesce((
                SELECT jsonb_agg(jsonb_build_array(t.helper_ref, t.role) ORDER BY t.role DESC, t.helper_ref)
                FROM (SELECT * FROM course_staff f
                      WHERE (f.municipality, f.session_id) = (s.municipality, s.session_id) LIMIT {STAFF_MAX}) AS t),
                CAST('[]' AS jsonb))) ORDER BY s.starts_at)
        FROM (SELECT * FROM course_session f
              WHERE (f.municipality, f.course_id) = (c.municipality, c.course_id) LIMIT {SESSIONS_MAX}) AS s),
        CAST('[]' AS jsonb)) AS sessions
"""
_ENTRIES = "(SELECT count(*) FROM course_entry e WHERE (e.municipality, e.course_id) = (c.municipality, c.course_id)"
_BEGINS = """(SELECT min(f.starts_at) FROM course_session f
              WHERE (f.municipality, f.course_id) = (c.municipality, c.course_id))"""
_ENDS = """(SELECT max(f.ends_at) FROM course_session f
            WHERE (f.municipality, f.course_id) = (c.municipality, c.course_id))"""
_CLASSES = f"""
    SELECT c.course_id, c.title_ja, c.text_ja, c.topics,
           ARRAY(SELECT t.name_ja FROM topic t WHERE t.municipality = c.municipality AND t.code = ANY (c.topics)
                 ORDER BY t.code) AS topic_names,
           c.procedures, c.venue, coalesce(v.name_ja, c.venue) AS venue_name, coalesce(v.place_ja, '') AS venue_place,
           coalesce(v.latitude, '') AS venue_latitude, coalesce(v.longitude, '') AS venue_longitude,
           c.seats, c.mode, c.closes_at, c.language, c.fee_yen, c.state, c.reason_ja,
           encode(c.seed_commitment, 'hex') AS commitment, encode(c.seed, 'hex') AS seed,
           encode(c.entries_digest, 'hex') AS entries_digest, c.published_at, c.drawn_at, c.called_off_at, c.changed_at,
           (SELECT count(*) FROM course_seat s
            WHERE (s.municipality, s.course_id) = (c.municipality, c.course_id) AND s.entry_id IS NULL) AS free,
           {_ENTRIES} AND e.state IN ('waiting', 'lost')) AS waiting,
           {_ENTRIES} AND (e.state = 'applied' OR e.rank IS NOT NULL)) AS applied, {_SESSIONS}
    FROM course c LEFT JOIN counter v ON (v.municipality, v.code) = (c.municipality, c.venue)
    WHERE c.municipality = :municipality AND {{which}}
    ORDER BY {_BEGINS}, c.made_at, c.course_id LIMIT {CLASSES_MAX}
"""
# What is called off is told as long as somebody may still come for it.
_PUBLIC = text(_CLASSES.format(which=f"c.published_at IS NOT NULL AND c.state <> 'over' AND {_ENDS} > :now"))
_ALL = text(_CLASSES.format(which=f"(c.state = 'draft' OR {_ENDS} > :since)"))
_ONE = text(_CLASSES.format(which="c.course_id = :course_id"))
_ARE_OPEN = text(f"""
    SELECT EXISTS (SELECT 1 FROM course c WHERE c.municipality = :municipality AND c.state = 'open'
                     AND {_BEGINS} > :now AND (c.procedures = '{{}}' OR :procedure = ANY (c.procedures)))
""")
_ENTRY = text("""
    SELECT e.entry_id, e.course_id, e.number, e.lot, e.state, e.came_by, e.guest_ref,
           e.contact_ref IS NOT NULL AS is_reached, e.offer_until, e.entered_at, e.changed_at, e.code_hash,
           e.request_id IS NOT NULL AS is_asked,
           CASE WHEN e.state IN ('waiting', 'lost') THEN (
               SELECT count(*) FROM course_entry b
               WHERE (b.municipality, b.course_id) = (e.municipality, e.course_id) AND b.state IN ('waiting', 'lost')
                 AND (coalesce(b.rank, 2147483647), b.entered_at, b.entry_id)
                  <= (coalesce(e.rank, 2147483647), e.entered_at, e.entry_id)) END AS waits_at
    FROM course_entry e WHERE (e.municipality, e.number) = (:municipality, :number)
""")
_OWN_ENTRY = text("""
    SELECT number FROM course_entry
    WHERE (municipality, course_id, guest_ref) = (:municipality, :course_id, :guest_ref) AND came_by = 'web'
      AND state NOT IN ('withdrawn', 'called_off') LIMIT 1
""")
_DRAWN = text(f"""
    SELECT lot, rank FROM course_entry
    WHERE (municipality, course_id) = (:municipality, :course_id) AND rank IS NOT NULL ORDER BY rank
    LIMIT {2 * ENTRIES_MAX}
""")
_TOPICS = text(f"SELECT code, name_ja FROM topic WHERE municipality = :municipality ORDER BY code LIMIT {TOPICS_MAX}")
_PROCEDURES = text("""
    SELECT code, name_ja FROM procedure WHERE municipality = :municipality AND with_helper ORDER BY code LIMIT 1000
""")
_OWN_SESSIONS = text(f"""
    SELECT s.session_id, c.course_id, c.title_ja, t.role, coalesce(v.name_ja, c.venue) AS venue_name,
           coalesce(v.place_ja, '') AS venue_place, s.room_ja, s.materials_ja, s.starts_at, s.ends_at, c.changed_at
    FROM course_staff t
    JOIN course_session s ON (s.municipality, s.session_id) = (t.municipality, t.session_id)
    JOIN course c ON (c.municipality, c.course_id) = (s.municipality, s.course_id)
    LEFT JOIN counter v ON (v.municipality, v.code) = (c.municipality, c.venue)
    WHERE t.municipality = :municipality AND t.helper_ref = :helper_ref AND c.state NOT IN ('draft', 'called_off')
      AND t.ends_at > :since AND t.starts_at < :until
    ORDER BY t.starts_at LIMIT {OWN_SESSIONS_MAX}
""")


async def list_classes(session: AsyncSession, municipality: str, *, now: datetime) -> list[ClassView]:
    """What everybody may read of: published, and not over."""
    return _views((await session.execute(_PUBLIC, {"municipality": municipality, "now": now})).all())


async def list_all_classes(session: AsyncSession, municipality: str, *, since: datetime) -> list[ClassView]:
    """For coordinators: drafts, too, and what was held since then."""
    return _views((await session.execute(_ALL, {"municipality": municipality, "since": since})).all())


async def get_class(session: AsyncSession, municipality: str, course_id: UUID, *, published: bool = True) -> ClassView:
    """A class.

    Raises:
        Refusal: `class_unknown` (404), also of a draft, unless drafts are asked for.
    """
    rows = (await session.execute(_ONE, {"municipality": municipality, "course_id": course_id})).all()
    if not rows or (published and rows[0].published_at is None):
        raise Refusal("class_unknown", 404)
    return _views(rows)[0]


async def are_classes_open(session: AsyncSession, municipality: str, procedure: str, *, now: datetime) -> bool:
    """Whether there is a class that somebody with this procedure can enter: one for it, or one for everybody."""
    asked = {"municipality": municipality, "procedure": procedure, "now": now}
    return bool((await session.execute(_ARE_OPEN, asked)).scalar_one())


async def find_class_entry(session: AsyncSession, municipality: str, number: str) -> ClassEntryView | None:
    """An entry by its canonical number."""
    row = (await session.execute(_ENTRY, {"municipality": municipality, "number": number})).one_or_none()
    return None if row is None else msgspec.convert(row, ClassEntryView, from_attributes=True)


async def find_own_entry(session: AsyncSession, municipality: str, course_id: UUID, guest_ref: str) -> str | None:
    """The number under which this visitor is in the class already."""
    mine = {"municipality": municipality, "course_id": course_id, "guest_ref": guest_ref}
    number: str | None = (await session.execute(_OWN_ENTRY, mine)).scalar_one_or_none()
    return number


async def list_topics(session: AsyncSession, municipality: str) -> dict[str, str]:
    """The town's topics: code and Japanese name."""
    rows = (await session.execute(_TOPICS, {"municipality": municipality})).all()
    return {row.code: row.name_ja for row in rows}


async def list_helper_procedures(session: AsyncSession, municipality: str) -> dict[str, str]:
    """What helpers go through with people: code and Japanese name."""
    rows = (await session.execute(_PROCEDURES, {"municipality": municipality})).all()
    return {row.code: row.name_ja for row in rows}


async def list_own_sessions(
    session: AsyncSession, municipality: str, helper_ref: str, *, since: datetime, until: datetime
) -> list[OwnSession]:
    """When a helper teaches or assists, in order: classes that are published."""
    asked = {"municipality": municipality, "helper_ref": helper_ref, "since": since, "until": until}
    rows = (await session.execute(_OWN_SESSIONS, asked)).all()
    return [msgspec.convert(row, OwnSession, from_attributes=True) for row in rows]


async def make_class_record(session: AsyncSession, municipality: str, found: ClassView) -> Record:
    """The public record of a class that is drawn: a draw of one session, for `choudo draw replay`.

    Raises:
        Refusal: `class_unknown` (404), it is none that is drawn.
    """
    if found.commitment is None or found.published_at is None or not found.sessions:
        raise Refusal("class_unknown", 404)
    mine = {"municipality": municipality, "course_id": found.course_id}
    drawn = (await session.execute(_DRAWN, mine)).all()
    session_id, first = str(found.course_id), found.sessions[0]
    offered = Session(
        session_id=session_id, counter=found.venue, starts_at=first.starts_at, ends_at=first.ends_at, seats=found.seats
    )
    return Record(
        format=FORMAT,
        municipality=municipality,
        draw_id=found.course_id,
        title_ja=found.title_ja,
        opens_at=found.published_at,
        closes_at=found.closes_at,
        commitment=found.commitment,
        sessions=(offered,),
        drawn_at=found.drawn_at,
        called_off_at=found.called_off_at if found.drawn_at is None else None,
        seed=found.seed,
        entries_digest=found.entries_digest,
        entries=tuple(Ticket(lot, (session_id,)) for lot in sorted(row.lot for row in drawn)),
        result=tuple(Outcome(row.lot, session_id if row.rank <= found.seats else None) for row in drawn),
    )


def _views(rows: Sequence[Any]) -> list[ClassView]:
    return [msgspec.convert(row, ClassView, from_attributes=True) for row in rows]
